import path from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { type CompletedUpload, createUpload, type UploadDetails } from '../../ingest/sdk/index.ts'
import { onStopSignal } from '../../local/stop-signal.ts'
import type { Config } from '../../platform/config.ts'
import { type Connection, findConnection } from '../connection.ts'
import { EXIT, exitCodeOf } from '../exit.ts'
import { type FileSource, fileSource } from '../file-source.ts'
import { followPipeline } from '../follow-pipeline.ts'
import { barReport, jsonReport, lineReport, type UploadReport } from '../upload-report.ts'

/**
 * `reelstream upload <file>`: a file from this machine, in parallel checksummed parts, straight to S3.
 *
 * Exit code 0 means that the upload is complete: one verified object, of which nothing can get lost any more. With
 * --wait it means that the video is ready to be watched. The first Ctrl-C gives an upload that is under way up, on the
 * server too; of a video that is only waited for it ends the waiting, and the video goes on.
 */
interface UploadFlags {
  readonly title?: string
  readonly description?: string
  readonly author?: string
  readonly tag: readonly string[]
  readonly visibility?: UploadDetails['visibility']
  readonly parallel: number
  readonly wait?: boolean
  readonly json?: boolean
  readonly gateway?: string
  readonly token?: string
}

export const registerUpload = (program: Command, config: Config): void => {
  program
    .command('upload')
    .description('upload a video file')
    .argument('<file>', 'the file')
    .option('--title <text>', 'title (default: the name of the file)')
    .option('--description <text>', 'description')
    .option('--author <name>', 'display name of the author')
    .option('--tag <tag>', 'a tag; may be given several times', collect, [])
    .addOption(new Option('--visibility <who>', 'who may find it').choices(['PUBLIC', 'UNLISTED', 'PRIVATE']))
    .option('--parallel <n>', 'parts on their way at a time', wholeNumber, 4)
    .option('--wait', 'wait until the video is ready, and show how it gets there')
    .option('--json', 'one JSON object per line; the last has videoId and watchUrl')
    .option('--gateway <url>', 'gateway to upload to (default: GATEWAY_URL, else the one running here)')
    .option('--token <token>', "author's token (default: AUTHOR_TOKEN, else the local author's)")
    .action(async (file: string, flags: UploadFlags) => {
      process.exitCode = await upload(path.resolve(config.callerDir, file), flags, config)
    })
}

const upload = async (file: string, flags: UploadFlags, config: Config): Promise<number> => {
  const report = reportFor(file, flags)
  try {
    const source = await fileSource(file)
    try {
      return await uploadSource(source, flags, await findConnection(config, flags), report)
    } finally {
      await source.close()
    }
  } catch (error) {
    report.failed(error, undefined)
    return exitCodeOf(error)
  }
}

const reportFor = (file: string, { json }: UploadFlags): UploadReport => {
  if (json === true) return jsonReport(console.log)
  const lines = lineReport(path.basename(file), console.log, console.error)
  return process.stderr.isTTY ? barReport(lines) : lines
}

const uploadSource = async (
  source: FileSource,
  flags: UploadFlags,
  connection: Connection,
  report: UploadReport,
): Promise<number> => {
  const { gatewayUrl, apiUrl, token } = connection
  const upload = createUpload(source, {
    gatewayUrl,
    apiUrl,
    token,
    parallel: flags.parallel,
    details: detailsFrom(flags, source.name),
  })
  let known: CompletedUpload | undefined
  upload.on('created', (created) => {
    known = created
    report.created(created)
  })
  upload.on('progress', (progress) => report.progress(progress))
  const waiting = new AbortController()
  let cancelling: Promise<void> | undefined
  void onStopSignal({
    first: () => {
      cancelling = upload.cancel()
      waiting.abort()
    },
    again: () => process.exit(EXIT.interrupted),
  })
  try {
    const completed = await upload.done
    report.completed(completed)
    if (flags.wait === true) await followPipeline(completed.videoId, connection, report.step, waiting.signal)
    if (waiting.signal.aborted) return interrupted(report, 'Not waiting any longer. The video goes on by itself.')
    if (flags.wait === true) report.ready(completed)
    return EXIT.ok
  } catch (error) {
    // The server is told before we are gone.
    await cancelling
    if (waiting.signal.aborted) return interrupted(report, 'CANCELLED: The upload was given up.')
    report.failed(error, known)
    return exitCodeOf(error)
  }
}

const interrupted = (report: UploadReport, what: string): number => {
  report.interrupted(what)
  return EXIT.interrupted
}

const detailsFrom = (flags: UploadFlags, fileName: string): UploadDetails => ({
  title: flags.title ?? fileName.slice(0, MAX_TITLE),
  tags: flags.tag,
  ...(flags.description === undefined ? {} : { description: flags.description }),
  ...(flags.author === undefined ? {} : { author: flags.author }),
  ...(flags.visibility === undefined ? {} : { visibility: flags.visibility }),
})

/** Of a title; the name of a file may be longer. */
const MAX_TITLE = 200

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value]

const wholeNumber = (text: string): number => {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= 32) return value
  throw new InvalidArgumentError('expected a whole number from 1 to 32.')
}
