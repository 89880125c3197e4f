import type { Command } from 'commander'
import { serverAt } from '../../ingest/sdk/requests.ts'
import { onStopSignal } from '../../local/stop-signal.ts'
import type { Config } from '../../platform/config.ts'
import { BadInputError } from '../../platform/errors.ts'
import {
  connectionOptions,
  detailOptions,
  givenDetails,
  giveUpOption,
  MAX_TITLE,
  type VideoFlags,
  waitOption,
  wholeMinutes,
} from '../command-options.ts'
import { type Connection, findConnection } from '../connection.ts'
import { differs, findVideo, type GivenDetails } from '../earlier-import.ts'
import { EXIT, exitCodeOf } from '../exit.ts'
import { importObject, type ObjectPlace, objectPlaceOf } from '../import-object.ts'
import { importUrl } from '../import-url.ts'
import { localSettings } from '../local-settings.ts'
import { keepHeapSmall } from '../small-heap.ts'
import { fileMemory, uploadMemoryFile } from '../upload-memory.ts'
import { type FileReport, jsonReport, lineReport, OWN_DETAILS } from '../upload-report.ts'
import { waitUntilReady } from '../wait-until-ready.ts'

/**
 * `reelstream import s3://bucket/key | https://…`: a video that is somewhere else already.
 *
 * An object of the product's own S3 is claimed where it is. What is behind a URL is downloaded here and uploaded, past a
 * guard that lets nobody use this machine to look into its network. Either is named by what it is of, so importing it
 * again finds what there is; what was given up or deleted is begun anew. Exit codes as those of `upload`.
 */
interface ImportFlags extends VideoFlags {
  readonly title?: string
  readonly authorId?: string
  readonly timeoutMinutes: number
}

export const registerImport = (program: Command, config: Config): void => {
  const command = program
    .command('import')
    .description('import an object of the S3 in use, or what is behind a URL')
    .argument('<source>', 's3://bucket/key, https://… or http://…')
    .option('--title <text>', 'title (default: the name of the file)')
  detailOptions(command)
    .option('--author-id <id>', 'whose video an object becomes (default: of whom the token is)')
    .option('--timeout-minutes <n>', 'how long the download of a URL may take', wholeMinutes, 24 * 60)
  waitOption(giveUpOption(command)).option('--json', 'one JSON object per line; the last one has videoId and watchUrl')
  connectionOptions(command, 'upload to').action(async (source: string, flags: ImportFlags) => {
    keepHeapSmall()
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
      given: givenIn(flags),
      parallel: PARALLEL,
      idempotencyKey: undefined,
      giveUpAfterMs: flags.giveUpAfter * 60_000,
      wait: flags.wait === true,
      stop: stop.signal,
    }
    return await importUrl(source, report, command, { config, timeoutMs: flags.timeoutMinutes * 60_000 })
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
  const { video, isNew } = await importObject(config, { place, connection, authorId: flags.authorId, details })
  if (isNew) {
    report.completed(video)
  } else {
    const shown = await findVideo(serverAt(connection.apiUrl, connection), video.videoId, signal)
    if (shown !== null && differs(givenIn(flags), shown)) report.note(OWN_DETAILS)
    report.importedBefore(video)
  }
  if (flags.wait !== true) return EXIT.ok
  return waitUntilReady(video, { connection, giveUpAfterMs: flags.giveUpAfter * 60_000, stop: signal }, report)
}

const givenIn = (flags: ImportFlags): GivenDetails => ({
  ...(flags.title === undefined ? {} : { title: flags.title }),
  ...(flags.tag.length === 0 ? {} : { tags: [...flags.tag] }),
  ...givenDetails(flags),
})
