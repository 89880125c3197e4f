/**
 * The live tail of one video: its facts as they come, from video-history, woken by NOTIFY.
 *
 * The id of an event is its position on video-events (`<partition>:<offset>`), so a client that was cut off goes on
 * exactly behind the last event that it saw. A fact is told only when the catalogue shows it too: who hears
 * PlaylistPublished and asks for the playlist at once must find it.
 *
 * A video is ready with its last playlist, and its pictures follow a second later: a stream that has told of the one
 * stays open for the other, for a bounded time, since a video may never get any.
 */

import { reading } from '../../prisma/reading.ts'
import type { ApiContext } from '../context.ts'
import { masterUrlOf } from '../watch/playlist-urls.ts'

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
  readonly masterKey: string | null
  readonly posterKey: string | null
  readonly readyAt: string | null
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
/**
 * A stream is never silent for longer, however much the notices of other videos have to tell: who listens cannot tell a
 * quiet video from a dead connection otherwise. Clients give a connection up after a multiple of it (ingest/sdk/follow-video).
 */
const SIGN_OF_LIFE_MS = 10_000
/** Without a notice: one may have been lost. */
const QUIET_MS = 10_000
const BLIND_POLL_MS = 250
/** How long after it is ready a video is waited for to get its pictures. */
const PICTURES_WITHIN_MS = 30_000

/** Nothing happens after these, except the pictures of a ready one and a deletion. */
const FINAL = new Set(['ready', 'rejected', 'failed', 'deleted'])

/** null = a sign of life. Ends after a `status` event when the video has reached its end, or when aborted. */
export async function* liveEvents(
  context: ApiContext,
  videoId: string,
  fromPosition: bigint,
  signal: AbortSignal,
): AsyncGenerator<LiveEvent | null> {
  let position = fromPosition
  let last = await snapshotAt(context, videoId, position)
  let saidAtMs = performance.now()
  while (!signal.aborted) {
    const heard = context.positions.heard()
    const rows = await tailRows(context, videoId, position)
    for (const row of rows) {
      position = row.position
      last = row
      yield factEvent(videoId, row)
    }
    if (rows.length > 0) saidAtMs = performance.now()
    if (rows.length === PAGE_ROWS) continue
    const moreWithinMs = last === undefined ? Number.POSITIVE_INFINITY : expectsMoreForMs(last.snapshot)
    if (last !== undefined && moreWithinMs <= 0) {
      yield { event: 'status', id: idOf(last), data: stateOf(videoId, last.snapshot) }
      return
    }
    const pollMs = context.positions.isListening() ? QUIET_MS : BLIND_POLL_MS
    const silentForMs = performance.now() - saidAtMs
    await context.positions.next(heard, Math.min(pollMs, moreWithinMs, SIGN_OF_LIFE_MS - silentForMs), signal)
    if (performance.now() - saidAtMs < SIGN_OF_LIFE_MS) continue
    yield null
    saidAtMs = performance.now()
  }
}

/** 0 or less: the video is as it will stay. */
const expectsMoreForMs = ({ status, posterKey, readyAt }: Snapshot): number => {
  if (!FINAL.has(status)) return Number.POSITIVE_INFINITY
  if (status !== 'ready' || posterKey !== null || readyAt === null) return 0
  return Date.parse(readyAt) + PICTURES_WITHIN_MS - Date.now()
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

const factEvent = (videoId: string, row: TailRow): LiveEvent => ({
  event: 'fact',
  id: idOf(row),
  data: { type: row.type, recordedAt: row.recorded_at.toISOString(), ...stateOf(videoId, row.snapshot) },
})

const idOf = ({ partition, position }: TailRow): string => `${partition}:${position}`

const stateOf = (videoId: string, video: Snapshot) => ({
  status: video.status,
  playable: video.playable,
  ready: video.ready,
  masterUrl: video.masterKey === null ? null : masterUrlOf(videoId),
  durationMs: video.durationMs,
  percent: percentOf(video),
  ...(video.errorCode === null ? {} : { error: { code: video.errorCode, message: video.errorMessage } }),
})

const percentOf = ({ ready, plannedTicks, finishedTicks }: Snapshot): number => {
  if (ready) return 100
  return plannedTicks > 0 ? Math.min(100, Math.floor((100 * finishedTicks) / plannedTicks)) : 0
}
