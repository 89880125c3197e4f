import type { Context, to } from '../../runtime/processor.ts'
import type { transcodeJobs, videoEvents } from '../../schemas/topics.ts'
import {
  EndedJobSchema,
  LaneSchema,
  PoolClockSchema,
  PooledJobSchema,
  ReleasedJobSchema,
  WaitingJobSchema,
  WorkerSlotsSchema,
} from './generated.ts'

/** One record per job, lane and worker: nothing here grows with the length of the queue but the number of entries. */
export const state = {
  clock: PoolClockSchema,
  /** By jobId: every job that is not over, waiting or released. */
  job: PooledJobSchema,
  /** By slot kind and sequence: the queue. */
  waiting: WaitingJobSchema,
  /** By jobId: who has it. */
  released: ReleasedJobSchema,
  /** By jobId: what must not begin again. */
  ended: EndedJobSchema,
  lane: LaneSchema,
  worker: WorkerSlotsSchema,
}

type Writes = readonly [
  ReturnType<typeof to<typeof transcodeJobs, 'JobReleased' | 'JobCancelled'>>,
  ReturnType<typeof to<typeof videoEvents, 'TranscodeFailed'>>,
]

export type Ctx = Context<Writes, typeof state, Record<never, never>, 'forget' | 'resume'>
