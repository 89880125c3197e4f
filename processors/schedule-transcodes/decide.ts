import type { JobKind } from '../../schemas/generated.ts'
import type { Lane, ReleasedJob, SlotKind, WorkerSlots } from './generated.ts'

/**
 * Which lane gets the next job. A worker has slots of two kinds, counted once however many lanes it holds: what is
 * released to any of its lanes occupies them. The worker with the most free slots is chosen, so that work spreads over
 * machines before it piles up on one; within it the lane with the least work, so that it spreads again when lanes move.
 * The choice is a function of the state alone: the same log gives the same releases.
 */
export interface Pool {
  readonly lanes: readonly Lane[]
  /** By workerId; a lane whose worker is not there has no slots. */
  readonly workers: ReadonlyMap<string, WorkerSlots>
  readonly released: readonly ReleasedJob[]
}

export const slotFor = (kind: JobKind): SlotKind => (kind === 'VIDEO' ? 'HEAVY' : 'LIGHT')

/** The lane for the next job that needs such a slot; null when every worker is full. */
export const chooseLane = (pool: Pool, slot: SlotKind): number | null => {
  const candidates = pool.lanes.map(({ lane, workerId }) => ({
    lane,
    workerId,
    free: freeSlots(pool, workerId, slot),
    busy: pool.released.filter((job) => job.lane === lane).length,
  }))
  const [best] = candidates
    .filter(({ free }) => free > 0)
    .sort((a, b) => b.free - a.free || compare(a.workerId, b.workerId) || a.busy - b.busy || a.lane - b.lane)
  return best?.lane ?? null
}

/** Below zero for a worker that took over more than it has slots for: it gets nothing until that is done. */
export const freeSlots = ({ lanes, workers, released }: Pool, workerId: string, slot: SlotKind): number => {
  const slots = workers.get(workerId)
  if (slots === undefined) return 0
  const own = new Set(lanes.filter((lane) => lane.workerId === workerId).map(({ lane }) => lane))
  const used = released.filter((job) => job.slot === slot && own.has(job.lane)).length
  return (slot === 'HEAVY' ? slots.videoSlots : slots.lightSlots) - used
}

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b))
