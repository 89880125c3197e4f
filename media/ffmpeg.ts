import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import fluent from 'fluent-ffmpeg'
import { BugError, ConfigError, UpstreamError } from '../platform/errors.ts'
import type { Logger } from '../platform/log.ts'
import { argumentsOf, type FfmpegCommand } from './arguments.ts'
import { type ProbeOptions, probeWith } from './ffprobe.ts'
import { openOutputSockets } from './output-sockets.ts'
import type { FileFacts, ProbeResult } from './probe.ts'
import { ENCODE_LIMITS, type GuardLimits, type GuardTools, guardArguments, PROBE_LIMITS } from './process-guard.ts'
import { createProgressReader, type Progress } from './progress.ts'

/**
 * The one place that starts FFmpeg, and the only one that knows fluent-ffmpeg.
 *
 * fluent-ffmpeg 2.1.3 is archived; these are the fences around what it does:
 *   - a `progress` listener makes it run a bare ffprobe on the input, without our whitelists. We never add one; progress
 *     is read from `-progress pipe:2`, which arrives as `stderr` lines;
 *   - before each command it runs `ffmpeg -formats` and `-encoders` to check names. Our commands are pinned by golden
 *     tests, so those two questions are answered here and cost no process;
 *   - its program path is a global of the module, shared by all commands. We always set the same one, `env`, and put the
 *     guard and the real path behind it (process-guard.ts);
 *   - option lists given as an array, or as a single string, are split at spaces. Given as several arguments they are not;
 *   - `kill()` before the process exists is lost: an abort that comes early is applied at its `start` event;
 *   - its timeout kills once and politely. The watchdog here escalates: SIGTERM, 5 s, SIGKILL;
 *   - its error holds the last line only. We keep 200.
 *
 * An exit code of 0 means "FFmpeg stopped by itself", no more: a torn connection ends that way, too. The caller compares
 * what came out with the plan.
 */
export interface Ffmpeg {
  /** What a file is, or why it is refused. `input`: a path, or an http:// URL of a loopback proxy. */
  probe(input: string, file: FileFacts, options: ProbeOptions): Promise<ProbeResult>
  /**
   * Runs one command and feeds what it writes to the sinks, in step. Resolves when FFmpeg has exited with 0 and every
   * sink has taken all its bytes. Throws what a sink threw; the signal's reason; UpstreamError FFMPEG_FAILED (exit code
   * or signal) or FFMPEG_STALLED (no progress for `stallMs` while nobody held it back), both retryable. Whatever
   * happens, the process is gone when the promise settles.
   */
  run(
    build: (outputUrls: readonly string[]) => FfmpegCommand,
    sinks: readonly Sink[],
    options: RunOptions,
  ): Promise<Run>
  /** First line of `ffmpeg -version`: part of a job's toolchain. ConfigError FFMPEG_MISSING when it cannot be run. */
  version(): Promise<string>
}

/** Takes everything one output writes. Slow sinks hold FFmpeg back. A torn output throws inside the iteration. */
export type Sink = (bytes: AsyncIterable<Uint8Array>) => Promise<void>

export interface RunOptions {
  readonly signal: AbortSignal
  /** Called about twice a second. */
  readonly onProgress?: (progress: Progress) => void
  /** Default 30,000. */
  readonly stallMs?: number
  /** Default ENCODE_LIMITS. */
  readonly limits?: GuardLimits
}

export interface Run {
  readonly progress: Progress
  readonly wallMs: number
  /** The last 200 messages of FFmpeg, warnings included. */
  readonly messages: readonly string[]
}

export interface FfmpegSettings {
  readonly ffmpegPath: string
  readonly ffprobePath: string
  readonly log: Logger
}

/** Looks up the programs and the guard's tools once. Throws ConfigError FFMPEG_MISSING if a program is not there. */
export const createFfmpeg = async ({ ffmpegPath, ffprobePath, log }: FfmpegSettings): Promise<Ffmpeg> => {
  const [ffmpeg, ffprobe] = await Promise.all([mustFind(ffmpegPath), mustFind(ffprobePath)])
  const [prlimit, setpriv, nice] = await Promise.all(['prlimit', 'setpriv', 'nice'].map(find))
  const tools: GuardTools = { prlimit: prlimit ?? null, setpriv: setpriv ?? null, nice: nice ?? null }
  if (tools.setpriv === null) log.warn({ tools: JSON.stringify(tools) }, 'ffmpeg runs without a parent death signal')
  return {
    probe: probeWith([...guardArguments(tools, PROBE_LIMITS), ffprobe]),
    run: (build, sinks, options) => {
      const guarded = [...guardArguments(tools, options.limits ?? ENCODE_LIMITS), ffmpeg]
      return runWithSinks(guarded, build, sinks, options, log)
    },
    version: () => versionOf(ffmpeg),
  }
}

const RING_LINES = 200
const STALL_MS = 30_000
const POLITE_MS = 5_000
const WATCH_MS = 500
const NO_PROGRESS: Progress = { frames: 0, timeMs: 0, speed: null, finished: false }

const runWithSinks = async (
  guarded: readonly string[],
  build: (outputUrls: readonly string[]) => FfmpegCommand,
  sinks: readonly Sink[],
  options: RunOptions,
  log: Logger,
): Promise<Run> => {
  options.signal.throwIfAborted()
  await using scope = new AsyncDisposableStack()
  const sockets = await openOutputSockets(sinks.length)
  scope.defer(sockets.close)
  const sinkFailed = new AbortController()
  const command = build(sockets.urls)
  log.info({ command: shellQuoted(argumentsOf(withoutUrl(command))) }, 'ffmpeg starts')
  const taken = sinks.map(async (sink, i) => {
    try {
      await sink(sockets.streams[i] ?? emptyStream())
    } catch (error) {
      sinkFailed.abort(error)
      throw error
    }
  })
  const process = execute(guarded, command, {
    signal: AbortSignal.any([options.signal, sinkFailed.signal]),
    stallMs: options.stallMs ?? STALL_MS,
    onProgress: options.onProgress ?? (() => undefined),
    isHeld: sockets.isHeld,
    bytesOut: sockets.bytesRead,
  })
  const ended = process.then(
    () => sockets.processEnded(null),
    (error: Error) => sockets.processEnded(error),
  )
  const results = await Promise.allSettled([process, ended, ...taken])
  options.signal.throwIfAborted()
  if (sinkFailed.signal.aborted) throw sinkFailed.signal.reason
  for (const result of results) if (result.status === 'rejected') throw result.reason
  return await process
}

async function* emptyStream(): AsyncGenerator<Uint8Array> {}

interface Supervision {
  readonly signal: AbortSignal
  readonly stallMs: number
  readonly onProgress: (progress: Progress) => void
  /** True while our own side holds FFmpeg back, which is no stall. */
  readonly isHeld: () => boolean
  readonly bytesOut: () => number
}

const execute = async (guarded: readonly string[], command: FfmpegCommand, supervision: Supervision): Promise<Run> => {
  const startedAt = performance.now()
  const reader = createProgressReader()
  const messages: string[] = []
  let progress = NO_PROGRESS
  const fluentCommand = translate(guarded, command)
  const ending = endOf(fluentCommand)
  const watchdog = watch(fluentCommand, supervision, () => progress)
  fluentCommand.on('stderr', (line: string) => {
    const read = reader.read(line)
    if (read === null) return
    if ('message' in read) {
      messages.push(read.message)
      if (messages.length > RING_LINES) messages.shift()
      return
    }
    progress = read.progress
    supervision.onProgress(progress)
  })
  fluentCommand.run()
  const failure = await ending
  watchdog.stop()
  supervision.signal.throwIfAborted()
  if (watchdog.stalled()) {
    throw new UpstreamError('FFMPEG_STALLED', `ffmpeg made no progress for ${supervision.stallMs} ms`, {
      facts: { frames: progress.frames, lastMessage: messages.at(-1) ?? null },
    })
  }
  if (failure !== null) {
    throw new UpstreamError('FFMPEG_FAILED', `${firstLine(failure.message)}: ${messages.slice(-3).join(' | ')}`, {
      facts: { frames: progress.frames },
    })
  }
  return { progress, wallMs: Math.round(performance.now() - startedAt), messages }
}

/** The command in fluent-ffmpeg's words. It must come out as the guard followed by `argumentsOf(command)`. */
const translate = (guarded: readonly string[], command: FfmpegCommand): fluent.FfmpegCommand => {
  const [env = 'env', ...guard] = guarded
  const translated = fluent({ stdoutLines: 1 })
  translated.setFfmpegPath(env)
  // Answers instead of processes.
  translated.availableFormats = (callback) => callback(NO_ERROR, KNOWN_FORMATS)
  translated.availableEncoders = (callback) => callback(NO_ERROR, {})
  translated.input(command.input).inputOptions(...pair([...guard, ...command.inputOptions]))
  if (command.filterGraph !== null) translated.complexFilter(command.filterGraph)
  for (const { options, url } of command.outputs) translated.output(url).outputOptions(...pair(options))
  return translated
}

/** A single argument would be split at its spaces; there are always at least two (an option and its value). */
const pair = (options: readonly string[]): string[] => {
  if (options.length < 2)
    throw new BugError('FFMPEG_ARGUMENTS', `expected at least two arguments, got ${options.length}`)
  return [...options]
}

/** The library tests for null; its types say Error. */
const NO_ERROR = null as unknown as Error

/** Knows every name: FFmpeg itself says what it does not have, and says it better. */
const KNOWN_FORMATS: fluent.Formats = new Proxy<fluent.Formats>(
  {},
  { has: () => true, get: (_, name) => ({ description: String(name), canDemux: true, canMux: true }) },
)

/** null when FFmpeg exited with 0. */
const endOf = (command: fluent.FfmpegCommand): Promise<Error | null> => {
  const ended = Promise.withResolvers<Error | null>()
  command.once('end', () => ended.resolve(null))
  command.once('error', (error: Error) => ended.resolve(error))
  return ended.promise
}

/** Ends the process on abort or stall: asks with SIGTERM, insists with SIGKILL. */
const watch = (command: fluent.FfmpegCommand, supervision: Supervision, progress: () => Progress) => {
  let stalled = false
  let ending: NodeJS.Timeout | null = null
  let seen = ''
  let movedAt = performance.now()
  const end = (): void => {
    if (ending !== null) return
    command.kill('SIGTERM')
    ending = setTimeout(() => command.kill('SIGKILL'), POLITE_MS)
  }
  const look = (): void => {
    const { frames, timeMs } = progress()
    const now = `${frames} ${timeMs} ${supervision.bytesOut()}`
    if (now !== seen || supervision.isHeld()) movedAt = performance.now()
    seen = now
    if (performance.now() - movedAt < supervision.stallMs) return
    stalled = true
    end()
  }
  const timer = setInterval(look, Math.min(WATCH_MS, supervision.stallMs))
  // Before this event there is no process that a signal could reach.
  command.once('start', () => {
    if (supervision.signal.aborted) end()
    else supervision.signal.addEventListener('abort', end, { once: true })
  })
  return {
    stalled: () => stalled,
    stop: (): void => {
      clearInterval(timer)
      if (ending !== null) clearTimeout(ending)
      supervision.signal.removeEventListener('abort', end)
    },
  }
}

const run = promisify(execFile)

/** The absolute path of a program, by the PATH of this process; null if there is none. */
const find = async (program: string): Promise<string | null> => {
  try {
    const { stdout } = await run('sh', ['-c', 'command -v -- "$1"', 'sh', program])
    return stdout.trim() === '' ? null : stdout.trim()
  } catch {
    // The shell's way to say "not found" is its exit code.
    return null
  }
}

const mustFind = async (program: string): Promise<string> => {
  const path = await find(program)
  if (path !== null) return path
  throw new ConfigError(
    'FFMPEG_MISSING',
    `"${program}" was not found: install FFmpeg or set FFMPEG_PATH and FFPROBE_PATH`,
  )
}

const versionOf = async (ffmpeg: string): Promise<string> => {
  const { stdout } = await run(ffmpeg, ['-version'])
  return firstLine(stdout).replace(/ Copyright.*$/, '')
}

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? ''

/** Whoever has the URL of a source can read it, so it is no matter for a log. */
const withoutUrl = (command: FfmpegCommand): FfmpegCommand =>
  command.input.startsWith('http') ? { ...command, input: 'SOURCE' } : command

/** For the log: can be pasted into a shell. */
const shellQuoted = (args: readonly string[]): string =>
  ['ffmpeg', ...args]
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(' ')
