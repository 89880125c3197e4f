import { type Command, InvalidArgumentError } from 'commander'
import { onStopSignal } from '../../local/stop-signal.ts'
import type { Config } from '../../platform/config.ts'
import { BadInputError } from '../../platform/errors.ts'
import { chooseFiles } from '../chosen-files.ts'
import {
  connectionOptions,
  detailOptions,
  givenDetails,
  giveUpOption,
  type VideoFlags,
  waitOption,
} from '../command-options.ts'
import { findConnection } from '../connection.ts'
import { EXIT, exitCodeOf } from '../exit.ts'
import { keepHeapSmall } from '../small-heap.ts'
import { barReport } from '../upload-bars.ts'
import { openFile, openStdin, type RunningFile, type UploadCommand, uploadFile } from '../upload-file.ts'
import { fileMemory, uploadMemoryFile } from '../upload-memory.ts'
import { jsonReport, lineReport, type UploadReport } from '../upload-report.ts'

/**
 * `reelstream upload <files and folders…|->`: from this machine, in parallel checksummed parts, straight to S3.
 *
 * Whatever ends it, the same command goes on where it was: Ctrl-C leaves uploads open, and open uploads are remembered
 * (upload-memory.ts). Exit code 0 means that every upload is complete: verified objects, of which nothing can get lost any
 * more. With --wait it means that the videos are ready to be watched. Of several files some go side by side; each that
 * fails is said, and the others go on, unless nobody can be reached. docs/uploads.md
 */
interface UploadFlags extends VideoFlags {
  readonly title?: string
  readonly fileName?: string
  readonly parallel: number
  readonly idempotencyKey?: string
}

export const registerUpload = (program: Command, config: Config): void => {
  const command = program
    .command('upload')
    .description('upload video files; the same command again goes on with what was interrupted')
    .argument('<files...>', 'files, folders (with the videos in them), or - for standard input')
    .option('--title <text>', 'title of the one file (default: the name of the file)')
  detailOptions(command)
    .option('--file-name <name>', 'name of what comes from standard input (default: the title)')
    .option('--parallel <n>', 'parts of a file on their way at a time, at most', wholeNumber, 6)
    .option('--idempotency-key <key>', 'names the upload of the one file: the same key goes on with it')
  waitOption(giveUpOption(command)).option(
    '--json',
    'one JSON object per line; the last of a file has videoId and watchUrl',
  )
  connectionOptions(command, 'upload to').action(async (names: readonly string[], flags: UploadFlags) => {
    keepHeapSmall()
    process.exitCode = await upload(names, flags, config)
  })
}

type Start = (command: UploadCommand) => RunningFile

const upload = async (names: readonly string[], flags: UploadFlags, config: Config): Promise<number> => {
  const report = reportFor(flags, names.length > 1)
  try {
    const starts = await startsOf(names, flags, config, report)
    return await uploadAll(starts, await commandFrom(flags, config, report))
  } catch (error) {
    report.refused(error)
    return exitCodeOf(error)
  } finally {
    report.end()
  }
}

const reportFor = ({ json }: UploadFlags, several: boolean): UploadReport => {
  if (json === true) return jsonReport(console.log)
  if (!process.stderr.isTTY) return lineReport(several, console.log, console.error)
  return barReport((write) => lineReport(several, write, write))
}

/** How each upload is begun, in order. @throws BadInputError */
const startsOf = async (
  names: readonly string[],
  flags: UploadFlags,
  config: Config,
  report: UploadReport,
): Promise<readonly Start[]> => {
  if (names.includes('-')) return [stdinStart(names, flags, report)]
  const { files, skipped } = await chooseFiles(names, config.callerDir)
  report.skipped(skipped)
  if (files.length === 0) {
    throw new BadInputError('NO_VIDEO_FILES', `There is no file that is called like a video in ${names.join(', ')}.`)
  }
  if (files.length > 1 && (flags.title ?? flags.idempotencyKey) !== undefined) {
    throw new BadInputError('ONE_FILE_ONLY', `--title and --idempotency-key are of one file, not of ${files.length}.`)
  }
  return files.map((file) => (command) => uploadFile(() => openFile(file), report.begin(file.shown), command))
}

const stdinStart = (names: readonly string[], { title, fileName }: UploadFlags, report: UploadReport): Start => {
  if (names.length > 1) throw new BadInputError('ONE_FILE_ONLY', 'Standard input (-) goes alone.')
  const name = fileName ?? title
  if (name === undefined) {
    throw new BadInputError('TITLE_MISSING', 'Standard input has no name: give it one with --title or --file-name.')
  }
  return (command) => uploadFile(() => openStdin(name), report.begin('-'), command)
}

const commandFrom = async (flags: UploadFlags, config: Config, report: UploadReport): Promise<UploadCommand> => {
  const stopping = new AbortController()
  void onStopSignal({
    first: () => stopping.abort(),
    again: () => {
      report.end()
      process.exit(EXIT.interrupted)
    },
  })
  const { title, tag: tags } = flags
  return {
    connection: await findConnection(config, flags),
    memory: fileMemory(uploadMemoryFile(config.stateDir)),
    details: { title, tags, ...givenDetails(flags) },
    parallel: flags.parallel,
    idempotencyKey: flags.idempotencyKey,
    giveUpAfterMs: flags.giveUpAfter * 60_000,
    wait: flags.wait === true,
    stop: stopping.signal,
  }
}

/** Small files are mostly waiting for answers; large ones share the line. */
const FILES_AT_A_TIME = 2

/** @returns 0, or the exit code of the first file, in their order, that has another */
const uploadAll = async (starts: readonly Start[], command: UploadCommand): Promise<number> => {
  const settled: Promise<number>[] = []
  let next = 0
  let nobodyThere = false
  const work = async (): Promise<void> => {
    for (let i = next++; i < starts.length && !nobodyThere && !command.stop.aborted; i = next++) {
      const file = starts[i]?.(command)
      if (file === undefined) return
      settled[i] = file.settled
      if ((await file.sent) === EXIT.unreachable) nobodyThere = true
    }
  }
  await Promise.all(Array.from({ length: FILES_AT_A_TIME }, work))
  const codes = await Promise.all(settled)
  const failed = codes.find((code) => code !== EXIT.ok)
  return failed ?? (command.stop.aborted && codes.length < starts.length ? EXIT.interrupted : EXIT.ok)
}

const wholeNumber = (text: string): number => {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= 32) return value
  throw new InvalidArgumentError('expected a whole number from 1 to 32.')
}
