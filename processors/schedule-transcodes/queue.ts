import { slotFor } from './decide.ts'
import type { PoolClock, PooledJob, SlotKind } from './generated.ts'
import type { Ctx } from './state.ts'

/**
 * The waiting jobs of each slot kind in the order of their arrival. Taking the first is one look-up: the head remembers
 * before which sequence nothing waits. A job that is tried again keeps its place, so it goes before all that came later.
 */
export const enqueue = (ctx: Ctx, job: Omit<PooledJob, 'sequence'>, place?: number): void => {
  const clock = clockOf(ctx)
  const sequence = place ?? clock.nextSequence
  const slot = slotFor(job.job.kind)
  ctx.state.job.put({ ...job, sequence }, job.job.jobId)
  ctx.state.waiting.put({ jobId: job.job.jobId }, waitingId(slot, sequence))
  const head = HEAD[slot]
  ctx.state.clock.put({
    ...clock,
    nextSequence: Math.max(clock.nextSequence, sequence + 1),
    [head]: Math.min(clock[head], sequence),
  })
}

/** The first waiting job of that kind; it is taken out. */
export const dequeue = (ctx: Ctx, slot: SlotKind): PooledJob | undefined => {
  const clock = clockOf(ctx)
  const head = HEAD[slot]
  let sequence = clock[head]
  let jobId: string | undefined
  for (; sequence < clock.nextSequence && jobId === undefined; sequence++) {
    jobId = ctx.state.waiting.get(waitingId(slot, sequence))?.jobId
  }
  if (sequence !== clock[head]) ctx.state.clock.put({ ...clock, [head]: sequence })
  if (jobId === undefined) return undefined
  ctx.state.waiting.delete(waitingId(slot, sequence - 1))
  return ctx.state.job.get(jobId)
}

export const withdraw = (ctx: Ctx, { job, sequence }: PooledJob): void =>
  ctx.state.waiting.delete(waitingId(slotFor(job.kind), sequence))

export const clockOf = (ctx: Ctx): PoolClock =>
  ctx.state.clock.get() ?? { nextSequence: 1, heavyHead: 1, lightHead: 1, forgetAtMs: 0, heldUntilMs: 0 }

const HEAD = { HEAVY: 'heavyHead', LIGHT: 'lightHead' } as const

const waitingId = (slot: SlotKind, sequence: number): string => `${slot}/${String(sequence).padStart(15, '0')}`
