import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { type Config, childEnvironment } from '../platform/config.ts'
import { BadInputError, describeError, UpstreamError } from '../platform/errors.ts'
import type { StartArguments } from './arguments.ts'
import type { Children } from './child.ts'
import { claimDataDir, openDataDir } from './data-dir.ts'
import { adoptDataDir, type Product, startProduct } from './product.ts'
import { createProgress } from './progress.ts'
import type { Programs } from './roles.ts'
import { type RunFile, readRunFile } from './run-file.ts'
import { isCatalogueEmpty, SAMPLE_TITLE, withSample } from './sample.ts'
import { onStopSignal } from './stop-signal.ts'

/**
 * One run of the product from start to stop, as `npm start` shows it.
 *
 * The first Ctrl-C (or SIGTERM, or a closed terminal) stops everything in order, at whatever point of the start it
 * comes; a second one kills. Only one run per data folder: a second `npm start` says where the first one is, and hands
 * its file over to it.
 */
export interface RunOptions extends StartArguments {
  readonly config: Config
  readonly programs: Programs
}

/** @returns the exit code: 0 after a clean stop. @throws what startProduct throws, after everything was stopped */
export const runUntilStopped = async (options: RunOptions): Promise<number> => {
  const { config } = options
  requireFile(options.file)
  const dataDir = await openDataDir(config.dataDir)
  const claim = await claimDataDir(dataDir)
  if ('takenBy' in claim) return joinRunning(options, dataDir, claim.takenBy)

  const progress = createProgress(console.log)
  console.log('Reelstream is starting')
  const children = await adoptDataDir(dataDir, progress)
  const stopAsked = onStopSignal({
    first: () => {
      console.log('\nStopping. Ctrl-C again to kill.')
      children.close()
    },
    again: () => children.killAll(),
  })
  try {
    const startedAtMs = Date.now()
    const product = await startProduct({ ...options, dataDir, progress, children })
    console.log(summary(product.run, dataDir, Date.now() - startedAtMs))
    const uploading = uploadFirst(options, product, dataDir, children)
    await stopAsked
    await stopAndSay(product)
    await uploading
    return 0
  } catch (error) {
    if (children.stopping.aborted && isStopping(error)) return 0
    throw error
  } finally {
    await claim.lock.release()
  }
}

/** Said before the start, not after it. */
const requireFile = (file: string | undefined) => {
  if (file !== undefined && !existsSync(file)) throw new BadInputError('FILE_NOT_FOUND', `there is no file ${file}`)
}

/** The data folder belongs to a run that is under way: hand it the file, or say where it is. */
const joinRunning = async (options: RunOptions, dataDir: string, pid: number): Promise<number> => {
  const run = await readRunFile(dataDir)
  if (run === undefined) {
    console.log(`Reelstream is already starting here (pid ${pid}). Logs: ${dataDir}/logs`)
    return options.file === undefined ? 0 : 1
  }
  console.log(`Reelstream is already running here (pid ${pid}): ${run.webUrl}`)
  if (options.file === undefined) return 0
  return uploadByCli(options, dataDir, [options.file])
}

/** What a start uploads by itself: the file it was given, or a sample where there is nothing to play. */
const uploadFirst = async (options: RunOptions, product: Product, dataDir: string, children: Children) => {
  const signal = children.stopping
  try {
    if (options.file !== undefined) await uploadByCli(options, dataDir, [options.file], signal)
    else if (options.sample && (await isCatalogueEmpty(product.run.apiUrl))) {
      console.log(`The catalogue is empty: making a sample to play ("${SAMPLE_TITLE}")`)
      await withSample(options.config.ffmpegPath, async (sample) => {
        await uploadByCli(options, dataDir, [sample, '--title', SAMPLE_TITLE], signal)
      })
    }
  } catch (error) {
    if (signal.aborted) return
    // The product itself is well and goes on: whoever wanted this video reads why it is not there.
    console.error(`The video was not uploaded. ${describeError(error)}`)
  }
}

/** Runs `reelstream upload` in this terminal. @returns its exit code */
const uploadByCli = async (
  { programs }: RunOptions,
  dataDir: string,
  args: readonly string[],
  signal?: AbortSignal,
): Promise<number> => {
  const cli = spawn(process.execPath, [programs.cli, 'upload', ...args, '--wait'], {
    stdio: 'inherit',
    env: childEnvironment({ DATA_DIR: dataDir }),
    ...(signal && { signal }),
  })
  const [code] = (await once(cli, 'exit')) as [number | null]
  return code ?? 1
}

const stopAndSay = async (product: Product) => {
  const startedAtMs = Date.now()
  await product.stop()
  console.log(`Stopped in ${((Date.now() - startedAtMs) / 1000).toFixed(1)} s. Data is kept; npm run reset empties it.`)
}

const summary = (run: RunFile, dataDir: string, tookMs: number): string => `
Reelstream is ready after ${(tookMs / 1000).toFixed(1)} s

  Watch and upload   ${run.webUrl}
  API reference      ${run.apiUrl}/documentation
  Kafka              ${run.kafkaBrokers}
  Schema registry    ${run.schemaRegistryUrl}
  S3                 ${run.s3Endpoint}
  PostgreSQL         ${withoutPassword(run.databaseUrl)}
  Logs               ${dataDir}/logs

Ctrl-C stops it; the data stays in ${dataDir}.
`

/** An external database's URL carries its password, which does not belong on a screen. */
const withoutPassword = (databaseUrl: string): string => databaseUrl.replace(/:[^:@/]*@/, '@')

const isStopping = (error: unknown) => error instanceof UpstreamError && error.code === 'STOPPING'
