import { BugError } from '../../platform/errors.ts'
import { CRASH_LIMIT } from '../effect-policy.ts'
import type { EffectShape } from '../processor.ts'
import type { PendingEffect } from '../state/generated.ts'

/**
 * The effects of a task that were asked for and have not settled. Pure bookkeeping: every change returns the record that
 * the changelog must hold; whoever runs executors asks `runnable` and tells what happened.
 */
export interface LiveEffect {
  readonly id: string
  readonly key: string
  /** Undefined when this code cannot read it (any more). */
  readonly input: unknown
  readonly record: PendingEffect
}

/** The effects of one name and key run in the order in which they were asked for. */
const bySequence = (a: LiveEffect, b: LiveEffect): number => a.record.sequence - b.record.sequence

const NONE: readonly LiveEffect[] = []

export class EffectLedger {
  readonly #declared: EffectShape
  /** In the order in which they were asked for, if `#isOrdered`: a changelog has them in that of their last change. */
  #effects = new Map<string, LiveEffect>()
  #isOrdered = true
  #lastSequence = 0
  readonly #byKey = new Map<string, Set<string>>()
  #nextSequence = 1

  constructor(declared: EffectShape) {
    this.#declared = declared
  }

  get size(): number {
    return this.#effects.size
  }

  nextSequence(): number {
    return this.#nextSequence++
  }

  get(id: string): LiveEffect | undefined {
    return this.#effects.get(id)
  }

  all(): readonly LiveEffect[] {
    if (this.#effects.size === 0) return NONE
    return [...this.#inOrder()]
  }

  ofKey(key: string): readonly LiveEffect[] {
    const ids = this.#byKey.get(key)
    if (ids === undefined) return NONE
    return [...ids].map((id) => this.#effects.get(id) as LiveEffect).sort(bySequence)
  }

  /** Whether this code knows effects of that name: an earlier version may have asked for others. */
  declares(effect: string): boolean {
    return this.#declared[effect] !== undefined
  }

  put(effect: LiveEffect): void {
    const { sequence } = effect.record
    if (sequence < this.#lastSequence && !this.#effects.has(effect.id)) this.#isOrdered = false
    this.#lastSequence = Math.max(this.#lastSequence, sequence)
    this.#effects.set(effect.id, effect)
    const ids = this.#byKey.get(effect.key) ?? new Set<string>()
    this.#byKey.set(effect.key, ids.add(effect.id))
    this.#nextSequence = Math.max(this.#nextSequence, sequence + 1)
  }

  remove(id: string): void {
    const effect = this.#effects.get(id)
    if (effect === undefined) return
    this.#effects.delete(id)
    const ids = this.#byKey.get(effect.key)
    ids?.delete(id)
    if (ids?.size === 0) this.#byKey.delete(effect.key)
  }

  /**
   * What may begin now: due, not of a key that waits, and not behind an older effect of the same name and key where these
   * are serial.
   */
  runnable(
    nowMs: number,
    isRunning: (effectId: string) => boolean,
    isWaiting: (key: string) => boolean,
  ): readonly LiveEffect[] {
    if (this.#effects.size === 0) return NONE
    const ahead = new Set<string>()
    const runnable: LiveEffect[] = []
    for (const effect of this.#inOrder()) {
      if (isWaiting(effect.key)) continue
      const { effect: name, notBeforeMs } = effect.record
      if (this.#declared[name]?.policy.serialPerKey === true) {
        const queue = `${name}\u001f${effect.key}`
        if (ahead.has(queue)) continue
        ahead.add(queue)
      }
      if (notBeforeMs <= nowMs && !isRunning(effect.id)) runnable.push(effect)
    }
    return runnable
  }

  /** When the next backed-off effect becomes due; null if none waits. */
  nextDueMs(nowMs: number): number | null {
    let next: number | null = null
    for (const { record } of this.#effects.values()) {
      const { notBeforeMs } = record
      if (notBeforeMs > nowMs && (next === null || notBeforeMs < next)) next = notBeforeMs
    }
    return next
  }

  /**
   * Those that a replay asked for which has not ended, as they are from its end on: pending like any other. Lazily, so that
   * whoever writes them may commit in between.
   */
  *kept(): Generator<LiveEffect> {
    for (const { id, record } of this.#effects.values()) {
      if (record.replayed) yield this.#change(id, () => ({ replayed: false }))
    }
  }

  /** Those that a replay asked for which begins anew: none has run, and what is still to be done is asked for again. */
  *withdrawn(): Generator<LiveEffect> {
    for (const effect of this.all()) {
      if (!effect.record.replayed) continue
      this.remove(effect.id)
      yield effect
    }
  }

  /** Whether every one of its last runs ended with the death of its process. */
  isKiller(effect: LiveEffect): boolean {
    return effect.record.unproven >= CRASH_LIMIT
  }

  begun(id: string): LiveEffect {
    return this.#change(id, ({ runs, unproven }) => ({ runs: runs + 1, unproven: unproven + 1 }))
  }

  /** A graceful end is no crash: the run is not held against the input. */
  interrupted(id: string): LiveEffect {
    return this.#change(id, ({ unproven }) => ({ unproven: Math.max(0, unproven - 1) }))
  }

  /** Returns null for a report that is already journaled. Throws BugError REPORT_GAP when one was left out. */
  reported(id: string, n: number): LiveEffect | null {
    const { resumeFrom } = this.#known(id).record
    if (n <= resumeFrom) return null
    if (n !== resumeFrom + 1) {
      throw new BugError('REPORT_GAP', `expected report ${resumeFrom + 1}, got ${n}`, { facts: { effectId: id } })
    }
    return this.#change(id, () => ({ resumeFrom: n, unproven: 0 }))
  }

  /** A report that is left out, whatever it was: the next one is expected. */
  skipped(id: string, n: number): LiveEffect {
    return this.#change(id, ({ resumeFrom }) => ({ resumeFrom: Math.max(resumeFrom, n) }))
  }

  /** A retryable failure: the record that waits for the next run, or null when no attempt is left. */
  failed(id: string, nowMs: number): LiveEffect | null {
    const { effect, failures } = this.#known(id).record
    const policy = this.#declared[effect]?.policy
    if (policy === undefined || failures + 1 >= policy.attempts) return null
    const notBeforeMs = nowMs + policy.backoffMs(failures + 1)
    return this.#change(id, () => ({ failures: failures + 1, unproven: 0, notBeforeMs }))
  }

  #known(id: string): LiveEffect {
    const effect = this.#effects.get(id)
    if (effect === undefined)
      throw new BugError('EFFECT_UNKNOWN', 'no such pending effect', { facts: { effectId: id } })
    return effect
  }

  #change(id: string, change: (record: PendingEffect) => Partial<PendingEffect>): LiveEffect {
    const effect = this.#known(id)
    const next = { ...effect, record: { ...effect.record, ...change(effect.record) } }
    this.#effects.set(id, next)
    return next
  }

  /** Sorted once after a restore: what is asked for later comes behind. */
  #inOrder(): Iterable<LiveEffect> {
    if (!this.#isOrdered) {
      this.#effects = new Map([...this.#effects.values()].sort(bySequence).map((effect) => [effect.id, effect]))
      this.#isOrdered = true
    }
    return this.#effects.values()
  }
}
