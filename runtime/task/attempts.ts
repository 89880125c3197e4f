import type { Refusal } from './dead-letter.ts'
import type { Input } from './queued-inputs.ts'

/**
 * What a batch is made of, step by step, for when the log refuses it: whoever drives the task then makes smaller batches
 * until one has a single step, and has that step refused. So every step that writes something, whatever it comes from
 * (an input, a timer, what waited, what a replay held back, a hook), is counted here before it is made.
 */
export type Attempt =
  | Input
  | { readonly kind: 'held'; readonly outputId: string }
  | { readonly kind: 'skip'; readonly key: string; readonly sequence: number }
  | { readonly kind: 'hook'; readonly hook: 'opened' | 'closed' }

/** The steps of a batch. */
export interface Attempted {
  readonly count: number
  /** The only one, when there is one. */
  readonly first: Attempt | undefined
  /** Names of those that were refused instead of made. */
  readonly refused: readonly string[]
}

/** What the driver has learned of batches that the log has refused. */
export interface StepLimits {
  /** Steps that the next batch may have: at least one. */
  readonly limit: number
  /** Steps that are to be refused, by name, with why. */
  readonly refusals: ReadonlyMap<string, Refusal>
}

/** Why a key waits when the log refuses what comes of it. */
export const COMMIT_REJECTED = 'COMMIT_REJECTED'

export const UNLIMITED: StepLimits = { limit: Number.POSITIVE_INFINITY, refusals: new Map() }

/** Names a step: the same whenever it is made again. */
export const nameOf = (attempt: Attempt): string => {
  switch (attempt.kind) {
    case 'record':
      return `${attempt.record.topic}/${attempt.record.partition}/${attempt.record.offset}`
    case 'timer':
      return `timer/${attempt.timer.timerId}`
    case 'report':
      return `effect/${attempt.effectId}/${attempt.n}`
    case 'outcome':
      return `effect/${attempt.effectId}/settled`
    case 'held':
      return `held/${attempt.outputId}`
    case 'skip':
      return `skip/${attempt.key}/${attempt.sequence}`
    case 'hook':
      return `hook/${attempt.hook}`
  }
}

export class Attempts {
  readonly #limits: StepLimits
  #count = 0
  #first: Attempt | undefined
  #refused: string[] = []

  constructor(limits: StepLimits) {
    this.#limits = limits
  }

  /** Whether the next batch takes another step. */
  get hasRoom(): boolean {
    return this.#count < this.#limits.limit
  }

  /** Counts a step that is about to be made. Returns why it is to be refused instead; null for nearly all. */
  begin(attempt: Attempt): Refusal | null {
    this.#count += 1
    this.#first ??= attempt
    if (this.#limits.refusals.size === 0) return null
    const name = nameOf(attempt)
    const refusal = this.#limits.refusals.get(name)
    if (refusal === undefined) return null
    this.#refused.push(name)
    return refusal
  }

  /** The step was not made, and will be tried again: what it needs has to be learned first. */
  undo(attempt: Attempt): void {
    this.#count -= 1
    if (this.#first === attempt) this.#first = undefined
    if (this.#refused.length > 0) this.#refused = this.#refused.filter((name) => name !== nameOf(attempt))
  }

  /** Those since the last call. */
  take(): Attempted {
    const attempted = { count: this.#count, first: this.#first, refused: this.#refused }
    this.#count = 0
    this.#first = undefined
    this.#refused = []
    return attempted
  }
}
