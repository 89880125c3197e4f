/** The answers, for OpenAPI and for whoever reads the code. Bodies that PostgreSQL wrote are not serialised again. */
import { type Static, Type } from 'typebox'
import { VideoIdSchema } from '../../platform/http/video-id-schema.ts'

const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()])
const time = Type.String({ format: 'date-time' })

export const VideoParams = Type.Object({ id: VideoIdSchema })

const ErrorBody = Type.Object(
  { code: Type.String({ description: 'Stable; see docs/errors.md.' }), message: Type.String() },
  { description: 'Why it was rejected or failed; absent otherwise.' },
)

const summary = {
  videoId: Type.String(),
  title: Type.String(),
  author: Type.String({ description: 'Display name.' }),
  authorId: Type.String(),
  tags: Type.Array(Type.String()),
  visibility: Type.Union([Type.Literal('PUBLIC'), Type.Literal('UNLISTED'), Type.Literal('PRIVATE')]),
  status: Type.Union(
    (['uploading', 'processing', 'ready', 'rejected', 'failed', 'deleted'] as const).map((each) => Type.Literal(each)),
  ),
  playable: Type.Boolean({ description: 'Players can begin.' }),
  ready: Type.Boolean({ description: 'The whole video can be played.' }),
  durationMs: nullable(Type.Integer()),
  masterUrl: nullable(Type.String({ description: 'HLS master playlist, relative to this origin.' })),
  posterUrl: nullable(Type.String()),
  progress: Type.Object(
    {
      percent: Type.Integer({ minimum: 0, maximum: 100 }),
      finishedTicks: Type.Integer(),
      plannedTicks: Type.Integer(),
    },
    { description: 'Of the encode, by what is finished of the picture.' },
  ),
  createdAt: time,
  updatedAt: time,
  error: Type.Optional(ErrorBody),
}

const Rendition = Type.Object({
  name: Type.String(),
  track: Type.String(),
  width: nullable(Type.Integer()),
  height: nullable(Type.Integer()),
  codecs: Type.String({ description: 'RFC 6381.' }),
  frameRate: nullable(Type.Number()),
  peakBandwidthBps: Type.Integer(),
  averageBandwidthBps: Type.Integer(),
})

export const VideoSummary = Type.Object(summary)

export const VideoBody = Type.Object({
  ...summary,
  description: Type.String(),
  metadata: nullable(Type.Record(Type.String(), Type.Unknown())),
  revision: Type.Integer({ description: 'Of the details; what If-Match of a change names.' }),
  generation: nullable(Type.Integer({ description: 'The encode that is played.' })),
  playableDurationMs: nullable(Type.Integer()),
  storyboardUrl: nullable(Type.String({ description: 'WebVTT index of the seek preview.' })),
  readyAt: nullable(time),
  renditions: Type.Array(Rendition, { description: 'Of the picture, largest first, as measured.' }),
  audio: Type.Array(Rendition),
})

export const VideoListBody = Type.Object({
  items: Type.Array(VideoSummary),
  nextCursor: nullable(Type.String({ description: 'For the next page; null on the last.' })),
})

export const HistoryBody = Type.Object({
  items: Type.Array(
    Type.Object({
      seq: Type.Integer({ description: 'From 1, without gaps.' }),
      position: Type.String({ description: '`<partition>:<offset>` on video-events.' }),
      type: Type.String(),
      recordedAt: time,
      eventId: Type.String(),
      causeId: nullable(Type.String()),
      body: Type.Unknown({ description: 'The fact.' }),
      video: Type.Unknown({ description: 'The video as it was after it.' }),
    }),
  ),
  nextAfterSeq: nullable(Type.Integer()),
})

const uploadStatus = Type.Union([Type.Literal('open'), Type.Literal('completed'), Type.Literal('aborted')])
export type UploadStatus = Static<typeof uploadStatus>

/** What the state of one upload and the list of them have in common. */
const upload = {
  videoId: Type.String(),
  status: uploadStatus,
  sizeBytes: nullable(Type.Integer({ description: 'Null while it is not known.' })),
  partSizeBytes: Type.Integer({ description: 'Length of every part but the last.' }),
  partCount: nullable(Type.Integer()),
  storedParts: Type.Integer(),
  storedBytes: Type.Integer(),
  code: nullable(Type.String({ description: 'Why it was aborted.' })),
  detail: nullable(Type.String()),
  expiresAt: time,
}

export const UploadBody = Type.Object(upload)

export const UploadListBody = Type.Object({
  items: Type.Array(
    Type.Object({
      ...upload,
      uploadId: Type.String({ description: 'The same as videoId.' }),
      title: Type.String(),
      createdAt: time,
    }),
  ),
  nextCursor: nullable(Type.String({ description: 'For the next page; null on the last.' })),
})
