/**
 * The video as its facts say it is: one row, folded by one pure function. video-catalogue shows the last state of the
 * row, video-history the row after every fact; both use this fold, so they cannot disagree.
 *
 * Every rule here holds when a fact comes twice, and when it comes after facts that superseded it:
 *   - the first UploadStarted (or imported UploadCompleted) makes the video, later ones change nothing
 *   - playable = first PlaylistPublished; ready = one that is complete; neither is ever taken back
 *   - playback pointer = last GenerationSelected (before one: the first published) and its highest revision
 *   - progress counts each segment index of the picture once
 *   - details change only to a higher revision
 *   - deleted is terminal, and forgets what people wrote
 */
import type {
  PlaylistPublished,
  SegmentsTranscoded,
  VideoDetails,
  VideoDetailsChanged,
} from '../../schemas/generated.ts'
import type { VideoEvent } from '../../schemas/topics.ts'
import type { Recorded } from '../engine/projection.ts'
import { addIndexes, type IndexRange } from './index-ranges.ts'

export type VideoStatus = 'uploading' | 'processing' | 'ready' | 'rejected' | 'failed' | 'deleted'

/** What is published of one generation: its newest revision. */
export interface PublishedGeneration {
  readonly revision: number
  readonly complete: boolean
  readonly masterKey: string
  /** Keys of the media playlists by file name. */
  readonly playlists: Readonly<Record<string, string>>
  readonly playableDurationMs: number
}

/** Columns of `Video` in prisma/schema.prisma. */
export interface VideoRow {
  readonly id: string
  readonly authorId: string
  readonly title: string
  readonly description: string
  readonly author: string
  readonly tags: readonly string[]
  readonly visibility: string
  readonly metadata: Readonly<Record<string, unknown>> | null
  readonly revision: number
  readonly status: VideoStatus
  readonly playable: boolean
  readonly ready: boolean
  readonly durationMs: number | null
  readonly generation: number | null
  readonly playbackGeneration: number | null
  readonly playbackRevision: number | null
  readonly masterKey: string | null
  readonly playableDurationMs: number | null
  readonly posterGeneration: number | null
  readonly posterKey: string | null
  readonly storyboardKey: string | null
  readonly storyboardVttKey: string | null
  readonly errorCode: string | null
  readonly errorMessage: string | null
  readonly plannedTicks: number
  readonly finishedTicks: number
  readonly finishedSegments: readonly IndexRange[]
  readonly generations: Readonly<Record<string, PublishedGeneration>>
  readonly createdAt: string
  readonly updatedAt: string
  readonly readyAt: string | null
  readonly partition: number
  readonly version: number
}

export type RecordedVideoEvent = Recorded<VideoEvent>

/** The video after the fact; the same object when the fact does not change it; undefined while there is no video. */
export const evolveVideo = (video: VideoRow | undefined, event: RecordedVideoEvent): VideoRow | undefined => {
  if (video === undefined) return firstRow(event)
  if (video.status === 'deleted') return video
  const change = changeBy(video, event)
  if (change === undefined) return video
  return { ...video, ...change, updatedAt: event.recordedAt, partition: event.partition, version: event.offset }
}

const firstRow = (event: RecordedVideoEvent): VideoRow | undefined => {
  if (event.type === 'UploadStarted') {
    return { ...blank(event), authorId: event.data.authorId, ...readDetails(event.data.details), status: 'uploading' }
  }
  // An import: the object was in S3 already. Without an author it would be the end of an upload that nobody began.
  if (event.type === 'UploadCompleted' && event.data.authorId !== null) {
    return { ...blank(event), authorId: event.data.authorId, ...readDetails(event.data.details), status: 'processing' }
  }
  return undefined
}

type Change = Partial<VideoRow> | undefined

const changeBy = (video: VideoRow, event: RecordedVideoEvent): Change => {
  switch (event.type) {
    case 'UploadCompleted':
      return video.status === 'uploading' ? { status: 'processing' } : undefined
    case 'UploadAborted':
      return video.status === 'uploading' ? failure('failed', event.data) : undefined
    case 'SourceProbed':
      return isProbed(video) ? undefined : { durationMs: event.data.source.durationMs }
    case 'SourceRejected':
      return isProbed(video) || video.status !== 'processing' ? undefined : failure('rejected', event.data)
    case 'TranscodePlanned':
      return event.data.generation > (video.generation ?? 0) ? planned(video, event.data) : undefined
    case 'SegmentsTranscoded':
      return progressed(video, event.data)
    case 'TranscodeFailed':
      return video.ready || event.data.generation !== video.generation || video.status === 'failed'
        ? undefined
        : failure('failed', event.data)
    case 'ThumbnailsExtracted':
      return event.data.generation > (video.posterGeneration ?? 0) ? pictured(event.data) : undefined
    case 'PlaylistPublished':
      return published(video, event.data, event.recordedAt)
    case 'GenerationSelected':
      return event.data.generation === video.playbackGeneration
        ? undefined
        : pointTo(event.data.generation, video.generations)
    case 'VideoDetailsChanged':
      return edited(video, event.data)
    case 'VideoDeleted':
      return TOMBSTONE
    case 'UploadStarted':
    case 'PartUploaded':
    case 'UploadSealed':
    case 'UploadAbortRequested':
    case 'ChunkTranscoded':
    case 'ChunkFailed':
    case 'RenditionTranscoded':
    case 'ClaimRefused':
      return undefined
  }
}

/** A probed source has a length, and a source is probed or rejected once. */
const isProbed = (video: VideoRow): boolean => video.durationMs !== null

const failure = (status: VideoStatus, { code, detail }: { code: string; detail: string }): Change => ({
  status,
  errorCode: code,
  errorMessage: detail,
})

const NO_ERROR = { errorCode: null, errorMessage: null }

const planned = (video: VideoRow, data: Extract<VideoEvent, { type: 'TranscodePlanned' }>['data']): Change => ({
  generation: data.generation,
  durationMs: data.plan.durationMs,
  plannedTicks: data.plan.totalFrames * data.plan.frameTicks,
  finishedTicks: 0,
  finishedSegments: [],
  // A new plan is a new attempt at a video that had failed.
  ...(video.status === 'failed' ? { status: 'processing', ...NO_ERROR } : {}),
})

/** Sound is encoded beside the picture in a fraction of the time, so the picture alone tells how far it is. */
const PICTURE_TRACK = 'video'

const progressed = (video: VideoRow, { generation, track, firstIndex, renditions }: SegmentsTranscoded): Change => {
  const segments = renditions[0]?.segments ?? []
  if (generation !== video.generation || track !== PICTURE_TRACK || segments.length === 0) return undefined
  const { ranges, added } = addIndexes(video.finishedSegments, firstIndex, firstIndex + segments.length)
  if (added.length === 0) return undefined
  const ticks = added.reduce((sum, index) => sum + (segments[index - firstIndex]?.durationTicks ?? 0), 0)
  return { finishedSegments: ranges, finishedTicks: video.finishedTicks + ticks }
}

const pictured = (data: Extract<VideoEvent, { type: 'ThumbnailsExtracted' }>['data']): Change => ({
  posterGeneration: data.generation,
  posterKey: data.posterKey,
  storyboardKey: data.storyboardKey,
  storyboardVttKey: data.storyboardVttKey,
})

const published = (video: VideoRow, data: PlaylistPublished, recordedAt: string): Change => {
  const before = video.generations[data.generation]
  if (before !== undefined && data.revision <= before.revision) return undefined
  const generations = { ...video.generations, [data.generation]: generationOf(data) }
  return {
    generations,
    playable: true,
    ...pointTo(video.playbackGeneration ?? data.generation, generations),
    ...(data.complete ? { ready: true, status: 'ready', readyAt: video.readyAt ?? recordedAt, ...NO_ERROR } : {}),
  }
}

const generationOf = (data: PlaylistPublished): PublishedGeneration => ({
  revision: data.revision,
  complete: data.complete,
  masterKey: data.masterKey,
  playlists: Object.fromEntries(data.renditions.map(({ playlistKey }) => [fileNameOf(playlistKey), playlistKey])),
  playableDurationMs: data.playableDurationMs,
})

const fileNameOf = (objectKey: string): string => objectKey.slice(objectKey.lastIndexOf('/') + 1)

const pointTo = (generation: number, generations: VideoRow['generations']): Change => ({
  playbackGeneration: generation,
  playbackRevision: generations[generation]?.revision ?? null,
  masterKey: generations[generation]?.masterKey ?? null,
  playableDurationMs: generations[generation]?.playableDurationMs ?? null,
})

const edited = (video: VideoRow, data: VideoDetailsChanged): Change => {
  const revision = data.revision ?? video.revision + 1
  if (revision <= video.revision) return undefined
  return {
    revision,
    title: data.title ?? video.title,
    description: data.description ?? video.description,
    author: data.author ?? video.author,
    tags: data.tags ?? video.tags,
    visibility: data.visibility ?? video.visibility,
    metadata: data.metadata === null ? video.metadata : parseMetadata(data.metadata),
  }
}

const NOTHING_WRITTEN = { title: '', description: '', author: '', tags: [], metadata: null }

const NOTHING_TO_PLAY = {
  playable: false,
  ready: false,
  playbackGeneration: null,
  playbackRevision: null,
  masterKey: null,
  playableDurationMs: null,
  posterGeneration: null,
  posterKey: null,
  storyboardKey: null,
  storyboardVttKey: null,
  generations: {},
}

const TOMBSTONE: Change = { ...NOTHING_WRITTEN, ...NOTHING_TO_PLAY, ...NO_ERROR, status: 'deleted' }

type Details = Pick<VideoRow, 'title' | 'description' | 'author' | 'tags' | 'visibility' | 'metadata'>

/** The one place that reads personal text from a fact. Sealed or missing text is no text, and nobody's to see. */
const readDetails = (details: VideoDetails | null): Details =>
  details === null
    ? { ...NOTHING_WRITTEN, visibility: 'PRIVATE' }
    : {
        title: details.title,
        description: details.description,
        author: details.author,
        tags: details.tags,
        visibility: details.visibility,
        metadata: details.metadata === null ? null : parseMetadata(details.metadata),
      }

/** The door admits JSON objects only; what an older door let through and is none counts as no metadata. */
const parseMetadata = (text: string): VideoRow['metadata'] => {
  try {
    const value: unknown = JSON.parse(text)
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as VideoRow['metadata']) : null
  } catch {
    return null
  }
}

const blank = (event: RecordedVideoEvent): VideoRow => ({
  id: event.key,
  authorId: '',
  ...NOTHING_WRITTEN,
  visibility: 'PRIVATE',
  revision: 1,
  status: 'uploading',
  ...NOTHING_TO_PLAY,
  ...NO_ERROR,
  durationMs: null,
  generation: null,
  plannedTicks: 0,
  finishedTicks: 0,
  finishedSegments: [],
  createdAt: event.recordedAt,
  updatedAt: event.recordedAt,
  readyAt: null,
  partition: event.partition,
  version: event.offset,
})
