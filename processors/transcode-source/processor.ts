import { effect } from '../../runtime/effect-policy.ts'
import { type Context, defineProcessor, from, type Outcome, type Processor, to } from '../../runtime/processor.ts'
import type { Job } from '../../schemas/generated.ts'
import { DEFAULT_POOL, transcodeJobs, transcodePool, videoEvents } from '../../schemas/topics.ts'
import {
  ExtractThumbnailsInputSchema,
  type JobFailure,
  JobRunSchema,
  type SegmentReport,
  SegmentReportSchema,
  ThumbnailsOutcomeSchema,
  TranscodeAudioInputSchema,
  type TranscodeOutcome,
  TranscodeOutcomeSchema,
  TranscodeVideoInputSchema,
} from './generated.ts'

/**
 * A worker: runs the jobs that the scheduler released to its lanes. A lane is a partition of transcode-jobs, so who has
 * a job is what the consumer group says, and the journaled effect of a dead worker runs on wherever its lane went. There
 * are no leases and no heartbeats of our own.
 *
 * Segments become facts as they close, each with the position of its report in one transaction, so a job that is taken
 * over goes on behind the last of them. What a job came to is said twice in one transaction: to the video what was made,
 * to the pool that a slot is free. The scheduler owns the retries: here every effect has one attempt.
 *
 * The hooks announce a lane, and what it holds, inside its own transaction: a worker that was fenced cannot announce.
 */
export interface WorkerSettings {
  /** Unique per process. */
  readonly workerId: string
  /** VIDEO jobs at a time. */
  readonly videoSlots: number
  /** AUDIO and THUMBNAILS jobs at a time. */
  readonly lightSlots: number
}

const writes = [
  to(videoEvents, ['SegmentsTranscoded', 'ChunkTranscoded', 'ChunkFailed', 'ThumbnailsExtracted']),
  to(transcodePool, ['JobSettled', 'LaneOpened', 'LaneClosed']),
] as const

const state = { run: JobRunSchema }

/** No limit of time: how long a job may take depends on the film, and a watchdog in the executor sees it hang. */
const effectsFor = ({ videoSlots, lightSlots }: WorkerSettings) => ({
  transcodeVideo: effect({
    input: TranscodeVideoInputSchema,
    outcome: TranscodeOutcomeSchema,
    report: SegmentReportSchema,
    attempts: 1,
    timeoutMs: null,
    concurrency: videoSlots,
  }),
  transcodeAudio: effect({
    input: TranscodeAudioInputSchema,
    outcome: TranscodeOutcomeSchema,
    report: SegmentReportSchema,
    attempts: 1,
    timeoutMs: null,
    concurrency: lightSlots,
  }),
  extractThumbnails: effect({
    input: ExtractThumbnailsInputSchema,
    outcome: ThumbnailsOutcomeSchema,
    attempts: 1,
    timeoutMs: THUMBNAILS_MS,
    concurrency: lightSlots,
  }),
})
const THUMBNAILS_MS = 10 * 60 * 1000

type Ctx = Context<typeof writes, typeof state, ReturnType<typeof effectsFor>, 'forget'>

export const transcodeSource = (settings: WorkerSettings): Processor =>
  defineProcessor(
    {
      name: 'transcode-source',
      reads: [from(transcodeJobs, ['JobReleased'])],
      writes,
      state,
      effects: effectsFor(settings),
      timers: ['forget'],
      closedBy: [from(transcodeJobs, ['JobCancelled'])],
    },
    {
      on: {
        'transcode-jobs': {
          JobReleased: (ctx, { job, attempt }) => {
            // A lane that is announced anew is given its jobs again, also those that it is about to read.
            if ((ctx.state.run.get()?.attempt ?? 0) >= attempt) return
            ctx.state.run.put({ attempt })
            ctx.unschedule('forget')
            perform(ctx, job, attempt)
          },
        },
      },
      reported: {
        transcodeVideo: (ctx, input, _n, report) => sayReported(ctx, input, 'video', input.chunk.index, report),
        transcodeAudio: (ctx, input, _n, report) => sayReported(ctx, input, input.audio.track, 0, report),
      },
      settled: {
        transcodeVideo: (ctx, input, outcome) =>
          sayTranscoded(ctx, { ...input, track: 'video', chunkIndex: input.chunk.index }, outcome, settings),
        transcodeAudio: (ctx, input, outcome) =>
          sayTranscoded(ctx, { ...input, track: input.audio.track, chunkIndex: 0 }, outcome, settings),
        extractThumbnails: (ctx, input, outcome) => {
          const { done, failure } = resultOf(outcome)
          const { generation, videoId } = input
          if (done === null) return fail(ctx, { ...input, track: 'thumbnails', chunkIndex: 0 }, failure)
          ctx.emit.ThumbnailsExtracted({ generation, ...done }, { key: videoId })
          settle(ctx, input, null)
        },
      },
      due: { forget: (ctx) => ctx.close() },
      opened: ({ task, pending, emit }) => {
        const held = pending.map(({ key }) => key)
        emit.LaneOpened({ lane: task, ...settings, held }, { key: DEFAULT_POOL })
      },
      closed: ({ task, emit }) => {
        emit.LaneClosed({ lane: task, workerId: settings.workerId }, { key: DEFAULT_POOL })
      },
    },
  )

const perform = (ctx: Ctx, job: Job, attempt: number): void => {
  const { jobId, videoId, generation, source, playlistKey } = job
  const plan = { ...job.plan, chunks: [] }
  const input = { jobId, videoId, generation, attempt, source, plan }
  const chunk = job.plan.chunks.find(({ index }) => index === job.chunkIndex)
  const audio = job.plan.audio.find(({ track }) => track === job.track)
  if (job.kind === 'VIDEO' && chunk !== undefined) ctx.perform.transcodeVideo({ ...input, chunk })
  else if (job.kind === 'AUDIO' && audio !== undefined) ctx.perform.transcodeAudio({ ...input, audio })
  else if (job.kind === 'THUMBNAILS' && playlistKey !== null) ctx.perform.extractThumbnails({ ...input, playlistKey })
  else fail(ctx, { ...job, attempt }, NOT_IN_PLAN)
}

const NOT_IN_PLAN: JobFailure = {
  code: 'JOB_INVALID',
  detail: 'the plan of the job has no such chunk or track',
  retryable: false,
}

interface Attempt {
  readonly jobId: string
  readonly videoId: string
  readonly generation: number
  readonly attempt: number
}

interface ChunkAttempt extends Attempt {
  readonly track: string
  readonly chunkIndex: number
}

const sayReported = (
  ctx: Ctx,
  { videoId, generation }: Attempt,
  track: string,
  chunkIndex: number,
  { index, renditions }: SegmentReport,
): void =>
  ctx.emit.SegmentsTranscoded({ generation, track, chunkIndex, firstIndex: index, renditions }, { key: videoId })

const sayTranscoded = (
  ctx: Ctx,
  chunk: ChunkAttempt,
  outcome: Outcome<TranscodeOutcome>,
  { workerId: worker }: WorkerSettings,
): void => {
  const { done, failure } = resultOf(outcome)
  if (done === null) return fail(ctx, chunk, failure)
  const { videoId, generation, track, chunkIndex, attempt } = chunk
  ctx.emit.ChunkTranscoded({ generation, track, chunkIndex, ...done, worker, attempt }, { key: videoId })
  settle(ctx, chunk, null)
}

const fail = (ctx: Ctx, chunk: ChunkAttempt, failure: JobFailure): void => {
  const { videoId, generation, track, chunkIndex, attempt } = chunk
  ctx.emit.ChunkFailed({ generation, track, chunkIndex, attempt, ...failure }, { key: videoId })
  settle(ctx, chunk, failure)
}

/** Frees the slot. A job that succeeded or can never succeed is over; another attempt may come back to this lane. */
const settle = (ctx: Ctx, { jobId, videoId, attempt }: Attempt, failure: JobFailure | null): void => {
  const { code, detail, retryable } = failure ?? SUCCEEDED
  ctx.emit.JobSettled({ jobId, videoId, attempt, ok: failure === null, code, detail, retryable }, { key: DEFAULT_POOL })
  if (retryable) ctx.schedule('forget', ctx.now + transcodeJobs.retentionMs)
  else ctx.close()
}

const SUCCEEDED = { code: null, detail: null, retryable: false }

type Result<Done> =
  | { readonly done: Done; readonly failure: null }
  | { readonly done: null; readonly failure: JobFailure }

/** What an executor could not even say (it crashed its process, it was never bound) is a failure like any other. */
const resultOf = <Done>(
  outcome: Outcome<{ readonly done: Done | null; readonly failure: JobFailure | null }>,
): Result<Done> => {
  if (outcome.ok && outcome.value.done !== null) return { done: outcome.value.done, failure: null }
  if (outcome.ok && outcome.value.failure !== null) return { done: null, failure: outcome.value.failure }
  const { code, detail } = outcome.ok ? NO_RESULT : outcome
  // An input that killed five processes in turn would kill the next ones as well.
  return { done: null, failure: { code, detail, retryable: code !== 'CRASHED' } }
}

const NO_RESULT = { code: 'NO_RESULT', detail: 'the executor gave neither a result nor a failure' }
