import { measureRate, parseRate } from './frame-rate.ts'
import type { PacketSummary } from './packets.ts'
import type { Rejection, RejectionCode } from './rejections.ts'
import { signatureOf } from './signature.ts'
import type { AudioStream, Colour, ProbedSource, VideoStream } from './types.ts'

/**
 * From ffprobe's words to a source that we know how to treat, or to the reason why not. Pure.
 *
 * A rejection is an answer, not an error: it is decided by the bytes of the file alone and stays true when asked again.
 * Trouble on the way to the bytes (network, storage) must never reach this function; media/ffmpeg.ts throws it.
 *
 * Codecs are accepted from a list, because "everything this build of FFmpeg can decode" includes decoders that nobody
 * has looked at for years. Streams that we do not use (data, attachments, cover pictures) are ignored, not refused.
 */
export type ProbeResult = ProbedSource | Rejection

export const isRejection = (result: ProbeResult): result is Rejection => 'code' in result

/** What is known about the file without FFmpeg. */
export interface FileFacts {
  readonly sizeBytes: number
  /** The first SIGNATURE_BYTES bytes (fewer if the file is shorter). */
  readonly head: Uint8Array
}

export interface SourceLimits {
  readonly maxDurationMs: number
  readonly maxStreams: number
  /** Longest side of the picture. */
  readonly maxSide: number
  readonly maxPixels: number
  readonly maxGapMs: number
}

/** 36 megapixels is 8K with a margin; what is longer than a day, or pauses for ten minutes, is a recording mistake. */
export const SOURCE_LIMITS: SourceLimits = {
  maxDurationMs: 24 * 3600 * 1000,
  maxStreams: 32,
  maxSide: 16_384,
  maxPixels: 36_000_000,
  maxGapMs: 10 * 60 * 1000,
}

/**
 * @param probe parsed output of `ffprobe -show_format -show_streams`; null when ffprobe refused the file
 * @param packets of the stream that `pictureStreamOf(probe)` names; null when there is none
 */
export const sourceFrom = (
  probe: FfprobeOutput | null,
  packets: PacketSummary | null,
  file: FileFacts,
  limits: SourceLimits = SOURCE_LIMITS,
): ProbeResult => {
  if (file.sizeBytes === 0) return reject('EMPTY', 'expected a video, got 0 bytes')
  const signature = signatureOf(file.head)
  if (signature === 'image') return reject('IMAGE', 'expected a video, got the signature of a picture')
  const streams = probe?.streams ?? []
  if (probe === null || streams.length === 0) return unreadable(signature)
  if (streams.length > limits.maxStreams) {
    return reject('LIMIT_STREAMS', `expected at most ${limits.maxStreams} streams, got ${streams.length}`)
  }
  const picture = pictureStreamOf(probe)
  if (picture === null) return reject('NO_VIDEO', `expected a video stream, got ${describeStreams(streams)}`)
  const video = videoFrom(picture, packets, formatStartUs(probe), secondsToUs(probe.format?.duration))
  const refusal = refusePicture(picture, limits) ?? refuseTiming(video, picture, packets, limits)
  if (refusal !== null) return refusal
  const heard = streams.filter(isUsableAudio).map((stream) => audioFrom(stream, formatStartUs(probe)))
  return {
    container: probe.format?.format_name ?? 'unknown',
    sizeBytes: file.sizeBytes,
    durationMs: Math.round((video.startTimeUs + video.durationUs) / 1000),
    video,
    audio: heard,
    warnings: warningsFor(streams, picture, video),
  }
}

/** The stream to show: the default one, else the first that is no cover picture. Null: nothing moves in this file. */
export const pictureStreamOf = (probe: FfprobeOutput): FfprobeStream | null => {
  const moving = (probe.streams ?? []).filter(
    ({ codec_type, disposition }) =>
      codec_type === 'video' && disposition?.attached_pic !== 1 && disposition?.timed_thumbnails !== 1,
  )
  return moving.find(({ disposition }) => disposition?.default === 1) ?? moving[0] ?? null
}

/** The part of ffprobe's JSON that is read. Everything may be missing: it describes files that people made. */
export interface FfprobeOutput {
  readonly streams?: readonly FfprobeStream[]
  readonly format?: {
    readonly format_name?: string
    readonly start_time?: string
    readonly duration?: string
  }
}

export interface FfprobeStream {
  readonly index: number
  readonly codec_type?: string
  readonly codec_name?: string
  readonly width?: number
  readonly height?: number
  readonly sample_aspect_ratio?: string
  readonly pix_fmt?: string
  readonly field_order?: string
  readonly color_range?: string
  readonly color_space?: string
  readonly color_transfer?: string
  readonly color_primaries?: string
  readonly r_frame_rate?: string
  readonly avg_frame_rate?: string
  readonly time_base?: string
  readonly start_time?: string
  readonly duration?: string
  readonly nb_frames?: string
  readonly channels?: number
  readonly sample_rate?: string
  readonly disposition?: Readonly<Record<string, number>>
  readonly tags?: Readonly<Record<string, string>>
  readonly side_data_list?: readonly {
    readonly side_data_type?: string
    readonly rotation?: number
    readonly dv_profile?: number
  }[]
}

const VIDEO_CODECS = new Set(
  `h264 hevc av1 vp8 vp9 mpeg1video mpeg2video mpeg4 msmpeg4v1 msmpeg4v2 msmpeg4v3 h261 h263 flv1 vp6 vp6f vp6a
   wmv1 wmv2 wmv3 vc1 theora prores dnxhd mjpeg dvvideo ffv1 huffyuv ffvhuff utvideo rawvideo v210 cinepak svq1 svq3
   qtrle png cfhd vvc`.split(/\s+/),
)

const AUDIO_CODECS = new Set(
  `aac aac_latm mp1 mp2 mp3 ac3 eac3 dts opus vorbis flac alac wmav1 wmav2 wmapro speex amr_nb amr_wb truehd mlp
   nellymoser adpcm_ms adpcm_ima_wav adpcm_ima_qt adpcm_swf gsm gsm_ms qdm2`.split(/\s+/),
)

const isUsableAudio = ({ codec_type, codec_name = '', channels = 0, sample_rate = '0' }: FfprobeStream): boolean =>
  codec_type === 'audio' &&
  (AUDIO_CODECS.has(codec_name) || codec_name.startsWith('pcm_')) &&
  channels > 0 &&
  Number(sample_rate) > 0

const reject = (code: RejectionCode, detail: string): Rejection => ({ code, detail })

const unreadable = (signature: ReturnType<typeof signatureOf>): Rejection => {
  if (signature === 'audio') return reject('NO_VIDEO', 'expected a video, got the signature of an audio file')
  if (signature === 'video') return reject('UNREADABLE', 'the container could not be read to its streams')
  return reject('NOT_MEDIA', 'the first bytes are of no container that we accept')
}

const refusePicture = (stream: FfprobeStream, limits: SourceLimits): Rejection | null => {
  const { width = 0, height = 0, codec_name = 'unknown' } = stream
  if (!VIDEO_CODECS.has(codec_name)) return reject('UNSUPPORTED', `video codec "${codec_name}" is not accepted`)
  if (width === 0 || height === 0) return reject('UNREADABLE', 'the picture has no size')
  if (Math.max(width, height) > limits.maxSide || width * height > limits.maxPixels) {
    return reject('LIMIT_DIMENSIONS', `expected at most ${limits.maxPixels} pixels, got ${width}x${height}`)
  }
  // Profile 5 has no base layer that means anything without Dolby's own colour transform.
  const dolby = stream.side_data_list?.some(({ dv_profile }) => dv_profile === 5) ?? false
  return dolby ? reject('UNSUPPORTED', 'Dolby Vision profile 5 is not accepted') : null
}

const refuseTiming = (
  video: VideoStream,
  stream: FfprobeStream,
  packets: PacketSummary | null,
  limits: SourceLimits,
): Rejection | null => {
  const durationMs = (video.startTimeUs + video.durationUs) / 1000
  if (durationMs > limits.maxDurationMs) {
    return reject('LIMIT_DURATION', `expected at most ${limits.maxDurationMs} ms, got ${Math.round(durationMs)} ms`)
  }
  const timeBase = parseRate(stream.time_base)
  const gapMs = ((packets?.longestGap ?? 0) * timeBase.num * 1000) / Math.max(1, timeBase.den)
  const sparse = video.frameCount === null ? 0 : video.durationUs / 1000 / video.frameCount
  const worstMs = Math.round(Math.max(gapMs, sparse))
  if (worstMs <= limits.maxGapMs) return null
  return reject('LIMIT_GAP', `expected pauses of at most ${limits.maxGapMs} ms between frames, got ${worstMs} ms`)
}

const videoFrom = (
  stream: FfprobeStream,
  packets: PacketSummary | null,
  originUs: number,
  formatDurationUs: number | null,
): VideoStream => {
  const startTimeUs = (secondsToUs(stream.start_time) ?? originUs) - originUs
  const timeBase = parseRate(stream.time_base)
  const durationUs = pictureDurationUs(stream, packets, timeBase, startTimeUs, formatDurationUs)
  const frames = Number(stream.nb_frames ?? 0)
  const average = frames > 1 && durationUs > 0 ? (frames * 1_000_000) / durationUs : null
  const rate = measureRate(declaredRates(stream), packets?.firstPts ?? [], timeBase, average)
  const sar = parseRate(stream.sample_aspect_ratio)
  const squarePixels = sar.num === 0 || sar.den === 0
  return {
    streamIndex: stream.index,
    codec: stream.codec_name ?? 'unknown',
    width: stream.width ?? 0,
    height: stream.height ?? 0,
    sarNum: squarePixels ? 1 : sar.num,
    sarDen: squarePixels ? 1 : sar.den,
    rotation: rotationOf(stream),
    frameRateNum: rate.num,
    frameRateDen: rate.den,
    variableFrameRate: rate.variable,
    pixelFormat: stream.pix_fmt ?? 'unknown',
    colour: colourOf(stream),
    interlaced: ['tt', 'bb', 'tb', 'bt'].includes(stream.field_order ?? ''),
    frameCount: countedFrames(frames, rate, durationUs),
    startTimeUs,
    durationUs: durationUs > 0 ? durationUs : Math.round((1_000_000 * rate.den) / rate.num),
  }
}

/** A field pair may be declared by its field rate, so half of each declared rate is a candidate, too. */
const declaredRates = (stream: FfprobeStream) => {
  const rates = [parseRate(stream.r_frame_rate), parseRate(stream.avg_frame_rate)]
  return [...rates, ...rates.map(({ num, den }) => ({ num, den: 2 * den }))]
}

/** The index counts frames that an edit list hides; then duration and count disagree and the count is not believed. */
const countedFrames = (frames: number, rate: { num: number; den: number }, durationUs: number): number | null => {
  if (frames < 1) return null
  const expected = (durationUs * rate.num) / rate.den / 1_000_000
  return Math.abs(frames - expected) <= 1.5 ? frames : null
}

/** Most trusted first: a scan of all packets, the stream's own header, Matroska's statistics tag, the last packets. */
const pictureDurationUs = (
  stream: FfprobeStream,
  packets: PacketSummary | null,
  timeBase: { num: number; den: number },
  startTimeUs: number,
  formatDurationUs: number | null,
): number => {
  const ticksToUs = (ticks: number) => Math.round((ticks * timeBase.num * 1_000_000) / timeBase.den)
  if (packets !== null && packets.playedTicks !== null) return ticksToUs(packets.playedTicks)
  const stated = secondsToUs(stream.duration) ?? clockToUs(stream.tags?.DURATION)
  if (stated !== null) return stated
  const [firstPts] = packets?.firstPts ?? []
  if (firstPts !== undefined && packets !== null && packets.endPts !== null) return ticksToUs(packets.endPts - firstPts)
  return Math.max(0, (formatDurationUs ?? 0) - startTimeUs)
}

const audioFrom = (stream: FfprobeStream, originUs: number): AudioStream => ({
  streamIndex: stream.index,
  codec: stream.codec_name ?? 'unknown',
  channels: stream.channels ?? 0,
  sampleRate: Number(stream.sample_rate ?? 0),
  language: /^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/.exec(stream.tags?.language ?? '')?.[0] ?? 'und',
  title: stream.tags?.title ?? null,
  startTimeUs: (secondsToUs(stream.start_time) ?? originUs) - originUs,
  durationUs: secondsToUs(stream.duration) ?? clockToUs(stream.tags?.DURATION),
})

const colourOf = (stream: FfprobeStream): Colour => {
  const said = (value: string | undefined) => (value === undefined || value === 'unknown' ? null : value)
  return {
    primaries: said(stream.color_primaries),
    transfer: said(stream.color_transfer),
    space: said(stream.color_space),
    range: said(stream.color_range),
  }
}

/** ffprobe prints counter-clockwise degrees. Only quarter turns exist in practice; FFmpeg, too, treats others apart. */
const rotationOf = (stream: FfprobeStream): number => {
  const turned = stream.side_data_list?.find(({ rotation }) => rotation !== undefined)?.rotation ?? 0
  const quarters = Math.round(-turned / 90)
  return Math.abs(-turned - quarters * 90) < 1 ? (((quarters % 4) + 4) % 4) * 90 : 0
}

const formatStartUs = (probe: FfprobeOutput): number => secondsToUs(probe.format?.start_time) ?? 0

const secondsToUs = (text: string | undefined): number | null =>
  text !== undefined && /^-?\d+(\.\d+)?$/.test(text) ? Math.round(Number(text) * 1_000_000) : null

/** Matroska's "00:01:02.345000000". */
const clockToUs = (text: string | undefined): number | null => {
  const match = /^(\d+):(\d\d):(\d\d(?:\.\d+)?)$/.exec(text ?? '')
  if (match === null) return null
  return Math.round((Number(match[1]) * 3600 + Number(match[2]) * 60 + Number(match[3])) * 1_000_000)
}

const describeStreams = (streams: readonly FfprobeStream[]): string =>
  streams.map(({ codec_type = 'unknown', codec_name = 'unknown' }) => `${codec_type} (${codec_name})`).join(', ')

const warningsFor = (streams: readonly FfprobeStream[], picture: FfprobeStream, video: VideoStream): string[] => {
  const unheard = streams.filter((stream) => stream.codec_type === 'audio' && !isUsableAudio(stream))
  const ignored = streams.filter(
    (stream) => stream !== picture && stream.codec_type !== 'audio' && stream.codec_type !== 'subtitle',
  )
  return [
    ...unheard.map(({ index, codec_name = 'unknown' }) => `audio stream ${index} (${codec_name}) cannot be decoded`),
    ...ignored.map(({ index, codec_type = 'unknown' }) => `stream ${index} (${codec_type}) is not used`),
    ...(video.variableFrameRate ? ['the frame rate varies and is made constant'] : []),
  ]
}
