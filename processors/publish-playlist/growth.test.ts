import fc from 'fast-check'
import t from 'tap'
import { readLadder } from '../../media/ladder-file.ts'
import { framesOfSegment, planRenditions } from '../../media/plan.ts'
import { aSource } from '../../media/testing.ts'
import { decidePublication, NOT_PUBLISHED, TARGET_DURATION_MS } from './decide.ts'

/**
 * Plays a video while it grows, on paper: an encoder that closes segments, this processor's revisions, and a viewer who
 * begins with the first of them. Time runs in steps of 10 ms from the moment the first segment is stored.
 *
 * Two viewers are played. One asks again as RFC 8216 (6.3.4) and hls.js do: a target duration after a change (or the
 * last segment's length, when that is shorter), half of one when nothing had changed. The other uses the blocking reload
 * that our API offers: its answer comes with the next revision.
 */
const STEP_MS = 10
/** Store, commit and fold a revision; seen 100 … 150 ms with everything on two busy cores. */
const PUBLISH_MS = 150
/** From the news of the first revision to the first frame. */
const START_MS = 300
/** One request for a playlist or a segment, with what the player does with it. */
const LOAD_MS = 60

const ladder = readLadder()

/** Lengths of the segments of a video, ms, as media/plan.ts cuts it. */
const segmentsOf = (seconds: number): readonly number[] => {
  const plan = planRenditions(aSource({ frameCount: seconds * 25 }), ladder)
  const lengths: number[] = []
  for (let frames = 0; frames < plan.totalFrames; frames += framesOfSegment(plan, lengths.length - 1)) {
    lengths.push(Math.min(framesOfSegment(plan, lengths.length), plan.totalFrames - frames) * 40)
  }
  return lengths
}

interface Scene {
  readonly segmentsMs: readonly number[]
  /** Speed of the encoder while it makes segment n, as a multiple of real time. */
  speed(n: number): number
  readonly reload: 'plain' | 'blocking'
}

interface Revision {
  readonly atMs: number
  readonly segments: number
  readonly complete: boolean
}

/** When the viewer runs dry, ms of play; empty for a smooth view. */
const stalls = ({ segmentsMs, speed, reload }: Scene): readonly number[] => {
  const revisions = revisionsOf(segmentsMs, speed)
  const at = (nowMs: number) => revisions.findLast(({ atMs }) => atMs <= nowMs)
  const totalMs = sum(segmentsMs)
  const dry: number[] = []
  let known: Revision | undefined
  let askAtMs = (revisions[0]?.atMs ?? 0) + START_MS - 2 * LOAD_MS
  let loaded = 0
  let loadedAtMs = 0
  let playedMs = 0
  let isDry = false
  let begun = false
  for (let nowMs = 0; playedMs < totalMs; nowMs += STEP_MS) {
    const newest = at(nowMs - LOAD_MS)
    const isNew = newest !== undefined && newest.segments > (known?.segments ?? 0)
    if (nowMs >= askAtMs + LOAD_MS && !known?.complete && (isNew || reload === 'plain')) {
      const last = segmentsMs[(newest?.segments ?? 1) - 1] ?? 0
      const pauseMs = isNew ? Math.min(last, TARGET_DURATION_MS) : TARGET_DURATION_MS / 2
      askAtMs = reload === 'blocking' ? nowMs : askAtMs + pauseMs
      known = newest
    }
    if (loaded < (known?.segments ?? 0) && nowMs >= loadedAtMs + LOAD_MS) {
      loaded += 1
      loadedAtMs = nowMs
    }
    const bufferedMs = sum(segmentsMs.slice(0, loaded))
    begun ||= bufferedMs > 0
    const wasDry = isDry
    isDry = begun && playedMs + STEP_MS > bufferedMs
    if (begun && !isDry) playedMs += STEP_MS
    if (isDry && !wasDry) dry.push(playedMs)
  }
  return dry
}

/** What publish-playlist says, and when players can have it. */
const revisionsOf = (segmentsMs: readonly number[], speed: (n: number) => number): readonly Revision[] => {
  const closesAtMs = segmentsMs.map((_, n) => sum(segmentsMs.slice(1, n + 1).map((ms, i) => ms / speed(i + 1))))
  const revisions: Revision[] = []
  let progress = NOT_PUBLISHED
  for (let nowMs = 0; !progress.complete; nowMs += STEP_MS) {
    const inFlight = revisions.at(-1)
    if (progress.inFlight && inFlight !== undefined && nowMs >= inFlight.atMs) {
      const publishedMs = sum(segmentsMs.slice(0, inFlight.segments))
      progress = { ...progress, inFlight: false, publishedMs, publishedAtMs: nowMs, complete: inFlight.complete }
    }
    const segments = closesAtMs.filter((atMs) => atMs <= nowMs).length
    const isComplete = segments === segmentsMs.length
    const decision = decidePublication(progress, { playableMs: sum(segmentsMs.slice(0, segments)), isComplete }, nowMs)
    if (decision.kind !== 'publish') continue
    revisions.push({ atMs: nowMs + PUBLISH_MS, segments, complete: decision.complete })
    progress = { ...progress, inFlight: true }
  }
  return revisions
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

const SECONDS = 120
const segmentsMs = segmentsOf(SECONDS)

t.test('segments as they are planned', async (t) => {
  t.strictSame(
    segmentsMs.slice(0, 12),
    [1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 6, 6].map((seconds) => seconds * 1_000),
  )
  t.equal(sum(segmentsMs), SECONDS * 1_000)
})

t.test('nobody who reloads with blocking runs dry while the encoder keeps 1.25 × real time', async (t) => {
  const speeds = fc.array(fc.double({ min: 1.25, max: 6, noNaN: true }), { minLength: 1, maxLength: segmentsMs.length })
  fc.assert(
    fc.property(speeds, (xs) => {
      const dry = stalls({ segmentsMs, speed: (n) => xs[n % xs.length] ?? 1.25, reload: 'blocking' })
      return dry.length === 0
    }),
    { examples: [[[1.25]]] },
  )
  t.pass()
})

t.test('the long segments from the fourth on, or plain reloads, would need a faster encoder', async (t) => {
  const steep = [2_000, 2_000, 2_000, ...Array.from({ length: 19 }, () => 6_000)]
  t.not(stalls({ segmentsMs: steep, speed: () => 1.5, reload: 'blocking' }).length, 0)
  t.not(stalls({ segmentsMs, speed: () => 1.5, reload: 'plain' }).length, 0)
})
