import fc from 'fast-check'
import t from 'tap'
import { completenessOf } from './completeness.ts'
import type { Fmp4Fragment } from './fmp4.ts'
import { readLadder } from './ladder-file.ts'
import { planRenditions } from './plan.ts'
import { createAudioSegmenter, createVideoSegmenter, type Segment, segmentStartingAt } from './segmenter.ts'
import { aSource } from './testing.ts'
import type { ChunkPlan, TranscodePlan } from './types.ts'

const planOf = (frameCount: number) => planRenditions(aSource({ frameCount }), readLadder())
const wholeOf = (plan: TranscodePlan): ChunkPlan => ({
  index: 0,
  startFrame: 0,
  endFrame: plan.totalFrames,
  seekUs: null,
})

const gop = (plan: TranscodePlan, startFrame: number, frames: number): Fmp4Fragment => ({
  kind: 'fragment',
  bytes: new Uint8Array(100 + frames),
  decodeTimeTicks: startFrame * plan.frameTicks,
  durationTicks: frames * plan.frameTicks,
  sampleCount: frames,
  keyframeBytes: 60,
})

/** Frames of the segments that are half a GOP, the first four. */
const SHORT = 25

const gopsOf = (plan: TranscodePlan, chunk: ChunkPlan): Fmp4Fragment[] => {
  const gops: Fmp4Fragment[] = []
  const isCut = (frame: number) => frame === SHORT || frame === 3 * SHORT
  for (let at = chunk.startFrame; at < chunk.endFrame; ) {
    const frames = Math.min(isCut(at + SHORT) || isCut(at) ? SHORT : plan.gopFrames, chunk.endFrame - at)
    gops.push(gop(plan, at, frames))
    at += frames
  }
  return gops
}

const segmentsOf = (plan: TranscodePlan, chunk: ChunkPlan): Segment[] => {
  const segmenter = createVideoSegmenter(plan, chunk)
  const segments = gopsOf(plan, chunk).flatMap((fragment) => segmenter.push(fragment) ?? [])
  const { last } = segmenter.end()
  return last === null ? segments : [...segments, last]
}

t.test('groups fragments into segments of 1 s, 2 s, 4 s and then 6 s', async (t) => {
  const plan = planOf(720)
  const segments = segmentsOf(plan, wholeOf(plan))
  t.strictSame(
    segments.map(({ record }) => record.durationTicks / plan.frameTicks),
    [25, 25, 25, 25, 50, 50, 50, 50, 100, 100, 150, 70],
  )
  t.strictSame(
    segments.map(({ decodeTimeTicks }) => decodeTimeTicks / plan.frameTicks),
    [0, 25, 50, 75, 100, 150, 200, 250, 300, 400, 500, 650],
  )
  t.strictSame(segments[10]?.record, {
    index: 10,
    durationTicks: 150 * plan.frameTicks,
    sizeBytes: 450,
    fragments: [0, 150, 300].map((offset) => ({ offset, keyframeBytes: 60, durationTicks: 50 * plan.frameTicks })),
  })
})

t.test('numbers the segments of a later chunk from where it begins', async (t) => {
  const plan = planOf(720)
  const [first] = segmentsOf(plan, { index: 1, startFrame: 300, endFrame: 720, seekUs: 11_000_000 })
  t.equal(first?.record.index, 8)
  t.throws(() => segmentStartingAt(plan, 301), { code: 'CHUNK_GRID' })
})

t.test('refuses a gap, an overlap, an uneven step and a short fragment in the middle', async (t) => {
  const plan = planOf(620)
  const pushing = (...fragments: Fmp4Fragment[]) => {
    const segmenter = createVideoSegmenter(plan, wholeOf(plan))
    return () => fragments.map((fragment) => segmenter.push(fragment))
  }
  const mismatch = { code: 'SEGMENT_MISMATCH', retryable: true }
  const start = gop(plan, 0, 25)
  t.throws(pushing(gop(plan, 1, 25)), mismatch, 'does not start at zero')
  t.throws(pushing(start, gop(plan, 26, 25)), mismatch, 'gap')
  t.throws(pushing(start, gop(plan, 24, 25)), mismatch, 'overlap')
  t.throws(pushing({ ...start, durationTicks: 25 * plan.frameTicks + 1 }), mismatch, 'uneven')
  t.throws(pushing(gop(plan, 0, 15), gop(plan, 15, 10)), mismatch, 'short before another')
  t.throws(pushing(gop(plan, 0, 26)), mismatch, 'beyond its segment')
  const four = [0, 25, 50, 75].map((frame) => gop(plan, frame, 25))
  t.throws(pushing(...four, gop(plan, 100, 51)), mismatch, 'longer than a GOP')
})

t.test('every sound fragment is a segment', async (t) => {
  const segmenter = createAudioSegmenter()
  const fragment = { ...gop(planOf(1), 0, 1), durationTicks: 288_768, sampleCount: 282 }
  t.match(segmenter.push(fragment), { record: { index: 0, durationTicks: 288_768 } })
  t.match(segmenter.push({ ...fragment, decodeTimeTicks: 288_768 }), { record: { index: 1 } })
  t.strictSame(segmenter.end(), { last: null, sampleCount: 564 })
})

t.test('no frame is lost or counted twice, whatever the length', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), (frameCount) => {
      const plan = planOf(frameCount)
      const segments = segmentsOf(plan, wholeOf(plan))
      const frames = segments.reduce((sum, { record }) => sum + record.durationTicks / plan.frameTicks, 0)
      return frames === frameCount && segments.every(({ record }, i) => record.index === i)
    }),
  )
})

t.test('tells a complete encode from a short and a truncated one', async (t) => {
  const exact = { totalFrames: 1000, totalFramesExact: true }
  t.equal(completenessOf(exact, 1000), 'complete')
  t.equal(completenessOf(exact, 999), 'short')
  t.equal(completenessOf(exact, 980), 'short')
  t.equal(completenessOf(exact, 979), 'truncated')
  t.equal(completenessOf({ ...exact, totalFramesExact: false }, 998), 'complete')
  t.equal(completenessOf({ ...exact, totalFrames: 1 }, 0), 'truncated')
})
