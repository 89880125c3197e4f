import { planColour } from './colour.ts'
import { fitRenditions } from './fit.ts'
import type { Ladder, LadderAudio } from './ladder.ts'
import type { AudioPlan, AudioStream, ProbedSource, TranscodePlan, VideoStream } from './types.ts'

/**
 * From what a source is to what shall be made of it. Pure: the same source and ladder always give the same plan, so it
 * can be decided inside a processor and written into the log.
 *
 * Time is counted in frames. Every rendition has the same frames, an IDR every `gopFrames` of them, and segments of
 * whole GOPs, so players can switch between renditions at any segment. At 29.97 Hz a "2 s" GOP is 60 frames = 2.002 s:
 * lengths are frame counts and are never rounded to seconds. The first segments are half a GOP (with an IDR of their
 * own), so that playback starts as soon as 1 s is encoded, and they get longer from there to three GOPs: who watches a
 * video while it is encoded has little in hand at first, and a long segment is of no use to anybody until it is whole.
 *
 * Output zero (`originUs`) is chosen so that the first source frame lies exactly on an output frame, while sound that
 * begins earlier keeps its place: the first frame is then repeated for the whole frames in between. Sound and picture
 * are cut against the same origin, which is why they cannot drift apart.
 */
export const planRenditions = (source: ProbedSource, ladder: Ladder): TranscodePlan => {
  const { video } = source
  const rate = outputRate(video)
  const tracks = source.audio.slice(0, ladder.audio.maxTracks)
  const leadFrames = framesBefore(video, tracks, rate)
  const totalFrames = leadFrames + framesOf(video, rate)
  const gopFrames = Math.max(1, Math.round((GOP_SECONDS * rate.num) / rate.den))
  return {
    durationMs: Math.round((totalFrames * rate.den * 1000) / rate.num),
    videoStreamIndex: video.streamIndex,
    originUs: video.startTimeUs - Math.round((leadFrames * rate.den * 1_000_000) / rate.num),
    frameRateNum: rate.num,
    frameRateDen: rate.den,
    ...timescaleFor(rate),
    totalFrames,
    totalFramesExact: isExact(video),
    gopFrames,
    firstSegmentFrames: firstSegments(gopFrames),
    segmentFrames: GOPS_PER_SEGMENT * gopFrames,
    deinterlace: video.interlaced,
    colour: planColour(video),
    renditions: fitRenditions(video, ladder),
    audio: planAudio(tracks, ladder.audio),
    chunks: [{ index: 0, startFrame: 0, endFrame: totalFrames, seekUs: null }],
  }
}

/** The number of frames of segment `index` when nothing cuts it short (the last one may have fewer). */
export const framesOfSegment = (
  plan: Pick<TranscodePlan, 'firstSegmentFrames' | 'segmentFrames'>,
  index: number,
): number => plan.firstSegmentFrames[index] ?? plan.segmentFrames

/** Apple's authoring rules for HLS: an IDR every 2 s, 6 s segments. */
const GOP_SECONDS = 2
const GOPS_PER_SEGMENT = 3
/**
 * 1, 1, 1, 1, 2, 2, 2, 2, 4, 4 and then 6 s: the first frame can be shown 0.3 s earlier than with 2 s in front (25 frames
 * of 720p on two cores) and 3 s earlier than with 6 s. The steps up keep a viewer who began with the first segment
 * supplied at any encoding speed from 1.25 × real time on (docs/adr/0016).
 */
const firstSegments = (gopFrames: number): readonly number[] => {
  const half = Math.ceil(gopFrames / 2)
  const halves = [half, gopFrames - half]
  return [...halves, ...halves, ...Array.from({ length: 4 }, () => gopFrames), 2 * gopFrames, 2 * gopFrames]
}
const AUDIO_SEGMENT_MS = 6000
const MAX_RATE = 60

interface Rate {
  readonly num: number
  readonly den: number
}

/**
 * A constant rate is kept exactly; what is above 60 Hz is halved until it fits. Interlaced pictures give one frame per
 * field, as they were shot. Below 1 Hz (slide shows) frames are repeated, since segments need one now and then.
 */
const outputRate = (video: VideoStream): Rate => {
  let num = video.frameRateNum * (video.interlaced ? 2 : 1)
  let den = video.frameRateDen
  while (num > MAX_RATE * den) den *= 2
  if (num < den) num *= Math.ceil(den / num)
  const divisor = gcd(num, den)
  return { num: num / divisor, den: den / divisor }
}

/** Whole ticks per frame, and at least 10,000 ticks a second: finer than players need, coarse enough for 32 bits. */
const timescaleFor = ({ num, den }: Rate): { timescale: number; frameTicks: number } => {
  let factor = 1
  while (num * factor < 10_000) factor *= 2
  return { timescale: num * factor, frameTicks: den * factor }
}

/** Output frames that pass before the first source frame, because sound begins earlier. */
const framesBefore = (video: VideoStream, audio: readonly AudioStream[], rate: Rate): number => {
  const earliestUs = Math.min(...audio.map(({ startTimeUs }) => startTimeUs), video.startTimeUs)
  return framesIn(video.startTimeUs - earliestUs, rate)
}

const framesOf = (video: VideoStream, rate: Rate): number => {
  if (video.frameCount === null || video.variableFrameRate) return Math.max(1, framesIn(video.durationUs, rate))
  const ratio = (rate.num * video.frameRateDen) / (rate.den * video.frameRateNum)
  return Math.max(1, Math.round(video.frameCount * ratio))
}

const isExact = (video: VideoStream): boolean => video.frameCount !== null && !video.variableFrameRate

const framesIn = (durationUs: number, { num, den }: Rate): number => Math.round((durationUs * num) / den / 1_000_000)

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

const planAudio = (tracks: readonly AudioStream[], ladder: LadderAudio): readonly AudioPlan[] => {
  const labels = tracks.map(({ title, language }, i) => title ?? (language === 'und' ? `Audio ${i + 1}` : language))
  return tracks.map((track, i) => ({
    track: `audio-${i}`,
    rendition: ladder.name,
    streamIndex: track.streamIndex,
    bitrateBps: ladder.bitrateBps,
    channels: ladder.channels,
    sampleRate: ladder.sampleRate,
    segmentMs: AUDIO_SEGMENT_MS,
    language: track.language,
    name: uniqueLabel(labels, i),
    isDefault: i === 0,
  }))
}

/** Players show NAME in a menu and tell tracks apart by it (RFC 8216 4.3.4.1.1: unique within its group). */
const uniqueLabel = (labels: readonly string[], i: number): string => {
  const label = quotable(labels[i] ?? '')
  const taken = labels.slice(0, i).some((other) => quotable(other) === label)
  return taken ? `${label} (${i + 1})` : label
}

/** A quoted string of a playlist holds neither quotes nor line breaks (RFC 8216 4.2). */
const quotable = (text: string): string =>
  text
    .replace(/["\p{Cc}]/gu, ' ')
    .trim()
    .slice(0, 64)
