import type { Processor } from '../processor.ts'
import type { Attempts } from './attempts.ts'
import type { History } from './history.ts'
import type { StepRunner } from './step-runner.ts'
import type { TaskMemory } from './task-memory.ts'

interface Parts {
  readonly attempts: Attempts
  readonly memory: TaskMemory
  readonly steps: StepRunner
}

/** When the timers of a task are due, on the wall clock and on record time, and their steps. Those of blocked keys wait. */
export class DueTimers {
  readonly #parts: Parts
  readonly #memory: TaskMemory
  /** Whether the processor declares timers on record time: most do not, and need not look for any. */
  readonly hasRecordTimers: boolean

  constructor({ recordTimers }: Processor, parts: Parts) {
    this.#parts = parts
    this.#memory = parts.memory
    this.hasRecordTimers = recordTimers.length > 0
  }

  /** Whether one is set that needs no record to become due, blocked or not. */
  get areSet(): boolean {
    const { timers, recordTimers } = this.#memory
    return timers.nextDueMs() !== null || this.#hasPassed(recordTimers.nextDueMs())
  }

  /** When the next one fires by itself; null: none does. */
  nextDueMs(nowMs: number): number | null {
    const { timers, recordTimers, blocked } = this.#memory
    const waits = blocked.size === 0 ? null : (key: string) => blocked.has(key)
    const dueMs = timers.nextDueMs(waits)
    if (!this.#hasPassed(recordTimers.nextDueMs(waits))) return dueMs
    return dueMs === null ? nowMs : Math.min(nowMs, dueMs)
  }

  /** Whether record time has come to it. */
  #hasPassed(atMs: number | null): boolean {
    return atMs !== null && atMs <= this.#memory.recordTimeMs
  }

  /** Fires those on the wall clock. `past`: as of the replay that has just ended. False: the batch takes no more of them. */
  fire(nowMs: number, past: History | null): boolean {
    const { attempts, steps } = this.#parts
    const { timers, blocked } = this.#memory
    for (const { key, name, timer } of timers.due(nowMs)) {
      if (!attempts.hasRoom) return false
      // An earlier timer of this round may have removed or moved it; that of a blocked key waits with the key.
      if (timers.get(key, name)?.timerId !== timer.timerId || blocked.has(key)) continue
      steps.take({ kind: 'timer', key, name, timer }, key, nowMs, undefined, past)
    }
    return true
  }

  /**
   * Windows end before the record that moves the time past their end, in the order of their ends; one that ends already
   * when it is set ends before the next record. False: the batch takes no more of them.
   */
  fireOnRecordTime(toMs: number, howMany: 'batch' | 'all' = 'batch'): boolean {
    if (!this.hasRecordTimers) return true
    const { attempts, steps } = this.#parts
    const memory = this.#memory
    for (const { key, name, timer } of memory.recordTimers.eachDue(Math.max(toMs, memory.recordTimeMs))) {
      if (memory.blocked.has(key)) continue
      if (howMany === 'batch' && !attempts.hasRoom) return false
      memory.recordTimeMs = Math.max(memory.recordTimeMs, timer.atMs)
      steps.take({ kind: 'timer', key, name, timer }, key, timer.atMs)
    }
    return true
  }
}
