import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { UpstreamError } from '../platform/errors.ts'
import { packetArguments, probeArguments } from './arguments.ts'
import { type PacketSummary, parsePacketLine, summarisePackets } from './packets.ts'
import {
  type FfprobeOutput,
  type FfprobeStream,
  type FileFacts,
  type ProbeResult,
  pictureStreamOf,
  sourceFrom,
} from './probe.ts'

/**
 * Asks ffprobe what a file is. Neighbour of ffmpeg.ts; not through fluent-ffmpeg, whose ffprobe takes no signal, no time
 * limit and no wrapper, and parses a text form that loses the error code.
 *
 * One run answers for nearly every file. A second one reads packets where the header leaves a question: the end of the
 * picture (last seconds), or all of them for containers without an index, whose clock may also jump.
 *
 * What is wrong with the file is a Rejection. What is wrong on the way to it (storage, network, a killed process) throws
 * UpstreamError, retryable: the file may be fine.
 */
export interface ProbeOptions {
  readonly signal: AbortSignal
}

/** `command`: everything before ffprobe's own arguments (guard and program). */
export const probeWith =
  (command: readonly string[]) =>
  async (input: string, file: FileFacts, { signal }: ProbeOptions): Promise<ProbeResult> => {
    if (file.sizeBytes === 0) return sourceFrom(null, null, file)
    const output = await firstLook(command, input, signal)
    const picture = output === null ? null : pictureStreamOf(output)
    if (output === null || picture === null) return sourceFrom(output, null, file)
    const packets = await packetsOf(command, input, output, picture, signal)
    return sourceFrom(output, packets, file)
  }

interface FirstLook extends FfprobeOutput {
  readonly packets?: readonly {
    readonly stream_index: number
    readonly pts?: number
    readonly dts?: number
    readonly duration?: number
  }[]
  readonly error?: { readonly code: number; readonly string: string }
}

/** AVERROR codes that speak of the file: invalid data, end of file, not implemented, no demuxer, not whitelisted. */
const FAULTS_OF_THE_FILE = new Set([-1094995529, -541478725, -1163346256, -1296385272, -22])

/** Answers at most this much JSON: a thousand packets and 32 streams are far below. */
const MAX_OUTPUT_CHARS = 16 * 1024 * 1024
/** Containers whose headers know neither duration nor frames, and whose clocks may jump. */
const NO_INDEX = ['mpegts', 'mpeg']
/** A longer step of such a clock is a jump: FFmpeg takes it out when it decodes (its dts_delta_threshold). */
const JUMP_SECONDS = 10
/** How far before its end a file is read to find the last frame. */
const TAIL_SECONDS = 5
const TIME_LIMIT_MS = 120_000

const firstLook = async (command: readonly string[], input: string, signal: AbortSignal): Promise<FirstLook | null> => {
  const lines: string[] = []
  let chars = 0
  const exit = await runLines([...command, ...probeArguments(input)], signal, (line) => {
    chars += line.length
    if (chars <= MAX_OUTPUT_CHARS) lines.push(line)
  })
  const output = parseOutput(lines.join('\n'))
  if (exit.code === 0 && output !== null) return output
  const code = output?.error?.code
  if (code !== undefined && FAULTS_OF_THE_FILE.has(code)) return null
  throw failed(exit)
}

const parseOutput = (text: string): FirstLook | null => {
  try {
    return JSON.parse(text) as FirstLook
  } catch {
    // ffprobe died before it closed the document; the caller reports its exit and last words.
    return null
  }
}

const packetsOf = async (
  command: readonly string[],
  input: string,
  output: FirstLook,
  picture: FfprobeStream,
  signal: AbortSignal,
): Promise<PacketSummary> => {
  const summariser = summarisePackets(picture.index)
  const jumpTicks = JUMP_SECONDS * ticksPerSecond(picture)
  const look = secondLook(output, picture)
  if (look !== 'all') {
    for (const { stream_index, pts, dts, duration } of output.packets ?? []) {
      summariser.add({ streamIndex: stream_index, pts: pts ?? null, dts: dts ?? null, duration: duration ?? null })
    }
  }
  if (look === 'none') return summariser.summary(false, jumpTicks)
  const tail = summarisePackets(picture.index)
  const target = look === 'all' ? summariser : tail
  const exit = await runLines(
    [...command, ...packetArguments(input, picture.index, look === 'all' ? null : look.fromSeconds)],
    signal,
    (line) => {
      const packet = parsePacketLine(line)
      if (packet !== null) target.add(packet)
    },
  )
  if (exit.code !== 0) throw failed(exit)
  const summary = summariser.summary(look === 'all', jumpTicks)
  return look === 'all' ? summary : { ...summary, endPts: tail.summary(false, jumpTicks).endPts ?? summary.endPts }
}

type SecondLook = 'none' | 'all' | { readonly fromSeconds: number }

const secondLook = (output: FirstLook, picture: FfprobeStream): SecondLook => {
  if (NO_INDEX.includes(output.format?.format_name ?? '')) return 'all'
  if (picture.duration !== undefined || picture.tags?.DURATION !== undefined) return 'none'
  return { fromSeconds: Number(output.format?.duration ?? 0) - TAIL_SECONDS }
}

const ticksPerSecond = ({ time_base = '1/1000' }: FfprobeStream): number => {
  const [num = 1, den = 1000] = time_base.split('/').map(Number)
  return den / num
}

interface Exit {
  readonly code: number | null
  readonly signal: string | null
  readonly lastWords: string
}

const runLines = async (
  [program = '', ...args]: readonly string[],
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<Exit> => {
  signal.throwIfAborted()
  const limit = AbortSignal.timeout(TIME_LIMIT_MS)
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: AbortSignal.any([signal, limit]),
    killSignal: 'SIGKILL',
  })
  let lastWords = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    lastWords = (lastWords + text).slice(-2000)
  })
  createInterface({ input: child.stdout }).on('line', onLine)
  const closed = Promise.withResolvers<Exit>()
  child.once('error', closed.reject)
  child.once('close', (code, killedBy) => closed.resolve({ code, signal: killedBy, lastWords }))
  try {
    return await closed.promise
  } catch (error) {
    signal.throwIfAborted()
    if (limit.aborted) throw new UpstreamError('FFPROBE_TIMEOUT', `ffprobe took longer than ${TIME_LIMIT_MS} ms`)
    throw new UpstreamError('FFPROBE_FAILED', `ffprobe could not be run: ${program}`, { cause: error })
  }
}

const failed = ({ code, signal, lastWords }: Exit): UpstreamError =>
  new UpstreamError('FFPROBE_FAILED', `ffprobe could not read the input: ${lastWords.trim().slice(-300)}`, {
    facts: { exitCode: code, signal },
  })
