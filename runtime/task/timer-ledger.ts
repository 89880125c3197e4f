import type { Timer } from '../state/generated.ts'
import { DueQueue } from './due-queue.ts'

/** The timers of a task: at most one per key and name. There may be millions, and a look at each record. */
export interface SetTimer {
  readonly key: string
  readonly name: string
  readonly timer: Timer
}

export class TimerLedger {
  readonly #byKey = new Map<string, Map<string, Timer>>()
  readonly #queue = new DueQueue<SetTimer>(comesBefore, ({ key, name, timer }) => this.get(key, name) !== timer)

  put(set: SetTimer): void {
    const { key, name, timer } = set
    const timers = this.#byKey.get(key) ?? new Map<string, Timer>()
    this.#byKey.set(key, timers.set(name, timer))
    this.#queue.put(set)
  }

  remove(key: string, name: string): void {
    const timers = this.#byKey.get(key)
    if (timers?.delete(name) !== true) return
    if (timers.size === 0) this.#byKey.delete(key)
  }

  get(key: string, name: string): Timer | undefined {
    return this.#byKey.get(key)?.get(name)
  }

  namesOf(key: string): readonly string[] {
    return [...(this.#byKey.get(key)?.keys() ?? [])]
  }

  /** When the earliest is due, of keys that do not wait for something else; null if none is set. */
  nextDueMs(waits: ((key: string) => boolean) | null = null): number | null {
    const first = waits === null ? this.#queue.first : this.#queue.firstBut(({ key }) => waits(key))
    return first?.timer.atMs ?? null
  }

  /** Those due at `nowMs`, earliest first; ties by id, so that every run fires them in the same order. */
  due(nowMs: number): readonly SetTimer[] {
    return this.#queue.upTo(({ timer }) => timer.atMs <= nowMs)
  }

  /** As `due`, while they fire: one that is set meanwhile, and is due, has its place among them. */
  eachDue(nowMs: number): Generator<SetTimer> {
    return this.#queue.each(({ timer }) => timer.atMs <= nowMs)
  }

  /** Removes everything, one by one as it is asked for. */
  *clear(): Generator<SetTimer> {
    for (const [key, timers] of this.#byKey) {
      for (const [name, timer] of timers) {
        this.remove(key, name)
        yield { key, name, timer }
      }
    }
  }
}

const comesBefore = (a: SetTimer, b: SetTimer): boolean =>
  a.timer.atMs < b.timer.atMs || (a.timer.atMs === b.timer.atMs && a.timer.timerId < b.timer.timerId)
