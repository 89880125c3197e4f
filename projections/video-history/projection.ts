/**
 * video-history: every fact of a video in its order, each with the row that it made.
 *
 * "What did we know about this video at 14:03, and why?" is then one index lookup, and the pipeline's live progress is
 * a tail of this table; neither needs Kafka in the API. The rows come from the same fold as the catalogue's, so the
 * last one equals the live row. `videoHeads` is the fold's own memory: the last row of each video.
 */
import { videoEvents } from '../../schemas/topics.ts'
import { defineProjection, type Table } from '../engine/projection.ts'
import { evolveVideo, type RecordedVideoEvent, type VideoRow } from '../video-catalogue/video.ts'

interface HeadRow {
  readonly videoId: string
  readonly seq: number
  readonly snapshot: VideoRow
  readonly version: number
}

/** Columns of `VideoHistory` in prisma/schema.prisma. */
export interface HistoryRow {
  readonly videoId: string
  readonly seq: number
  readonly position: number
  readonly partition: number
  readonly type: string
  readonly recordedAt: string
  readonly eventId: string
  readonly causeId: string | null
  readonly body: unknown
  readonly snapshot: VideoRow
}

const videoHeads: Table<HeadRow> = {
  key: ['videoId'],
  columns: { videoId: 'text', seq: 'integer', snapshot: 'jsonb', version: 'bigint' },
  internal: true,
}

const videoHistoryTable: Table<HistoryRow> = {
  key: ['videoId', 'seq'],
  columns: {
    videoId: 'text',
    seq: 'integer',
    position: 'bigint',
    partition: 'integer',
    type: 'text',
    recordedAt: 'timestamptz',
    eventId: 'text',
    causeId: 'text',
    body: 'jsonb',
    snapshot: 'jsonb',
  },
  appendOnly: true,
}

export interface HistoryRows {
  readonly videoHeads: HeadRow
  readonly videoHistory: HistoryRow
}

export const videoHistory = defineProjection<HistoryRows, typeof videoEvents>({
  name: 'video-history',
  reads: videoEvents,
  tables: { videoHeads, videoHistory: videoHistoryTable },
  concerns: (event) => ({ videoHeads: { videoId: event.key } }),
  evolve: ({ videoHeads: head }, event: RecordedVideoEvent) => {
    const snapshot = evolveVideo(head?.snapshot, event)
    // Refusals about videos that never were have no history to be in.
    if (snapshot === undefined) return {}
    const { key: videoId, offset: position, partition, type, recordedAt, eventId, causeId, data: body } = event
    const seq = (head?.seq ?? 0) + 1
    return {
      videoHeads: { videoId, seq, snapshot, version: position },
      videoHistory: { videoId, seq, position, partition, type, recordedAt, eventId, causeId, body, snapshot },
    }
  },
  sql: new URL('./', import.meta.url),
})
