import type { Scheduler } from '../../platform/clock.ts'
import type { SeenEnd } from '../kafka/group-member.ts'
import type { TaskLog } from './task-log.ts'

/** Older than that an end says nothing any more, ms. */
const KNOWN_FOR_MS = 30_000
/** A partition that flows is fetched, and its end seen, more often than that, ms. */
const FETCHED_WITHIN_MS = 10_000

/** A task, and what the last fetch of each of its inputs has said; undefined: there was none. */
export interface TaskInputs {
  readonly task: number
  /** Asked for only when it is needed. */
  readonly openLog: () => Pick<TaskLog, 'inputRanges'>
  readonly fetched: readonly (SeenEnd | undefined)[]
}

interface Looked {
  readonly ends: ReadonlyMap<string, bigint>
  readonly atMs: number
}

/**
 * Where the inputs of tasks end, for a lag gauge. A fetch says so by itself; but a task that has stopped, or has no room,
 * fetches nothing, and its lag would stand still while it grows. Of such tasks it is looked up now and then. Where nobody
 * can be asked, nobody knows it: undefined, after a while.
 */
export class InputEnds {
  readonly #clock: Pick<Scheduler, 'monotonicMs'>
  readonly #looked = new Map<number, Looked>()
  #isLooking = false

  constructor(clock: Pick<Scheduler, 'monotonicMs'>) {
    this.#clock = clock
  }

  /** `fetched`: as the last fetch has it. */
  of(topic: string, task: number, fetched: SeenEnd | undefined): bigint | undefined {
    const looked = this.#looked.get(task)
    const seen = [fetched, this.#seen(looked?.ends.get(topic), looked)].filter((end) => end !== undefined)
    const [latest] = seen.sort((a, b) => a.ageMs - b.ageMs)
    return latest === undefined || latest.ageMs > KNOWN_FOR_MS ? undefined : latest.offset
  }

  /**
   * Looks them up of those tasks of which no fetch has said them lately, one after the other: while the log is away each
   * look takes its patience. Never throws: what cannot be told is not known.
   */
  async refresh(tasks: readonly TaskInputs[]): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    for (const { task, openLog, fetched } of tasks) {
      if (fetched.every((end) => end !== undefined && end.ageMs <= FETCHED_WITHIN_MS)) continue
      try {
        const ranges = await openLog().inputRanges()
        const ends = new Map([...ranges].map(([topic, { end }]) => [topic, end]))
        this.#looked.set(task, { ends, atMs: this.#clock.monotonicMs() })
      } catch {
        // The gauge says so by its absence; what else it means, the task meets itself.
      }
    }
    this.#isLooking = false
  }

  #seen(offset: bigint | undefined, looked: Looked | undefined): SeenEnd | undefined {
    if (offset === undefined || looked === undefined) return undefined
    return { offset, ageMs: this.#clock.monotonicMs() - looked.atMs }
  }
}
