import { execFile } from 'node:child_process'
import { mkdir, open, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { audioCommand, videoCommand } from './arguments.ts'
import type { Ffmpeg, Sink } from './ffmpeg.ts'
import type { Fmp4Init } from './fmp4.ts'
import { iFrameBandwidth, measuredBandwidth } from './hls/bandwidth.ts'
import { masterPlaylist } from './hls/master-playlist.ts'
import { iFramePlaylist, type MediaPlaylist, mediaPlaylist, targetDurationOf } from './hls/media-playlist.ts'
import { isRejection, type ProbeResult } from './probe.ts'
import { createAudioSegmenter, createVideoSegmenter, type Segment } from './segmenter.ts'
import { SIGNATURE_BYTES } from './signature.ts'
import { trackSink } from './track-sink.ts'
import type { SegmentRecord, TranscodePlan } from './types.ts'

/**
 * For tests and benches: the whole path from a file to a folder that a player can play, without Kafka or S3. Layout and
 * relative URIs are those of the bucket: <folder>/<track>/<rendition>/NNNNN.m4s and <folder>/r0/*.m3u8.
 */
export interface TestTrack {
  readonly track: string
  readonly rendition: string
  readonly timescale: number
  readonly init: Fmp4Init
  readonly records: readonly SegmentRecord[]
  readonly decodeTimes: readonly number[]
  readonly samples: number
  /** Milliseconds from the start of encoding until each segment was whole. */
  readonly arrivedAtMs: readonly number[]
}

export const probeFile = async (ffmpeg: Ffmpeg, path: string): Promise<ProbeResult> => {
  const file = await open(path)
  const head = new Uint8Array(SIGNATURE_BYTES)
  const { bytesRead } = await file.read(head, 0, SIGNATURE_BYTES, 0)
  await file.close()
  const { size } = await stat(path)
  const signal = AbortSignal.timeout(30_000)
  return await ffmpeg.probe(path, { sizeBytes: size, head: head.subarray(0, bytesRead) }, { signal })
}

export const mustProbe = async (ffmpeg: Ffmpeg, path: string) => {
  const result = await probeFile(ffmpeg, path)
  if (isRejection(result)) throw new Error(`${path} was rejected: ${result.code} ${result.detail}`)
  return result
}

export interface TranscodeOptions {
  readonly threads?: number
  readonly chunk?: number
}

export const transcodeVideo = async (
  ffmpeg: Ffmpeg,
  plan: TranscodePlan,
  source: string,
  folder: string,
  options: TranscodeOptions = {},
): Promise<readonly TestTrack[]> => {
  const chunk = plan.chunks[options.chunk ?? 0]
  if (chunk === undefined) throw new Error('no such chunk')
  const tracks = plan.renditions.map(({ name }) => collect(folder, 'video', name, plan.timescale))
  const sinks = tracks.map((track) => trackSink(createVideoSegmenter(plan, chunk), plan.timescale, track.handlers))
  await run(ffmpeg, (urls) => videoCommand(plan, chunk, source, urls, options.threads ?? 2), sinks)
  return tracks.map((track) => track.result())
}

export const transcodeAudio = async (
  ffmpeg: Ffmpeg,
  plan: TranscodePlan,
  source: string,
  folder: string,
): Promise<readonly TestTrack[]> => {
  if (plan.audio.length === 0) return []
  const tracks = plan.audio.map(({ track, rendition, sampleRate }) => collect(folder, track, rendition, sampleRate))
  const sinks = tracks.map((track, i) =>
    trackSink(createAudioSegmenter(), plan.audio[i]?.sampleRate ?? 0, track.handlers),
  )
  await run(ffmpeg, (urls) => audioCommand(plan, source, urls), sinks)
  return tracks.map((track) => track.result())
}

const run = async (ffmpeg: Ffmpeg, build: Parameters<Ffmpeg['run']>[0], sinks: readonly Sink[]): Promise<void> => {
  await ffmpeg.run(build, sinks, { signal: AbortSignal.timeout(600_000) })
}

/** Writes all playlists below <folder>/r0 and returns their texts by file name. */
export const writePlaylists = async (
  plan: TranscodePlan,
  video: readonly TestTrack[],
  audio: readonly TestTrack[],
  folder: string,
): Promise<ReadonlyMap<string, string>> => {
  const tracks = [...video, ...audio]
  const targetDurationSeconds = targetDurationOf(
    tracks.flatMap(({ records, timescale }) => records.map(({ durationTicks }) => durationTicks / timescale)),
  )
  const playlistOf = (track: TestTrack): MediaPlaylist => ({
    mapUri: `../${track.track}/${track.rendition}/init.mp4`,
    timescale: track.timescale,
    targetDurationSeconds,
    segments: track.records.map((record) => ({
      uri: `../${track.track}/${track.rendition}/${segmentName(record)}`,
      record,
    })),
    complete: true,
  })
  const texts = new Map<string, string>()
  for (const track of tracks) texts.set(`${track.track}-${track.rendition}.m3u8`, mediaPlaylist(playlistOf(track)))
  for (const track of video) texts.set(`iframes-${track.rendition}.m3u8`, iFramePlaylist(playlistOf(track)))
  const master = masterPlaylist({
    variants: video.map((track, i) => ({
      uri: `video-${track.rendition}.m3u8`,
      width: plan.renditions[i]?.width ?? 0,
      height: plan.renditions[i]?.height ?? 0,
      frameRateNum: plan.frameRateNum,
      frameRateDen: plan.frameRateDen,
      codecs: track.init.codecs,
      bandwidth: measuredBandwidth(track.records, track.timescale, targetDurationSeconds),
      iFrames: {
        uri: `iframes-${track.rendition}.m3u8`,
        bandwidth: iFrameBandwidth(track.records, track.timescale, targetDurationSeconds),
      },
    })),
    audio: audio.map((track, i) => ({
      uri: `${track.track}-${track.rendition}.m3u8`,
      name: plan.audio[i]?.name ?? '',
      language: plan.audio[i]?.language ?? 'und',
      isDefault: plan.audio[i]?.isDefault ?? false,
      channels: plan.audio[i]?.channels ?? 2,
      codecs: track.init.codecs,
      bandwidth: measuredBandwidth(track.records, track.timescale, targetDurationSeconds),
    })),
  })
  texts.set('master.m3u8', master)
  for (const [name, text] of texts) await writeInto(join(folder, 'r0', name), [new TextEncoder().encode(text)])
  return texts
}

/** Runs the stock ffmpeg: makes inputs from its synthetic sources, and decodes what we made. */
export const stockFfmpeg = async (...args: readonly string[]): Promise<Buffer> => {
  const { stdout } = await promisify(execFile)('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...args], {
    encoding: 'buffer',
    maxBuffer: 1024 ** 3,
  })
  return stdout
}

export const stockFfprobe = async (...args: readonly string[]): Promise<string> =>
  (await promisify(execFile)('ffprobe', ['-v', 'error', ...args], { maxBuffer: 1024 ** 3 })).stdout

const segmentName = ({ index }: SegmentRecord): string => `${String(index).padStart(5, '0')}.m4s`

const collect = (folder: string, track: string, rendition: string, timescale: number) => {
  const startedAt = performance.now()
  const records: SegmentRecord[] = []
  const decodeTimes: number[] = []
  const arrivedAtMs: number[] = []
  let init: Fmp4Init | null = null
  let samples = 0
  const place = (name: string) => join(folder, track, rendition, name)
  return {
    handlers: {
      init: async (part: Fmp4Init) => {
        init = part
        await writeInto(place('init.mp4'), [part.bytes])
      },
      segment: async ({ record, decodeTimeTicks, parts }: Segment) => {
        records.push(record)
        decodeTimes.push(decodeTimeTicks)
        arrivedAtMs.push(performance.now() - startedAt)
        await writeInto(place(segmentName(record)), parts)
      },
      ended: async (count: number) => {
        samples = count
      },
    },
    result: (): TestTrack => {
      if (init === null) throw new Error(`${track}/${rendition} has no header`)
      return { track, rendition, timescale, init, records, decodeTimes, samples, arrivedAtMs }
    },
  }
}

const writeInto = async (path: string, parts: readonly Uint8Array[]): Promise<void> => {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, Buffer.concat(parts))
}
