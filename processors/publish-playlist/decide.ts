import type { TranscodePlan } from '../../schemas/generated.ts'
import type { Progress } from './generated.ts'

/**
 * When a revision of the playlists is worth publishing, while the video still grows and at its end.
 *
 * A viewer should see the first frame as soon as a second is there, and whoever begins at once has nothing but that
 * second in hand: so every segment is published as it closes until 30 s are. (With a pause after 6 s every viewer
 * stalled near second 9.) By then a viewer has been given more than the two target durations that may pass between a
 * segment and the reload that finds it, at any encoding speed worth the name; growth.test.ts plays it through.
 * From then on players reload at most once per target duration, so there is at most one revision per target duration of
 * wall time. The complete one does not wait. Only one is in flight at a time: one that is slow to write is not overtaken.
 */
export const TARGET_DURATION_MS = 6_000

/** Until this much is published, every segment is worth a revision. */
const PACED_FROM_MS = 30_000
/** The shortest segment, and the least that is worth a revision; a little less will do, for segments end on whole frames. */
const SHORTEST_MS = 1_000
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
  const { publishedMs, publishedAtMs } = progress
  if (progress.complete || progress.inFlight) return NOTHING
  if (publishable.isComplete) return { kind: 'publish', complete: true }
  if (publishable.playableMs - publishedMs < SHORTEST_MS - TOLERANCE_MS) return NOTHING
  const untilMs = publishedMs < PACED_FROM_MS - TOLERANCE_MS ? nowMs : publishedAtMs + TARGET_DURATION_MS
  return nowMs >= untilMs ? { kind: 'publish', complete: false } : { kind: 'wait', untilMs }
}

/** Every track of a plan with the names of its renditions. */
export const tracksOf = (
  plan: TranscodePlan,
): readonly { readonly track: string; readonly renditions: readonly string[] }[] => [
  { track: 'video', renditions: plan.renditions.map(({ name }) => name) },
  ...plan.audio.map(({ track, rendition }) => ({ track, renditions: [rendition] })),
]
