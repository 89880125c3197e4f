import type { Job, JobSettled, LaneClosed, LaneOpened, ReleasesHeld } from '../../schemas/generated.ts'
import { transcodePool } from '../../schemas/topics.ts'
import { chooseLane, type Pool } from './decide.ts'
import { failureSentence } from './failures.ts'
import type { PooledJob } from './generated.ts'
import { clockOf, dequeue, enqueue, withdraw } from './queue.ts'
import type { Ctx } from './state.ts'

/** What happens to the pool: each function is one event. All but one end with releasing whatever now finds a slot. */
const MAX_ATTEMPTS = 3
const DAY_MS = 24 * 60 * 60 * 1000

export const requestJobs = (ctx: Ctx, jobs: readonly Job[]): void => {
  for (const job of jobs) {
    const isKnown = ctx.state.job.get(job.jobId) !== undefined || ctx.state.ended.get(job.jobId) !== undefined
    if (!isKnown) enqueue(ctx, { job, attempt: 1 })
  }
  releaseWaiting(ctx)
}

export const cancelVideo = (ctx: Ctx, videoId: string): void => {
  cancelJobs(ctx, ({ job }) => job.videoId === videoId)
  releaseWaiting(ctx)
}

export const settleJob = (ctx: Ctx, { jobId, attempt, ok, code, retryable }: JobSettled): void => {
  const pooled = ctx.state.job.get(jobId)
  const released = ctx.state.released.get(jobId)
  if (pooled === undefined || released === undefined || pooled.attempt !== attempt) return
  ctx.state.released.delete(jobId)
  if (ok) end(ctx, jobId)
  else if (retryable && attempt < MAX_ATTEMPTS) enqueue(ctx, { ...pooled, attempt: attempt + 1 }, pooled.sequence)
  else giveUp(ctx, pooled, code ?? 'TRANSCODE_ERROR')
  releaseWaiting(ctx)
}

export const openLane = (ctx: Ctx, { lane, workerId, videoSlots, lightSlots, held }: LaneOpened): void => {
  ctx.state.lane.put({ lane, workerId }, laneId(lane))
  ctx.state.worker.put({ videoSlots, lightSlots }, workerId)
  forgetIdleWorkers(ctx)
  const isHeld = new Set(held)
  for (const [jobId, released] of ctx.state.released.entries()) {
    const pooled = ctx.state.job.get(jobId)
    if (released.lane === lane && !isHeld.has(jobId) && pooled !== undefined) emitRelease(ctx, pooled, lane)
  }
  releaseWaiting(ctx)
}

/**
 * The lane's jobs stay with it: its next holder goes on with them. A worker that lost it before has nothing to close.
 * Nothing is released now, although slots may seem free: a worker that shuts down closes its lanes one after another,
 * and a job that is given to the last of them would be bound to whoever gets it. The lane will be opened in a moment.
 */
export const closeLane = (ctx: Ctx, { lane, workerId }: LaneClosed): void => {
  if (ctx.state.lane.get(laneId(lane))?.workerId !== workerId) return
  ctx.state.lane.delete(laneId(lane))
  forgetIdleWorkers(ctx)
}

/**
 * What runs goes on, and what is lost with its worker is given to the lane again; only nothing new begins. The end of it
 * is a timer, so that an operator who went away holds nobody up for ever.
 */
export const holdReleases = (ctx: Ctx, { untilMs }: ReleasesHeld): void => {
  if (untilMs <= ctx.cause.timestampMs) return resumeReleases(ctx)
  ctx.state.clock.put({ ...clockOf(ctx), heldUntilMs: untilMs })
  ctx.schedule('resume', untilMs)
}

export const resumeReleases = (ctx: Ctx): void => {
  ctx.unschedule('resume')
  ctx.state.clock.put({ ...clockOf(ctx), heldUntilMs: 0 })
  releaseWaiting(ctx)
}

export const forgetEnded = (ctx: Ctx): void => {
  const { timestampMs } = ctx.cause
  for (const [jobId, { endedAtMs }] of ctx.state.ended.entries()) {
    if (endedAtMs + transcodePool.retentionMs <= timestampMs) ctx.state.ended.delete(jobId)
  }
  ctx.state.clock.put({ ...clockOf(ctx), forgetAtMs: 0 })
  if (ctx.state.ended.entries().length > 0) scheduleForgetting(ctx)
}

const releaseWaiting = (ctx: Ctx): void => {
  if (clockOf(ctx).heldUntilMs > 0) return
  for (const slot of ['HEAVY', 'LIGHT'] as const) {
    for (;;) {
      const lane = chooseLane(poolOf(ctx), slot)
      const pooled = lane === null ? undefined : dequeue(ctx, slot)
      if (lane === null || pooled === undefined) break
      ctx.state.released.put({ lane, slot }, pooled.job.jobId)
      emitRelease(ctx, pooled, lane)
    }
  }
}

const emitRelease = (ctx: Ctx, { job, attempt }: PooledJob, lane: number): void =>
  ctx.emit.JobReleased({ job, attempt }, { key: job.jobId, partition: lane })

const giveUp = (ctx: Ctx, { job, attempt }: PooledJob, code: string): void => {
  const { jobId, videoId, generation } = job
  end(ctx, jobId)
  if (job.kind === 'THUMBNAILS') return
  ctx.emit.TranscodeFailed({ generation, code, detail: failureSentence(code), attempts: attempt }, { key: videoId })
  cancelJobs(ctx, ({ job: other }) => other.videoId === videoId && other.generation === generation)
}

const cancelJobs = (ctx: Ctx, concerns: (pooled: PooledJob) => boolean): void => {
  for (const [jobId, pooled] of ctx.state.job.entries()) {
    if (!concerns(pooled)) continue
    const released = ctx.state.released.get(jobId)
    if (released === undefined) withdraw(ctx, pooled)
    else ctx.emit.JobCancelled({ videoId: pooled.job.videoId }, { key: jobId, partition: released.lane })
    ctx.state.released.delete(jobId)
    end(ctx, jobId)
  }
}

const end = (ctx: Ctx, jobId: string): void => {
  ctx.state.job.delete(jobId)
  ctx.state.ended.put({ endedAtMs: ctx.cause.timestampMs }, jobId)
  if (clockOf(ctx).forgetAtMs === 0) scheduleForgetting(ctx)
}

/** Once a day is enough, and a timer that every job moved would never be due. */
const scheduleForgetting = (ctx: Ctx): void => {
  const forgetAtMs = ctx.cause.timestampMs + DAY_MS
  ctx.state.clock.put({ ...clockOf(ctx), forgetAtMs })
  ctx.schedule('forget', forgetAtMs)
}

const forgetIdleWorkers = (ctx: Ctx): void => {
  const holders = new Set(ctx.state.lane.entries().map(([, { workerId }]) => workerId))
  for (const [workerId] of ctx.state.worker.entries()) if (!holders.has(workerId)) ctx.state.worker.delete(workerId)
}

const poolOf = (ctx: Ctx): Pool => ({
  lanes: ctx.state.lane.entries().map(([, lane]) => lane),
  workers: new Map(ctx.state.worker.entries()),
  released: ctx.state.released.entries().map(([, job]) => job),
})

const laneId = (lane: number): string => String(lane).padStart(5, '0')
