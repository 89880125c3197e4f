import { ReelstreamError } from '../../platform/errors.ts'
import { type Attempted, nameOf, type StepLimits } from '../task/attempts.ts'
import type { Refusal } from '../task/dead-letter.ts'

/**
 * Finds the step whose results the log will not take, whoever commits them and however often (too large for the topic,
 * against a policy of the broker). What the batch was made of is made again in halves until a rejected batch has a single
 * step: that one is refused, and its key waits. Without it such a step would stop its task for ever.
 */
export class Bisection implements StepLimits {
  readonly #refusals = new Map<string, Refusal>()
  #limit = Number.POSITIVE_INFINITY
  /** Steps of the rejected batch that have not been committed since. */
  #left = 0

  /** Steps that the next batch may have. */
  get limit(): number {
    return this.#limit
  }

  get refusals(): ReadonlyMap<string, Refusal> {
    return this.#refusals
  }

  /**
   * A batch of these steps was rejected. False: nobody can be refused for it. It has no steps, or could not be made of one
   * alone, or its only one was refused already: not even that can be written.
   */
  rejected({ count, first }: Attempted, refusal: Refusal): boolean {
    if (first === undefined || (count > 1 && this.#limit === 1)) return false
    if (count === 1) {
      const name = nameOf(first)
      if (this.#refusals.has(name)) return false
      this.#refusals.set(name, refusal)
    }
    this.#left = Math.max(this.#left, count)
    this.#limit = Math.max(1, Math.floor(count / 2))
    return true
  }

  /** What was refused is in the log: tried again, it may be taken. */
  committed({ count, refused }: Attempted): void {
    for (const name of refused) this.#refusals.delete(name)
    this.#left -= count
    this.#limit = this.#left <= 0 ? Number.POSITIVE_INFINITY : this.#limit * 2
  }
}

/** Whether the log refused what was to be written, instead of failing to write it. */
export const isRejection = (error: unknown): error is ReelstreamError =>
  error instanceof ReelstreamError && error.code === 'COMMIT_FAILED' && !error.retryable
