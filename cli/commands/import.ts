import { type Command, InvalidArgumentError, Option } from 'commander'
import type { UploadDetails } from '../../ingest/sdk/index.ts'
import { onStopSignal } from '../../local/stop-signal.ts'
import type { Config } from '../../platform/config.ts'
import { BadInputError } from '../../platform/errors.ts'
import { type Connection, findConnection } from '../connection.ts'
import { EXIT, exitCodeOf } from '../exit.ts'
import { followPipeline } from '../follow-pipeline.ts'
import { importObject, type ObjectPlace, objectPlaceOf } from '../import-object.ts'
import { importUrl } from '../import-url.ts'
import { localSettings } from '../local-settings.ts'
import { fileMemory, uploadMemoryFile } from '../upload-memory.ts'
import { type FileReport, jsonReport, lineReport } from '../upload-report.ts'

/**
 * `reelstream import s3://bucket/key | https://…`: a video that is somewhere else already.
 *
 * An object of the product's own S3 is claimed where it is. What is behind a URL is downloaded here and uploaded, past a
 * guard that lets nobody use this machine to look into its network. Exit codes as those of `upload`.
 */
interface ImportFlags {
  readonly title?: string
  readonly description?: string
  readonly author?: string
  readonly authorId?: string
  readonly tag: readonly string[]
  readonly visibility?: UploadDetails['visibility']
  readonly timeoutMinutes: number
  readonly wait?: boolean
  readonly json?: boolean
  readonly gateway?: string
  readonly token?: string
}

export const registerImport = (program: Command, config: Config): void => {
  program
    .command('import')
    .description('import an object of the S3 in use, or what is behind a URL')
    .argument('<source>', 's3://bucket/key, https://… or http://…')
    .option('--title <text>', 'title (default: the name of the file)')
    .option('--description <text>', 'description')
    .option('--author <name>', 'display name of the author')
    .option('--author-id <id>', 'whose video an object becomes (default: of whom the token is)')
    .option('--tag <tag>', 'a tag; may be given several times', collect, [])
    .addOption(new Option('--visibility <who>', 'who may find it').choices(['PUBLIC', 'UNLISTED', 'PRIVATE']))
    .option('--timeout-minutes <n>', 'how long the download of a URL may take', minutes, 24 * 60)
    .option('--wait', 'wait until the video is ready, and show how it gets there')
    .option('--json', 'one JSON object per line; the last one has videoId and watchUrl')
    .option('--gateway <url>', 'gateway to upload to (default: GATEWAY_URL, else the one running here)')
    .option('--token <token>', "author's token (default: AUTHOR_TOKEN, else the local author's)")
    .action(async (source: string, flags: ImportFlags) => {
      process.exitCode = await run(source, flags, await localSettings(config))
    })
}

const run = async (source: string, flags: ImportFlags, config: Config): Promise<number> => {
  const report = (flags.json === true ? jsonReport(console.log) : lineReport(false, console.log, console.error)).begin(
    source,
  )
  const stop = new AbortController()
  void onStopSignal({ first: () => stop.abort(), again: () => process.exit(EXIT.interrupted) })
  try {
    const place = objectPlaceOf(source)
    if (place === null && !/^https?:/i.test(source)) {
      throw new BadInputError('IMPORT_URL_INVALID', 'Expected s3://bucket/key, https://… or http://….')
    }
    const connection = await findConnection(config, flags)
    if (place !== null) return await runObject(place, flags, config, { connection, report, signal: stop.signal })
    const command = {
      connection,
      memory: fileMemory(uploadMemoryFile(config.stateDir)),
      details: { title: flags.title, tags: flags.tag, ...written(flags) },
      parallel: PARALLEL,
      idempotencyKey: undefined,
      wait: flags.wait === true,
      stop: stop.signal,
    }
    return await importUrl(source, report, command, { config, timeoutMs: flags.timeoutMinutes * 60_000 }).settled
  } catch (error) {
    report.failed(error, undefined)
    return exitCodeOf(error)
  }
}

/** Parts that are downloaded and uploaded at a time: what is gained beyond that is taken from the server that gives. */
const PARALLEL = 4

interface Session {
  readonly connection: Connection
  readonly report: FileReport
  readonly signal: AbortSignal
}

const runObject = async (
  place: ObjectPlace,
  flags: ImportFlags,
  config: Config,
  { connection, report, signal }: Session,
): Promise<number> => {
  const fileName = place.key.split('/').findLast((segment) => segment !== '') ?? place.key
  const title = (flags.title ?? fileName).slice(0, MAX_TITLE)
  const { description = '', author = '', visibility = 'PUBLIC' } = flags
  const tags = [...new Set(flags.tag.map((tag) => tag.trim().toLowerCase()))]
  const details = { title, description, author, visibility, tags, fileName, metadata: null }
  const imported = await importObject(config, { place, connection, authorId: flags.authorId, details })
  report.completed(imported)
  if (flags.wait !== true) return EXIT.ok
  try {
    await followPipeline(imported.videoId, connection, report.step, signal)
  } catch (error) {
    report.failed(error, imported)
    return exitCodeOf(error)
  }
  if (signal.aborted) {
    report.interrupted('Not waiting any longer. The video goes on by itself.', imported)
    return EXIT.interrupted
  }
  report.ready(imported)
  return EXIT.ok
}

/** The options that were given. */
const written = ({ description, author, visibility }: ImportFlags) => ({
  ...(description === undefined ? {} : { description }),
  ...(author === undefined ? {} : { author }),
  ...(visibility === undefined ? {} : { visibility }),
})

/** Of a title; the name of a file may be longer. */
const MAX_TITLE = 200

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value]

const minutes = (text: string): number => {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1) return value
  throw new InvalidArgumentError('expected a whole number of minutes, 1 or more.')
}
