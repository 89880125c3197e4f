import type { Journal } from './journal.ts'
import type { TaskMemory } from './task-memory.ts'

const DAY_MS = 24 * 60 * 60 * 1000
/** Longest time after which a duplicate of a closed key's event may still arrive. */
const CLOSED_KEY_MS = 30 * DAY_MS
/** How often markers that are too old are looked for: each time at all of them. */
const CLOSED_SWEEP_MS = DAY_MS

/** The markers that closed keys leave behind, and their end. */
export class ClosedKeys {
  readonly #memory: TaskMemory
  readonly #journal: Journal
  #sweptAtMs = 0

  constructor(memory: TaskMemory, journal: Journal) {
    this.#memory = memory
    this.#journal = journal
  }

  /** Forgets markers that are too old. */
  sweep(nowMs: number): void {
    const { closed } = this.#memory
    this.#sweptAtMs = nowMs
    for (const [key, closedAtMs] of closed) {
      if (nowMs - closedAtMs <= CLOSED_KEY_MS) continue
      closed.delete(key)
      this.#journal.write({ kind: 'closed', key, value: null })
    }
  }

  /** Sweeps when the last time is long ago. */
  sweepNowAndThen(nowMs: number): void {
    if (nowMs - this.#sweptAtMs >= CLOSED_SWEEP_MS) this.sweep(nowMs)
  }
}
