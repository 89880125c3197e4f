import path from 'node:path'
import { readRunFile } from '../local/run-file.ts'
import type { Config } from '../platform/config.ts'

/**
 * Asks the process of a role that runs under `npm start` here to end; its supervisor starts it again. Nothing happens when
 * there is none, or when the product here is not the one that is meant: elsewhere whoever runs the role stops it
 * (`docker compose stop workers`).
 */
export const stopLocalRole = async (config: Config, role: 'processors' | 'workers'): Promise<void> => {
  const run = await readRunFile(path.resolve(config.dataDir))
  const isOurs =
    run !== undefined && (config.kafkaBrokers.length === 0 || run.kafkaBrokers === config.kafkaBrokers.join())
  const pid = isOurs ? run.pids[role] : undefined
  if (pid === undefined) return
  try {
    process.kill(pid, 'SIGTERM')
  } catch (error) {
    // It is gone, and the file does not know yet.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
