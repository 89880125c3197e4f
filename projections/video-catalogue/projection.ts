/**
 * video-catalogue: what lists, search, the watch page and the state of an upload are answered from.
 *
 * Videos, their renditions and playback pointer, uploads, their parts and the outcomes of claims are tables of ONE
 * projection, because the routes serve them as one truth: they are committed together, so nobody sees a completed
 * upload whose video is still uploading.
 */
import { videoEvents } from '../../schemas/topics.ts'
import { defineProjection, type Table } from '../engine/projection.ts'
import { claimAnsweredBy, evolveOutcome, type OutcomeRow } from './outcome.ts'
import { evolveRendition, type RenditionRow } from './rendition.ts'
import { evolvePart, evolveUpload, type UploadPartRow, type UploadRow } from './upload.ts'
import { evolveVideo, type RecordedVideoEvent, type VideoRow } from './video.ts'

const videos: Table<VideoRow> = {
  key: ['id'],
  columns: {
    id: 'text',
    authorId: 'text',
    title: 'text',
    description: 'text',
    author: 'text',
    tags: 'text[]',
    visibility: 'text',
    metadata: 'jsonb',
    revision: 'integer',
    status: 'text',
    playable: 'boolean',
    ready: 'boolean',
    durationMs: 'bigint',
    generation: 'integer',
    playbackGeneration: 'integer',
    playbackRevision: 'integer',
    masterKey: 'text',
    playableDurationMs: 'bigint',
    posterGeneration: 'integer',
    posterKey: 'text',
    storyboardKey: 'text',
    storyboardVttKey: 'text',
    errorCode: 'text',
    errorMessage: 'text',
    plannedTicks: 'bigint',
    finishedTicks: 'bigint',
    finishedSegments: 'jsonb',
    generations: 'jsonb',
    createdAt: 'timestamptz',
    updatedAt: 'timestamptz',
    readyAt: 'timestamptz',
    partition: 'integer',
    version: 'bigint',
  },
}

const renditions: Table<RenditionRow> = {
  key: ['videoId', 'generation', 'track', 'name'],
  columns: {
    videoId: 'text',
    generation: 'integer',
    track: 'text',
    name: 'text',
    width: 'integer',
    height: 'integer',
    codecs: 'text',
    frameRate: 'double',
    peakBandwidthBps: 'bigint',
    averageBandwidthBps: 'bigint',
    segmentCount: 'integer',
    durationMs: 'bigint',
    sizeBytes: 'bigint',
    version: 'bigint',
  },
}

const uploads: Table<UploadRow> = {
  key: ['videoId'],
  columns: {
    videoId: 'text',
    authorId: 'text',
    s3UploadId: 'text',
    bucket: 'text',
    objectKey: 'text',
    contentType: 'text',
    partSizeBytes: 'bigint',
    partCount: 'integer',
    sizeBytes: 'bigint',
    checksumAlgorithm: 'text',
    status: 'text',
    code: 'text',
    detail: 'text',
    rejections: 'integer',
    expiresAt: 'timestamptz',
    createdAt: 'timestamptz',
    updatedAt: 'timestamptz',
    version: 'bigint',
  },
}

const uploadParts: Table<UploadPartRow> = {
  key: ['videoId', 'partNumber'],
  columns: {
    videoId: 'text',
    partNumber: 'integer',
    sizeBytes: 'bigint',
    etag: 'text',
    checksum: 'text',
    code: 'text',
    version: 'bigint',
  },
}

const outcomes: Table<OutcomeRow> = {
  key: ['claimId'],
  columns: {
    claimId: 'text',
    videoId: 'text',
    topic: 'text',
    partition: 'integer',
    recordOffset: 'bigint',
    code: 'text',
    detail: 'text',
  },
  appendOnly: true,
}

export interface CatalogueRows {
  readonly videos: VideoRow
  readonly renditions: RenditionRow
  readonly uploads: UploadRow
  readonly uploadParts: UploadPartRow
  readonly outcomes: OutcomeRow
}

export const videoCatalogue = defineProjection<CatalogueRows, typeof videoEvents>({
  name: 'video-catalogue',
  reads: videoEvents,
  tables: { videos, renditions, uploads, uploadParts, outcomes },
  concerns: (event: RecordedVideoEvent) => ({
    videos: { id: event.key },
    uploads: { videoId: event.key },
    uploadParts:
      event.type === 'PartUploaded' || event.type === 'PartRejected'
        ? { videoId: event.key, partNumber: event.data.partNumber }
        : undefined,
    renditions: event.type === 'RenditionTranscoded' ? renditionKey(event.key, event.data) : undefined,
    outcomes: outcomeKey(claimAnsweredBy(event)),
  }),
  evolve: (rows, event: RecordedVideoEvent) => ({
    videos: evolveVideo(rows.videos, event),
    uploads: evolveUpload(rows.uploads, event),
    uploadParts: evolvePart(rows.uploadParts, rows.uploads, event),
    renditions: evolveRendition(rows.renditions, event),
    outcomes: evolveOutcome(rows.outcomes, event),
  }),
  sql: new URL('./', import.meta.url),
})

const renditionKey = (
  videoId: string,
  { generation, track, rendition }: { generation: number; track: string; rendition: string },
): Partial<RenditionRow> => ({ videoId, generation, track, name: rendition })

const outcomeKey = (claimId: string | null) => (claimId === null ? undefined : { claimId })
