import type { TranscodePlan } from '../../schemas/generated.ts'
import type { Progress } from './generated.ts'

/**
 * When a revision of the playlists is worth publishing, while the video still grows and at its end.
 *
 * A viewer should see the first frame as soon as two seconds are there, so revisions follow at 2, 4 and 6 s, and then with
 * every segment until 30 s are published: whoever began at once then has more in hand than the two target durations that
 * may pass between a segment and the reload that finds it. (With a pause after 6 s every viewer stalled near second 9.)
 * From then on players reload at most once per target duration, so there is at most one revision per target duration of
 * wall time. The complete one does not wait. Only one is in flight at a time: one that is slow to write is not overtaken.
 */
export const TARGET_DURATION_MS = 6_000

/** Lengths at which the first revisions are due; a little less will do, since segments end on whole frames. */
const EARLY_MS = [2_000, 4_000, 6_000, 12_000, 18_000, 24_000, 30_000] as const
const TOLERANCE_MS = 100

export interface Publishable {
  /** Length of the shortest track, milliseconds. */
  readonly playableMs: number
  /** Every planned rendition is transcoded. */
  readonly isComplete: boolean
}

export type Decision =
  | { readonly kind: 'publish'; readonly complete: boolean }
  | { readonly kind: 'wait'; readonly untilMs: number }
  | { readonly kind: 'nothing' }

const NOTHING: Decision = { kind: 'nothing' }

export const NOT_PUBLISHED: Progress = { asked: 0, inFlight: false, publishedMs: 0, publishedAtMs: 0, complete: false }

export const decidePublication = (progress: Progress, publishable: Publishable, nowMs: number): Decision => {
  if (progress.complete || progress.inFlight) return NOTHING
  if (publishable.isComplete) return { kind: 'publish', complete: true }
  const nextEarlyMs = EARLY_MS.find((dueMs) => progress.publishedMs < dueMs - TOLERANCE_MS)
  if (nextEarlyMs !== undefined) {
    return publishable.playableMs >= nextEarlyMs - TOLERANCE_MS ? { kind: 'publish', complete: false } : NOTHING
  }
  if (publishable.playableMs <= progress.publishedMs) return NOTHING
  const untilMs = progress.publishedAtMs + TARGET_DURATION_MS
  return nowMs >= untilMs ? { kind: 'publish', complete: false } : { kind: 'wait', untilMs }
}

/** Every track of a plan with the names of its renditions. */
export const tracksOf = (
  plan: TranscodePlan,
): readonly { readonly track: string; readonly renditions: readonly string[] }[] => [
  { track: 'video', renditions: plan.renditions.map(({ name }) => name) },
  ...plan.audio.map(({ track, rendition }) => ({ track, renditions: [rendition] })),
]
