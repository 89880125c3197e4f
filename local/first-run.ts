import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { childEnvironment } from '../platform/config.ts'
import type { Children } from './child.ts'

/**
 * Node keeps what it has compiled, and stripped of types, in the folder that NODE_COMPILE_CACHE names; `npm start` sets it
 * (scripts/bootstrap.mjs). From there a role starts with two thirds of the CPU time and stays 35 MB smaller, for it never
 * loads the program that strips types. But a process that fills the cache is the larger for it as long as it lives, so on
 * a fresh checkout each role is run once beforehand, beside the start of the servers. It is given no settings: by the time
 * it says that it cannot start without (CONFIG_MISSING, in logs/first-run.log), all that it needs has been compiled. The
 * pages are built in the same go, or the front would do it and stay larger, too.
 */
export interface FirstRun {
  /** Entries of Node programs, absolute. */
  readonly programs: readonly string[]
  /** Node's, the same that the programs run with later: what is kept depends on them. */
  readonly flags: readonly string[]
}

/** One that does not end by itself must not hold up the start. */
const LONGEST_RUN_MS = 20_000
const NO_SETTINGS = { KAFKA_BROKERS: '', SCHEMA_REGISTRY_URL: '', DATABASE_URL: '', S3_ENDPOINT: '' }

/**
 * Runs the programs one after the other, unless that was done before.
 * @param folder Node's cache folder of this process (`getCompileCacheDir`); undefined = there is none, nothing is done
 * @throws UpstreamError STOPPING
 */
export const firstRun = async (
  folder: string | undefined,
  { programs, flags }: FirstRun,
  children: Pick<Children, 'start'>,
): Promise<void> => {
  // Node makes a folder for each of its versions and sets of flags; the mark stands for all of them.
  const mark = folder === undefined ? undefined : path.join(path.dirname(folder), 'filled')
  if (mark === undefined || existsSync(mark)) return
  for (const program of programs) {
    const child = children.start({
      name: 'first-run',
      command: process.execPath,
      args: [...flags, program],
      env: childEnvironment(NO_SETTINGS),
      cwd: path.dirname(program),
    })
    const timer = setTimeout(() => void child.stop(), LONGEST_RUN_MS)
    await child.exited
    clearTimeout(timer)
  }
  await writeFile(mark, '')
}
