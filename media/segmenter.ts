import { BugError, UpstreamError } from '../platform/errors.ts'
import type { Fmp4Fragment } from './fmp4.ts'
import { framesOfSegment } from './plan.ts'
import type { ChunkPlan, SegmentRecord, TranscodePlan } from './types.ts'

/**
 * Groups fragments into the segments that the plan says, and checks while doing so that FFmpeg wrote what the plan says:
 * decode times without gap or overlap, one constant step, whole GOPs. What passes is aligned with every other
 * rendition by construction, because all are cut by the same frame counts.
 *
 * One per rendition. Pure; holds the fragments of one segment.
 */
export interface Segment {
  readonly record: SegmentRecord
  readonly decodeTimeTicks: number
  /** The object's bytes in order. */
  readonly parts: readonly Uint8Array[]
}

export interface Segmenter {
  /** The segment that this fragment completes, or null. Throws UpstreamError SEGMENT_MISMATCH (retryable). */
  push(fragment: Fmp4Fragment): Segment | null
  /** The input is over: what is left as a last, shorter segment, or null; and all samples that were pushed. */
  end(): { readonly last: Segment | null; readonly sampleCount: number }
}

/** For one video rendition of one chunk. Chunks begin where a segment begins (BugError CHUNK_GRID if not). */
export const createVideoSegmenter = (plan: TranscodePlan, chunk: ChunkPlan): Segmenter =>
  groupFragments(segmentStartingAt(plan, chunk.startFrame), chunk.startFrame * plan.frameTicks, {
    samplesOfSegment: (index) => framesOfSegment(plan, index),
    samplesOfFragment: (left) => Math.min(plan.gopFrames, left),
    ticksOf: (samples) => samples * plan.frameTicks,
  })

/** For one sound track: FFmpeg already made a fragment of every segment. */
export const createAudioSegmenter = (): Segmenter => groupFragments(0, 0, null)

/** The index of the segment that begins at this frame. */
export const segmentStartingAt = (
  plan: Pick<TranscodePlan, 'firstSegmentFrames' | 'segmentFrames'>,
  startFrame: number,
): number => {
  let index = 0
  let frame = 0
  while (frame < startFrame) {
    frame += framesOfSegment(plan, index)
    index += 1
  }
  if (frame === startFrame) return index
  throw new BugError('CHUNK_GRID', `expected a chunk to begin at a segment, got frame ${startFrame}`)
}

/** What FFmpeg must write, counted in samples. */
interface Grid {
  readonly samplesOfSegment: (index: number) => number
  /** Of the next fragment of a segment that lacks so many; only the very last one may have fewer. */
  readonly samplesOfFragment: (left: number) => number
  readonly ticksOf: (samples: number) => number
}

/** @param grid null: every fragment is a segment, however long */
const groupFragments = (firstIndex: number, startTicks: number, grid: Grid | null): Segmenter => {
  let index = firstIndex
  let expectedTicks = startTicks
  let open: Fmp4Fragment[] = []
  let total = 0
  let isOver = false
  const close = (): Segment => {
    const segment = segmentOf(index, open)
    open = []
    index += 1
    return segment
  }
  /** How many samples the open segment lacks. */
  const lacking = ({ samplesOfSegment }: Grid): number =>
    samplesOfSegment(index) - open.reduce((sum, { sampleCount }) => sum + sampleCount, 0)
  const check = (fragment: Fmp4Fragment): void => {
    if (fragment.decodeTimeTicks !== expectedTicks) {
      throw mismatch(index, `expected decode time ${expectedTicks}, got ${fragment.decodeTimeTicks}`)
    }
    if (grid === null) return
    const { sampleCount, durationTicks } = fragment
    const samples = grid.samplesOfFragment(lacking(grid))
    if (isOver) throw mismatch(index, 'expected nothing after a short fragment')
    if (sampleCount > samples) throw mismatch(index, `expected at most ${samples} frames, got ${sampleCount}`)
    if (durationTicks !== grid.ticksOf(sampleCount)) {
      throw mismatch(
        index,
        `expected ${grid.ticksOf(sampleCount)} ticks for ${sampleCount} frames, got ${durationTicks}`,
      )
    }
    isOver = sampleCount < samples
  }
  return {
    push: (fragment) => {
      check(fragment)
      expectedTicks += fragment.durationTicks
      total += fragment.sampleCount
      open.push(fragment)
      return grid === null || lacking(grid) <= 0 ? close() : null
    },
    end: () => ({ last: open.length === 0 ? null : close(), sampleCount: total }),
  }
}

const mismatch = (index: number, what: string): UpstreamError =>
  new UpstreamError('SEGMENT_MISMATCH', `segment ${index}: ${what}`, { facts: { segment: index } })

const segmentOf = (index: number, fragments: readonly Fmp4Fragment[]): Segment => {
  let offset = 0
  let durationTicks = 0
  const records = fragments.map((fragment) => {
    const record = { offset, keyframeBytes: fragment.keyframeBytes, durationTicks: fragment.durationTicks }
    offset += fragment.bytes.length
    durationTicks += fragment.durationTicks
    return record
  })
  return {
    record: { index, durationTicks, sizeBytes: offset, fragments: records },
    decodeTimeTicks: fragments[0]?.decodeTimeTicks ?? 0,
    parts: fragments.map(({ bytes }) => bytes),
  }
}
