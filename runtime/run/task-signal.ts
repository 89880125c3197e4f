import type { Scheduler } from '../../platform/clock.ts'
import type { ReelstreamError } from '../../platform/errors.ts'

const LONGEST_TIMER_MS = 2 ** 31 - 1

/** What the loop of a task is told from outside: that there is something to do, that it is to stop, or cannot go on. */
export class TaskSignal {
  readonly #clock: Scheduler
  #isStopping = false
  #failure: ReelstreamError | null = null
  #wake: () => void = () => undefined

  constructor(clock: Scheduler) {
    this.#clock = clock
  }

  get isStopping(): boolean {
    return this.#isStopping
  }

  /** Ends a wait, if there is one. */
  wake(): void {
    this.#wake()
  }

  stop(): void {
    this.#isStopping = true
    this.#wake()
  }

  fail(error: ReelstreamError): void {
    this.#failure = error
    this.#wake()
  }

  throwIfFailed(): void {
    if (this.#failure !== null) throw this.#failure
  }

  /**
   * Resolves when woken, or after so long; at once when the task is to stop or cannot go on: it may have been told so while
   * it was at something else. Null: it has nothing to wait for.
   */
  next(timeoutMs: number | null): Promise<void> {
    return this.#isStopping || this.#failure !== null ? Promise.resolve() : this.#wait(timeoutMs)
  }

  /** Resolves after so long, whoever wakes the task meanwhile; at once when it is to stop. */
  async pause(ms: number): Promise<void> {
    const until = this.#clock.monotonicMs() + ms
    while (!this.#isStopping && this.#clock.monotonicMs() < until) await this.#wait(until - this.#clock.monotonicMs())
  }

  #wait(timeoutMs: number | null): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        cancel()
        this.#wake = () => undefined
        resolve()
      }
      const cancel =
        timeoutMs === null ? () => undefined : this.#clock.after(Math.min(timeoutMs, LONGEST_TIMER_MS), wake)
      this.#wake = wake
    })
  }
}
