import type { Timer } from '../state/generated.ts'

/** The timers of a task: at most one per key and name. */
export interface SetTimer {
  readonly key: string
  readonly name: string
  readonly timer: Timer
}

export class TimerLedger {
  readonly #byKey = new Map<string, Map<string, Timer>>()
  #nextDueMs: number | null = null
  #stale = false

  put({ key, name, timer }: SetTimer): void {
    const timers = this.#byKey.get(key) ?? new Map<string, Timer>()
    this.#byKey.set(key, timers.set(name, timer))
    this.#stale = true
  }

  remove(key: string, name: string): void {
    const timers = this.#byKey.get(key)
    if (timers?.delete(name) !== true) return
    if (timers.size === 0) this.#byKey.delete(key)
    this.#stale = true
  }

  get(key: string, name: string): Timer | undefined {
    return this.#byKey.get(key)?.get(name)
  }

  namesOf(key: string): readonly string[] {
    return [...(this.#byKey.get(key)?.keys() ?? [])]
  }

  /** When the earliest is due, of keys that do not wait for something else; null if none is set. */
  nextDueMs(waits: ((key: string) => boolean) | null = null): number | null {
    if (waits !== null) {
      const due = [...this.#all()].filter(({ key }) => !waits(key)).map(({ timer }) => timer.atMs)
      return due.length === 0 ? null : Math.min(...due)
    }
    if (this.#stale) {
      this.#nextDueMs = null
      for (const { timer } of this.#all()) {
        if (this.#nextDueMs === null || timer.atMs < this.#nextDueMs) this.#nextDueMs = timer.atMs
      }
      this.#stale = false
    }
    return this.#nextDueMs
  }

  /** Those due at `nowMs`, earliest first; ties by id, so that every run fires them in the same order. */
  due(nowMs: number): readonly SetTimer[] {
    const next = this.nextDueMs()
    if (next === null || next > nowMs) return []
    return [...this.#all()]
      .filter(({ timer }) => timer.atMs <= nowMs)
      .sort((a, b) => a.timer.atMs - b.timer.atMs || (a.timer.timerId < b.timer.timerId ? -1 : 1))
  }

  /** Removes everything, one by one as it is asked for. */
  *clear(): Generator<SetTimer> {
    for (const set of this.#all()) {
      this.remove(set.key, set.name)
      yield set
    }
  }

  *#all(): Generator<SetTimer> {
    for (const [key, timers] of this.#byKey) for (const [name, timer] of timers) yield { key, name, timer }
  }
}
