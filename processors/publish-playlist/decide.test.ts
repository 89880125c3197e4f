import fc from 'fast-check'
import t from 'tap'
import { examples } from '../../schemas/examples.ts'
import { decidePublication, NOT_PUBLISHED, TARGET_DURATION_MS, tracksOf } from './decide.ts'

const NOW_MS = 1_000_000
const published = (publishedMs: number, publishedAtMs = NOW_MS) => ({
  ...NOT_PUBLISHED,
  asked: 1,
  publishedMs,
  publishedAtMs,
})
const growing = (playableMs: number) => ({ playableMs, isComplete: false })
const GROW = { kind: 'publish', complete: false } as const
const FINISH = { kind: 'publish', complete: true } as const
const NOTHING = { kind: 'nothing' } as const

t.test('the first thirty seconds are published segment by segment, however fast they come', async (t) => {
  t.strictSame(decidePublication(NOT_PUBLISHED, growing(800), NOW_MS), NOTHING)
  t.strictSame(decidePublication(NOT_PUBLISHED, growing(1_000), NOW_MS), GROW)
  t.strictSame(decidePublication(published(1_000), growing(1_500), NOW_MS), NOTHING)
  for (const [before, after] of [
    [1_000, 2_000],
    [2_000, 4_000],
    [8_000, 12_000],
    [16_000, 22_000],
    [28_000, 34_000],
  ] as const) {
    t.strictSame(decidePublication(published(before), growing(after), NOW_MS), GROW)
  }
})

t.test('segments end on whole frames: 0.96 s are a second', async (t) => {
  t.strictSame(decidePublication(NOT_PUBLISHED, growing(960), NOW_MS), GROW)
  t.strictSame(decidePublication(published(960), growing(960), NOW_MS), NOTHING)
})

t.test('then at most one per target duration of wall time, and only when there is more to see', async (t) => {
  const wait = { kind: 'wait', untilMs: NOW_MS + TARGET_DURATION_MS } as const
  t.strictSame(decidePublication(published(30_000), growing(36_000), NOW_MS + 5_999), wait)
  t.strictSame(decidePublication(published(30_000), growing(36_000), NOW_MS + 6_000), GROW)
  t.strictSame(decidePublication(published(30_000), growing(30_000), NOW_MS + 60_000), NOTHING)
})

t.test('the complete one does not wait', async (t) => {
  const whole = { playableMs: 6_000, isComplete: true }
  t.strictSame(decidePublication(published(6_000), whole, NOW_MS), FINISH)
  t.strictSame(decidePublication(NOT_PUBLISHED, { playableMs: 40, isComplete: true }, NOW_MS), FINISH)
})

t.test('one is in flight at a time, and none follows the complete one', async () => {
  const publishable = fc.record({ playableMs: fc.nat(100_000), isComplete: fc.boolean() })
  fc.assert(
    fc.property(publishable, fc.boolean(), fc.nat(), (state, inFlight, now) => {
      const progress = { ...published(2_000), inFlight, complete: !inFlight }
      return decidePublication(progress, state, now).kind === 'nothing'
    }),
  )
})

t.test('what is published only grows', async () => {
  fc.assert(
    fc.property(fc.nat(60_000), fc.nat(60_000), fc.nat(60_000), (before, now, laterMs) => {
      const decision = decidePublication(published(before), growing(now), NOW_MS + laterMs)
      return decision.kind !== 'publish' || now > before
    }),
  )
})

t.test('a plan names its tracks, the picture first', async (t) => {
  t.strictSame(tracksOf(examples.TranscodePlanned.plan), [
    { track: 'video', renditions: ['720p', '480p', '180p'] },
    { track: 'audio-0', renditions: ['aac'] },
  ])
})
