import { measuredBandwidth } from '../../media/hls/bandwidth.ts'
import type { RenditionTranscoded, TranscodePlan } from '../../schemas/generated.ts'
import type { MeasuredSegment, SegmentMeasure } from './generated.ts'

/**
 * The figures of finished renditions, from the bytes that were made and never from what was asked of the encoder:
 * RFC 8216's peak and average, length, size. Pure.
 */
export interface Track {
  readonly generation: number
  /** `video`, `audio-0`, `audio-1` … */
  readonly track: string
  readonly plan: TranscodePlan
}

/** What is said of every rendition of a complete track, largest picture first. `segments` are in the order of play. */
export const measureTrack = (track: Track, segments: readonly MeasuredSegment[]): readonly RenditionTranscoded[] =>
  renditionsOf(track).flatMap((rendition) => {
    const measures = segments.flatMap(({ renditions }) => renditions.filter((one) => one.rendition === rendition.name))
    const [first] = measures
    return first === undefined ? [] : [measured(track, rendition, first, measures)]
  })

interface Picture {
  readonly name: string
  readonly width: number | null
  readonly height: number | null
  readonly frameRate: number | null
}

const renditionsOf = ({ track, plan }: Track): readonly Picture[] => {
  if (track !== 'video') {
    const audio = plan.audio.filter((candidate) => candidate.track === track)
    return audio.map(({ rendition }) => ({ name: rendition, width: null, height: null, frameRate: null }))
  }
  const frameRate = plan.frameRateNum / plan.frameRateDen
  return plan.renditions.map(({ name, width, height }) => ({ name, width, height, frameRate }))
}

const measured = (
  { generation, track, plan }: Track,
  { name, width, height, frameRate }: Picture,
  { codecs, timescale }: SegmentMeasure,
  measures: readonly SegmentMeasure[],
): RenditionTranscoded => {
  const ticks = measures.reduce((sum, { durationTicks }) => sum + durationTicks, 0)
  const segments = measures.map((one, index) => ({ ...one, index, fragments: [] }))
  const { peakBps, averageBps } = measuredBandwidth(segments, timescale, targetDurationSeconds(plan))
  return {
    generation,
    track,
    rendition: name,
    width,
    height,
    frameRate,
    codecs,
    peakBandwidthBps: peakBps,
    averageBandwidthBps: averageBps,
    segmentCount: measures.length,
    durationMs: Math.round((ticks * 1000) / timescale),
    sizeBytes: measures.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  }
}

/** As playlists declare it: the planned length of a segment, in whole seconds. */
const targetDurationSeconds = ({ segmentFrames, frameRateNum, frameRateDen }: TranscodePlan): number =>
  Math.round((segmentFrames * frameRateDen) / frameRateNum)
