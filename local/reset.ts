import { existsSync } from 'node:fs'
import { readdir, realpath, rm } from 'node:fs/promises'
import path from 'node:path'
import { readConfig } from '../platform/config.ts'
import { ConfigError, describeError, ReelstreamError } from '../platform/errors.ts'
import { claimDataDir } from './data-dir.ts'
import { stopLeftovers } from './leftovers.ts'
import { removeSharedPostgresData } from './postgres-home.ts'

/**
 * `npm run reset`: empties the data folder, and removes what root's PostgreSQL keeps outside it. Refuses while the
 * product runs there. It deletes nothing but what the product has made: a folder that holds anything else is left alone,
 * because DATA_DIR may have been set to a folder by mistake.
 */
const OWN_ENTRIES = new Set([
  ...['kafka', 'registry', 's3', 'postgres', 'postgres-id', 'logs', 'scratch'],
  ...['run.json', 'run.json.tmp', 'secrets.json', 'secrets.json.tmp', 'processes.json', 'processes.json.tmp'],
])

/** @throws ConfigError ALREADY_RUNNING, FOREIGN_FILES */
export const resetDataDir = async (dataDir: string): Promise<void> => {
  if (!existsSync(dataDir)) return
  const folder = await realpath(dataDir)
  const claim = await claimDataDir(folder)
  if ('takenBy' in claim) {
    throw new ConfigError(
      'ALREADY_RUNNING',
      `Reelstream is running on ${folder} (pid ${claim.takenBy}). Stop it first, with Ctrl-C there or: kill ${claim.takenBy}`,
    )
  }
  try {
    const entries = await readdir(folder)
    const foreign = entries.filter((entry) => !OWN_ENTRIES.has(entry))
    if (foreign.length > 0) {
      const named = foreign.slice(0, 5).join(', ') + (foreign.length > 5 ? ` and ${foreign.length - 5} more` : '')
      throw new ConfigError('FOREIGN_FILES', `${folder} holds what Reelstream did not make: ${named}`)
    }
    await stopLeftovers(folder)
    await removeSharedPostgresData(folder)
    await Promise.all(entries.map((entry) => rm(path.join(folder, entry), { recursive: true, force: true })))
  } finally {
    await claim.lock.release()
  }
}

if (import.meta.main) {
  try {
    const { dataDir } = readConfig()
    await resetDataDir(dataDir)
    console.log(`${dataDir} is empty.`)
  } catch (error) {
    console.error(error instanceof ReelstreamError ? describeError(error) : error)
    process.exitCode = 1
  }
}
