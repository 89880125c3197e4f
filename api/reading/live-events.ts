/**
 * The live tail of one video: its facts as they come, from video-history, woken by NOTIFY.
 *
 * The id of an event is its position on video-events (`<partition>:<offset>`), so a client that was cut off goes on
 * exactly behind the last event that it saw. A fact is told only when the catalogue shows it too: who hears
 * PlaylistPublished and asks for the playlist at once must find it.
 */
import type { ApiContext } from '../context.ts'
import { reading } from './read.ts'

export interface LiveEvent {
  readonly event: 'fact' | 'status'
  readonly id: string
  readonly data: Readonly<Record<string, unknown>>
}

/** Columns of a snapshot that a live page shows. */
interface Snapshot {
  readonly status: string
  readonly playable: boolean
  readonly ready: boolean
  readonly durationMs: number | null
  readonly plannedTicks: number
  readonly finishedTicks: number
  readonly errorCode: string | null
  readonly errorMessage: string | null
}

interface TailRow {
  readonly position: bigint
  readonly partition: number
  readonly type: string
  readonly recorded_at: Date
  readonly snapshot: Snapshot
}

const PAGE_ROWS = 200
/** Without a notice: one may have been lost, and the connection wants a sign of life. */
const QUIET_MS = 10_000
const BLIND_POLL_MS = 250

/** Nothing happens after these, except to a deletion that follows. */
const FINAL = new Set(['ready', 'rejected', 'failed', 'deleted'])

/** null = nothing new for a while. Ends after a `status` event when the video has reached its end, or when aborted. */
export async function* liveEvents(
  context: ApiContext,
  videoId: string,
  fromPosition: bigint,
  signal: AbortSignal,
): AsyncGenerator<LiveEvent | null> {
  let position = fromPosition
  let last = await snapshotAt(context, videoId, position)
  while (!signal.aborted) {
    const rows = await tailRows(context, videoId, position)
    for (const row of rows) {
      position = row.position
      last = row
      yield factEvent(row)
    }
    if (rows.length === PAGE_ROWS) continue
    if (last !== undefined && FINAL.has(last.snapshot.status)) {
      yield { event: 'status', id: idOf(last), data: stateOf(last.snapshot) }
      return
    }
    if (rows.length === 0) yield null
    await context.positions.next(context.positions.isListening() ? QUIET_MS : BLIND_POLL_MS, signal)
  }
}

const tailRows = ({ db }: ApiContext, videoId: string, after: bigint): Promise<TailRow[]> =>
  reading(
    () => db.$queryRaw<TailRow[]>`
      SELECT h."position", h."partition", h.type, h.recorded_at, h.snapshot FROM read.video_history h
       WHERE h.video_id = ${videoId} AND h."position" > ${after} AND h."position" < coalesce(
             (SELECT next_offset FROM read.positions p
               WHERE p.projection = 'video-catalogue' AND p.topic = 'video-events' AND p."partition" = h."partition"), 0)
       ORDER BY h."position" LIMIT ${PAGE_ROWS}`,
  )

/** What a client that resumes has already seen: it may have been the end. */
const snapshotAt = async ({ db }: ApiContext, videoId: string, position: bigint): Promise<TailRow | undefined> => {
  const [row] = await reading(
    () => db.$queryRaw<TailRow[]>`
      SELECT "position", "partition", type, recorded_at, snapshot FROM read.video_history
       WHERE video_id = ${videoId} AND "position" <= ${position} ORDER BY "position" DESC LIMIT 1`,
  )
  return row
}

const factEvent = (row: TailRow): LiveEvent => ({
  event: 'fact',
  id: idOf(row),
  data: { type: row.type, recordedAt: row.recorded_at.toISOString(), ...stateOf(row.snapshot) },
})

const idOf = ({ partition, position }: TailRow): string => `${partition}:${position}`

const stateOf = (video: Snapshot) => ({
  status: video.status,
  playable: video.playable,
  ready: video.ready,
  durationMs: video.durationMs,
  percent: percentOf(video),
  ...(video.errorCode === null ? {} : { error: { code: video.errorCode, message: video.errorMessage } }),
})

const percentOf = ({ ready, plannedTicks, finishedTicks }: Snapshot): number => {
  if (ready) return 100
  return plannedTicks > 0 ? Math.min(100, Math.floor((100 * finishedTicks) / plannedTicks)) : 0
}
