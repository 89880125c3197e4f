import { atMost } from '../../platform/at-most.ts'
import type { Scheduler } from '../../platform/clock.ts'
import { isRetryable, ReelstreamError, UpstreamError } from '../../platform/errors.ts'
import type { Logger } from '../../platform/log.ts'
import { parseTraceparent } from '../../platform/trace-context.ts'
import type { AvroSchema, Codec } from '../codec/avro.ts'
import { SUSPECT_AFTER } from '../effect-policy.ts'
import type { Outcome, Processor } from '../processor.ts'
import type { LiveEffect } from '../task/effect-ledger.ts'
import { spanOfRun } from '../task/effect-span.ts'
import { withinLimit } from '../task/step.ts'
import type { Failure } from '../task/task-core.ts'
import type { AnyExecutors, EffectRun, EffectSlots, Executor } from './executors.ts'
import type { EndedRun, EngineObserver, RunEnd } from './observer.ts'

/** What a running effect tells its task. `done` is called once it is committed; until then it is told again. */
export type EffectMessage = EffectReport | EffectEnd
export interface EffectReport {
  readonly kind: 'report'
  readonly effectId: string
  readonly n: number
  readonly value: unknown
  readonly done: () => void
}
export type EffectEnd = { readonly effectId: string; readonly done: () => void } & (
  | { readonly kind: 'settled'; readonly outcome: Outcome<unknown> }
  // n: which failure of the effect it is, from 1; told again, it is still the same.
  | { readonly kind: 'failed'; readonly n: number; readonly failure: Failure }
)

interface Run {
  readonly effect: string
  readonly isSuspect: boolean
  readonly key: string
  readonly input: Buffer
  readonly sinceMs: number
  readonly controller: AbortController
  ended: Promise<void>
}

interface Settings {
  readonly processor: Processor
  readonly executors: AnyExecutors
  readonly codec: Codec
  readonly slots: EffectSlots
  readonly observer: EngineObserver
  readonly log: Logger
  readonly clock: Scheduler
  readonly tell: (message: EffectMessage) => void
}

/** Why a signal aborted. `interrupted` ends are not held against the effect. */
const CANCELLED = new UpstreamError('EFFECT_CANCELLED', 'the effect was cancelled', { retryable: false })
const INTERRUPTED = new UpstreamError('EFFECT_INTERRUPTED', 'the process gives the task up')

/** The effects of one task that are running in this process. They outlive a reopening of the task. */
export class EffectRuns {
  readonly #settings: Settings
  readonly #runs = new Map<string, Run>()
  #interrupted: Promise<unknown> | null = null

  constructor(settings: Settings) {
    this.#settings = settings
  }

  has(effectId: string): boolean {
    return this.#runs.has(effectId)
  }

  ids(): readonly string[] {
    return [...this.#runs.keys()]
  }

  /**
   * Whether what runs under this id is the effect. A replay may ask for the same one with another input: a timer that
   * fires again fires later, when more is known.
   */
  isRunOf({ id, record }: LiveEffect): boolean {
    return this.#runs.get(id)?.input.equals(record.input) === true
  }

  /** How long the one that began first has been running, milliseconds; 0 when nothing runs. */
  longestMs(): number {
    const [first] = this.#runs.values()
    return first === undefined ? 0 : this.#settings.clock.monotonicMs() - first.sinceMs
  }

  /**
   * Takes a slot for the effect. It counts as running from now on; `launch` or `forget` must follow. False: there is no
   * slot, or one that was cancelled has not let go of the key yet; `onFree` of the slots tells when to ask again.
   */
  reserve(effect: LiveEffect): boolean {
    const isSuspect = effect.record.unproven >= SUSPECT_AFTER
    if (this.#isBehind(effect) || !this.#settings.slots.acquire(effect.record.effect, isSuspect)) return false
    this.#runs.set(effect.id, {
      effect: effect.record.effect,
      isSuspect,
      key: effect.key,
      input: effect.record.input,
      sinceMs: this.#settings.clock.monotonicMs(),
      controller: new AbortController(),
      ended: Promise.resolve(),
    })
    return true
  }

  /** The task no longer knows a cancelled effect, so only its run can hold up the next one of its key. */
  #isBehind({ key, record }: LiveEffect): boolean {
    if (this.#settings.processor.effects[record.effect]?.policy.serialPerKey !== true) return false
    return [...this.#runs.values()].some((run) => run.effect === record.effect && run.key === key)
  }

  /**
   * Runs the executor; its end is told as a message. `effect` is as journaled: its run was counted. What was aborted
   * between the reservation and the commit never begins: nobody would wait for its end.
   */
  launch(effect: LiveEffect, reads: ReturnType<EffectReads>): void {
    const run = this.#runs.get(effect.id)
    if (run === undefined || run.controller.signal.aborted) return
    run.ended = this.#execute(effect, run, reads)
  }

  /** The end of the run is committed (or it never began): the slot is free again. */
  forget(effectId: string): void {
    const run = this.#runs.get(effectId)
    if (run === undefined) return
    this.#runs.delete(effectId)
    this.#settings.slots.release(run.effect, run.isSuspect)
  }

  cancel(effectId: string): void {
    const run = this.#runs.get(effectId)
    if (run === undefined) return
    run.controller.abort(CANCELLED)
    // The slot is held until the executor let go, so that a cancelled encoder and its successor do not share the cores.
    void run.ended.finally(() => this.forget(effectId))
  }

  /**
   * For good: aborts everything and waits for it to let go, at most `graceMs` from the first call on. A task may come to
   * its end by more than one way, and a run that did not heed the first signal will not heed another.
   */
  async interruptAll(graceMs: number): Promise<void> {
    for (const run of this.#runs.values()) run.controller.abort(INTERRUPTED)
    const all = Promise.allSettled([...this.#runs.values()].map((run) => run.ended))
    this.#interrupted ??= atMost(this.#settings.clock, graceMs, all)
    await this.#interrupted
  }

  async #execute(effect: LiveEffect, run: Run, reads: ReturnType<EffectReads>): Promise<void> {
    const { processor, log, tell, clock, observer } = this.#settings
    const { effect: name, runs, resumeFrom, failures } = effect.record
    const { policy, report, outcome } = processor.effects[name] ?? {}
    // One controller for every reason: Node keeps a signal of AbortSignal.any() with a listener for ever, and all that
    // the listener knows with it.
    const { signal } = run.controller
    const timeoutMs = policy?.timeoutMs ?? null
    const endTimeout =
      timeoutMs === null ? () => undefined : clock.after(timeoutMs, () => run.controller.abort(timedOut(timeoutMs)))
    const span = spanOf(processor, effect)
    const trace = span === null ? {} : { traceId: span.traceId, spanId: span.spanId }
    const fields = { effect: name, effectId: effect.id, key: effect.key, attempt: runs, ...trace }
    const startedAtMs = clock.now()
    const startedAt = clock.monotonicMs()
    using aborted = rejectionOf(signal)
    const isGivenUp = (): boolean => signal.reason === CANCELLED || signal.reason === INTERRUPTED
    const runLog = log.child(fields)
    const context: EffectRun<unknown> = {
      effectId: effect.id,
      key: effect.key,
      attempt: runs,
      resumeFrom,
      signal,
      log: runLog,
      read: <T>(collection: string, prefix = '') =>
        (reads.get(collection) ?? []).filter(([id]) => id.startsWith(prefix)) as readonly (readonly [string, T])[],
      report: async (n, value) => {
        if (n <= resumeFrom || signal.aborted) return
        this.#mustFit(report, value)
        const journaled = new Promise<void>((done) => tell({ kind: 'report', effectId: effect.id, n, value, done }))
        await Promise.race([journaled, aborted.promise])
      },
    }
    const done = () => this.forget(effect.id)
    const ended = (end: RunEnd, code: string | null = null): number => {
      const durationMs = Math.round(clock.monotonicMs() - startedAt)
      const about = { processor: processor.name, effect: name, effectId: effect.id, attempt: runs }
      observer.ran({ ...about, end, code, startedAtMs, durationMs, span })
      return durationMs
    }
    const work = this.#start(name, effect.input, context)
    try {
      const value = await Promise.race([work, aborted.promise])
      this.#mustFit(outcome, value)
      runLog.info({ durationMs: ended('settled') }, 'effect settled')
      if (!isGivenUp()) tell({ kind: 'settled', effectId: effect.id, outcome: { ok: true, value }, done })
    } catch (error) {
      // Whatever it still does is void, but a successor must not run beside it.
      if (signal.aborted) await atMost(clock, LET_GO_MS, Promise.allSettled([work]))
      if (isGivenUp()) {
        ended('aborted')
        return
      }
      const failure = failureOf(signal.aborted ? signal.reason : error)
      ended('failed', failure.code)
      runLog.warn({ err: error, code: failure.code, retryable: failure.retryable }, 'effect failed')
      tell({ kind: 'failed', effectId: effect.id, n: failures + 1, failure, done })
    } finally {
      endTimeout()
    }
  }

  async #start(name: string, input: unknown, context: EffectRun<unknown>): Promise<unknown> {
    const executor = this.#settings.executors[name] as Executor // `bound` makes sure of it
    return executor(input, context)
  }

  /**
   * A task whose key is blocked keeps what it is told as bytes, and what comes of it is written: all of it must have some,
   * and no more than a record holds. Throws as `encode`, and RECORD_TOO_LARGE.
   */
  #mustFit(schema: AvroSchema<unknown> | null | undefined, value: unknown): void {
    if (schema != null) withinLimit(this.#settings.codec.encode(schema, value), schema.name)
  }
}

const spanOf = ({ name }: Processor, { id, record }: LiveEffect): EndedRun['span'] => {
  const [span, parent] = [spanOfRun(name, id, record), parseTraceparent(record.traceparent)]
  return span === null || parent === null ? null : { ...span, parentSpanId: parent.spanId }
}

/** How long an aborted executor may take to end before its slot is given away all the same. */
const LET_GO_MS = 10_000

type EffectReads = (effect: LiveEffect) => ReadonlyMap<string, readonly (readonly [string, unknown])[]>

/** Rejects when the signal aborts: an executor that does not listen to it must not hold the task for ever. */
const rejectionOf = (signal: AbortSignal): Disposable & { readonly promise: Promise<never> } => {
  const { promise, reject } = Promise.withResolvers<never>()
  const fail = () => reject(signal.reason)
  if (signal.aborted) fail()
  else signal.addEventListener('abort', fail, { once: true })
  // Raced against wherever it matters; elsewhere an abort concerns nobody.
  promise.catch(() => undefined)
  return { promise, [Symbol.dispose]: () => signal.removeEventListener('abort', fail) }
}

const timedOut = (timeoutMs: number): UpstreamError =>
  new UpstreamError('EFFECT_TIMEOUT', `no outcome within ${timeoutMs} ms`)

const failureOf = (error: unknown): Failure =>
  error instanceof ReelstreamError
    ? { code: error.code, detail: error.message, retryable: isRetryable(error) }
    : { code: 'EFFECT_FAILED', detail: error instanceof Error ? error.message : String(error), retryable: true }
