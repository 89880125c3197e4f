import * as g from './generated.ts'

/**
 * The topics of the product: what travels on each, how it is keyed and kept (docs/events.md is drawn from here).
 * Data only: creating and checking topics is the migrate step's work, reading and writing them the engine's.
 */
export interface Topic<Name extends string = string, Events extends EventMap = EventMap> {
  readonly name: Name
  readonly doc: string
  /** What the record key is. */
  readonly key: string
  readonly cleanup: 'delete' | 'compact'
  /** Milliseconds that records are kept; -1 = for ever. */
  readonly retentionMs: number
  /** LogAppendTime = the broker's clock, monotone per partition. */
  readonly timestamps: 'LogAppendTime' | 'CreateTime'
  /** Which setting counts the partitions; `one` = a single partition. */
  readonly partitions: 'videoPartitions' | 'lanes' | 'one'
  /** Producers outside write to it. */
  readonly door?: boolean
  readonly events: { readonly [N in keyof Events]: g.AvroSchema<Events[N]> }
}

// biome-ignore lint/suspicious/noExplicitAny: an upper bound for inference; each topic keeps its exact record types
export type EventMap = Readonly<Record<string, any>>

type DataOf<S> = S extends g.AvroSchema<infer T> ? T : never

/** The events of a topic as a discriminated union, for exhaustive switches. */
export type EventOf<T extends { readonly events: object }> = {
  [N in keyof T['events'] & string]: { readonly type: N; readonly data: DataOf<T['events'][N]> }
}[keyof T['events'] & string]

const DAY_MS = 24 * 60 * 60 * 1000

const defineTopic = <const Name extends string, Events extends EventMap>(
  topic: Topic<Name, Events>,
): Topic<Name, Events> => topic

export const videoIntake = defineTopic({
  name: 'video-intake',
  doc: 'The open door: what the gateway and other producers claim. Not yet believed; admit-events decides.',
  door: true,
  key: 'videoId',
  cleanup: 'delete',
  retentionMs: 7 * DAY_MS,
  timestamps: 'CreateTime',
  partitions: 'videoPartitions',
  events: {
    UploadStarted: g.UploadStartedSchema,
    PartUploaded: g.PartUploadedSchema,
    UploadSealed: g.UploadSealedSchema,
    UploadAbortRequested: g.UploadAbortRequestedSchema,
    UploadCompleted: g.UploadCompletedSchema,
    VideoDetailsChanged: g.VideoDetailsChangedSchema,
    VideoDeleted: g.VideoDeletedSchema,
  },
})

export const videoEvents = defineTopic({
  name: 'video-events',
  doc: 'Every fact of a video in one total order per video: the source of truth. Never compacted, never expired.',
  key: 'videoId',
  cleanup: 'delete',
  retentionMs: -1,
  timestamps: 'LogAppendTime',
  partitions: 'videoPartitions',
  events: {
    UploadStarted: g.UploadStartedSchema,
    PartUploaded: g.PartUploadedSchema,
    UploadSealed: g.UploadSealedSchema,
    UploadAbortRequested: g.UploadAbortRequestedSchema,
    PartRejected: g.PartRejectedSchema,
    UploadCompleted: g.UploadCompletedSchema,
    UploadAborted: g.UploadAbortedSchema,
    SourceProbed: g.SourceProbedSchema,
    SourceRejected: g.SourceRejectedSchema,
    TranscodePlanned: g.TranscodePlannedSchema,
    SegmentsTranscoded: g.SegmentsTranscodedSchema,
    ChunkTranscoded: g.ChunkTranscodedSchema,
    ChunkFailed: g.ChunkFailedSchema,
    RenditionTranscoded: g.RenditionTranscodedSchema,
    TranscodeFailed: g.TranscodeFailedSchema,
    ThumbnailsExtracted: g.ThumbnailsExtractedSchema,
    PlaylistPublished: g.PlaylistPublishedSchema,
    GenerationSelected: g.GenerationSelectedSchema,
    VideoDetailsChanged: g.VideoDetailsChangedSchema,
    ClaimRefused: g.ClaimRefusedSchema,
    VideoDeleted: g.VideoDeletedSchema,
  },
})

export const transcodePool = defineTopic({
  name: 'transcode-pool',
  doc: 'What schedule-transcodes decides from: the jobs wanted, the jobs settled, the lanes that are open, and holds.',
  key: 'pool',
  cleanup: 'delete',
  retentionMs: 30 * DAY_MS,
  timestamps: 'CreateTime',
  partitions: 'one',
  events: {
    JobsRequested: g.JobsRequestedSchema,
    JobsCancelled: g.JobsCancelledSchema,
    JobSettled: g.JobSettledSchema,
    LaneOpened: g.LaneOpenedSchema,
    LaneClosed: g.LaneClosedSchema,
    ReleasesHeld: g.ReleasesHeldSchema,
  },
})

export const transcodeJobs = defineTopic({
  name: 'transcode-jobs',
  doc: 'Jobs released to a lane. A lane is a partition; the worker that holds it runs its jobs.',
  key: 'jobId',
  cleanup: 'delete',
  retentionMs: 7 * DAY_MS,
  timestamps: 'CreateTime',
  partitions: 'lanes',
  events: {
    JobReleased: g.JobReleasedSchema,
    JobCancelled: g.JobCancelledSchema,
  },
})

export const topics = [videoIntake, videoEvents, transcodePool, transcodeJobs] as const

/** The only pool until there are kinds of workers. */
export const DEFAULT_POOL = 'default'

export type VideoEvent = EventOf<typeof videoEvents>
export type VideoClaim = EventOf<typeof videoIntake>
export type VideoEventType = VideoEvent['type']
