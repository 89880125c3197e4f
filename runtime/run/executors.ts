import type { Logger } from '../../platform/log.ts'
import type { EffectShape, Processor } from '../processor.ts'

/**
 * What a composition root binds to a declared effect: a function from input to outcome, run outside any transaction,
 * at least once. Whatever it writes outside must therefore be idempotent by `effectId` or written once.
 */
export interface EffectRun<Report> {
  /** Deterministic: the same effect after any crash has the same id. */
  readonly effectId: string
  readonly key: string
  /** Which run this is, from 1, over crashes and retries. */
  readonly attempt: number
  /** Number of the last report that is journaled; pieces up to it need not be done again. 0 = none. */
  readonly resumeFrom: number
  /** Aborts when the effect is cancelled, timed out, or the process gives its task up. */
  readonly signal: AbortSignal
  readonly log: Logger
  /**
   * Journals piece n (1, 2, 3 … without gaps, the same n for the same piece in every run) together with the facts that
   * the processor makes of it. Resolves when it is committed; n up to `resumeFrom` resolves at once. Throws BugError
   * ENCODE_INVALID for a value that is not of the declared type.
   */
  report(n: number, value: Report): Promise<void>
  /** Entries of the effect's own key in a declared collection, as of the commit that journaled it or a later one. */
  read<T>(collection: string, prefix?: string): readonly (readonly [id: string, value: T])[]
}

/**
 * Throws a ReelstreamError; its `retryable` decides whether the policy's next attempt is made. A result that is not of the
 * declared type ends the effect with ENCODE_INVALID.
 */
export type Executor<Input = unknown, Result = unknown, Report = unknown> = (
  input: Input,
  run: EffectRun<Report>,
) => Promise<Result>

// biome-ignore lint/suspicious/noExplicitAny: one map for executors of every type; each is typed where it is defined
export type AnyExecutors = Readonly<Record<string, Executor<any, any, any>>>

/** A processor with its executors, as `run` takes it. */
export interface BoundProcessor {
  readonly processor: Processor
  readonly executors: AnyExecutors
}

/**
 * Slots for the effects of one processor in this process, over all its tasks. `acquire` never waits: who gets none is
 * woken by `onFree` and asks again.
 *
 * A suspect, whose last runs ended with the death of the process, shares it with no other suspect. When the process dies
 * again one of them is to blame, not all: what only happened to run beside a killer is soon proven innocent.
 */
export class EffectSlots {
  readonly #used = new Map<string, number>()
  readonly #effects: EffectShape
  readonly #listeners = new Set<() => void>()
  #suspectRuns = false

  constructor(effects: EffectShape) {
    this.#effects = effects
  }

  acquire(effect: string, isSuspect = false): boolean {
    const used = this.#used.get(effect) ?? 0
    if (used >= (this.#effects[effect]?.policy.concurrency ?? 0)) return false
    if (isSuspect && this.#suspectRuns) return false
    this.#used.set(effect, used + 1)
    if (isSuspect) this.#suspectRuns = true
    return true
  }

  release(effect: string, isSuspect = false): void {
    this.#used.set(effect, (this.#used.get(effect) ?? 1) - 1)
    if (isSuspect) this.#suspectRuns = false
    for (const listener of this.#listeners) listener()
  }

  onFree(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
