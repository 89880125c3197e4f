import {
  BadInputError,
  BugError,
  ConfigError,
  describeError,
  isRetryable,
  ReelstreamError,
} from '../../platform/errors.ts'
import { traceparentOf } from '../../platform/trace-context.ts'
import { headerOf } from '../kafka/fetched-records.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import type { Timer } from '../state/generated.ts'
import { type Attempts, COMMIT_REJECTED } from './attempts.ts'
import type { Refusal } from './dead-letter.ts'
import type { LiveEffect } from './effect-ledger.ts'
import { spanOfRun } from './effect-span.ts'
import type { Failures } from './failures.ts'
import { HandlerContext } from './handler-context.ts'
import type { History } from './history.ts'
import type { Journal } from './journal.ts'
import { derivedOrigin, originOf } from './origin.ts'
import type { Input } from './queued-inputs.ts'
import type { Replay } from './replay.ts'
import { type Route, type Routes, routeOf, routesOf } from './routes.ts'
import { Step, type StepOrigin, type StepSettings } from './step.ts'
import { type KeptNote, StepNotes } from './step-notes.ts'
import type { StepWriter } from './step-writer.ts'
import type { TaskMemory } from './task-memory.ts'

interface Parts {
  readonly attempts: Attempts
  readonly memory: TaskMemory
  readonly journal: Journal
  readonly replay: Replay
  readonly failures: Failures
  readonly writer: StepWriter
}

/**
 * Runs one input through the handler that it is for, as one atomic step: all that the handler asked for is kept, or, when
 * it throws, nothing of it; then its key is blocked.
 */
export class StepRunner {
  readonly #settings: StepSettings
  readonly #attempts: Attempts
  readonly #routes: Routes
  readonly #memory: TaskMemory
  readonly #journal: Journal
  readonly #replay: Replay
  readonly #failures: Failures
  readonly #writer: StepWriter
  readonly #context: HandlerContext
  readonly #notes = new StepNotes()
  /** What the present step may have done before; null when it is done for the first time. */
  #past: History | null = null

  constructor(settings: StepSettings, { attempts, memory, journal, replay, failures, writer }: Parts) {
    this.#settings = settings
    this.#attempts = attempts
    this.#routes = routesOf(settings.processor)
    this.#memory = memory
    this.#journal = journal
    this.#replay = replay
    this.#failures = failures
    this.#writer = writer
    this.#context = new HandlerContext(settings.processor, memory.store)
  }

  /** Undefined: the processor does not read the record. */
  routeOf(record: LogRecord): Route | undefined {
    return routeOf(this.#routes, this.#settings.codec, record)
  }

  /** Whether the key is closed to what comes by this route. */
  isOver(key: string, { afterClose }: Route): boolean {
    return !afterClose && this.#memory.closed.has(key)
  }

  /**
   * Runs the step of an input, or has it wait behind a failure of its key. `past`: as of the replay that has just ended.
   * False: there was nothing to do.
   */
  take(input: Input, key: string, nowMs: number, route?: Route, past: History | null = null): boolean {
    const rejection = this.#attempts.begin(input)
    if (this.#memory.blocked.has(key)) {
      this.#failures.enqueue(input, key, nowMs)
      return true
    }
    try {
      if (rejection !== null) throw rejectedWith(rejection)
      this.#past = this.#memory.replay === null ? past : this.#replay.past
      return this.#run(input, key, nowMs, route)
    } catch (error) {
      this.#setAside(input, key, nowMs, error, rejection)
      return true
    }
  }

  /** The input waits with its key, or is a dead letter. Throws what is not the key's fault. */
  #setAside(input: Input, key: string, nowMs: number, error: unknown, rejection: Refusal | null): void {
    try {
      const refusal = this.refusalOf(error)
      const isLetter = input.kind === 'record' && this.#isLetter(input.record, refusal)
      if (isLetter) this.#failures.bury(input.record, refusal, rejection)
      else this.#failures.blockWith(input, key, refusal, nowMs)
    } catch (failure) {
      this.#attempts.undo(input)
      throw failure
    }
  }

  /** A record that cannot wait with a key becomes a dead letter. */
  bury(record: LogRecord, refusal: Refusal): void {
    this.#failures.bury(record, refusal, this.#attempts.begin({ kind: 'record', record }))
  }

  /** Runs the step of an input that waited with its key. `past`: as of the replay that it waited in. Throws its failure. */
  takeQueued(input: Input, key: string, nowMs: number, past: History | null): void {
    const rejection = this.#attempts.begin(input)
    if (rejection !== null) throw rejectedWith(rejection)
    this.#past = past
    this.#run(input, key, nowMs)
  }

  /** Runs a step that has no input and no past. Throws its failure. */
  takeHook(origin: StepOrigin, run: (step: Step) => void): void {
    this.#past = null
    this.#step(origin, run)
  }

  /** Whether handlers wrote for the log since the last call. */
  get hasNotes(): boolean {
    return this.#notes.size > 0
  }

  /** What handlers wrote for the log since the last call. */
  takeNotes(): readonly KeptNote[] {
    return this.#notes.take()
  }

  /** Why a step failed, for its key. What is not the key's fault is thrown on. */
  refusalOf(error: unknown): Refusal {
    if (error instanceof ReelstreamError) {
      if (error.retryable || error instanceof ConfigError) throw error
      return { code: error.code, detail: error.message }
    }
    const detail = `a handler of ${this.#settings.processor.name} failed: ${describeError(error)}`
    return { code: 'HANDLER_FAILED', detail }
  }

  /** Whether the record, which was refused for this, is one of a door that nobody can read. */
  #isLetter(record: LogRecord, { code }: Refusal): boolean {
    const route = this.routeOf(record)
    if (route?.isDoor !== true) return false
    return code === UNDECODABLE || (code === COMMIT_REJECTED && !this.#isReadable(record, route))
  }

  #isReadable(record: LogRecord, route: Route): boolean {
    try {
      this.#decode(record, route)
      return true
    } catch (error) {
      this.refusalOf(error)
      return false
    }
  }

  #run(input: Input, key: string, nowMs: number, route?: Route): boolean {
    const { behaviour } = this.#settings.processor
    const { effects } = this.#memory
    switch (input.kind) {
      case 'record':
        return this.#runRecord(input.record, key, nowMs, route)
      case 'timer': {
        const { name, timer } = input
        this.#step(derivedOrigin(key, `timer/${timer.timerId}`, timer, nowMs), (step) => {
          step.fired(name)
          this.#context.during(step, (context) => behaviour.due[name]?.(context))
          if (this.#memory.isOnRecordTime(name)) this.#requireLater(step, timer)
        })
        return true
      }
      case 'report': {
        const { effectId, n, value } = input
        const before = effects.get(effectId)
        const after = effects.reported(effectId, n)
        if (before === undefined || after === null) return false
        const { effect } = before.record
        try {
          this.#step(this.#originOfEffect(before, n, nowMs), (step) =>
            this.#context.during(step, (context) => behaviour.reported[effect]?.(context, before.input, n, value)),
          )
        } catch (error) {
          effects.put(before)
          throw error
        }
        if (effects.get(effectId) !== undefined) this.#writer.writeEffect(after)
        return true
      }
      case 'outcome': {
        const effect = effects.get(input.effectId)
        if (effect === undefined) return false
        const { effect: name } = effect.record
        this.#step(this.#originOfEffect(effect, 'settled', nowMs), (step) =>
          this.#context.during(step, (context) => behaviour.settled[name]?.(context, effect.input, input.outcome)),
        )
        this.#writer.removeEffect(effect)
        return true
      }
    }
  }

  #originOfEffect({ id, key, record }: LiveEffect, what: number | 'settled', nowMs: number): StepOrigin {
    const { causeId, traceparent } = record
    const span = spanOfRun(this.#settings.processor.name, id, record)
    const kept = { causeId, traceparent: span === null ? traceparent : traceparentOf(span) }
    return derivedOrigin(key, `effect/${id}/${what}`, kept, nowMs)
  }

  /** Time on records passes only with them: timers that set each other for a time that is no later would fire for ever. */
  #requireLater(step: Step, fired: Timer): void {
    for (const [name, atMs] of step.timers) {
      if (atMs === null || atMs > fired.atMs || !this.#memory.isOnRecordTime(name)) continue
      const detail = `a timer on record time sets ${name} for ${atMs}, no later than itself (${fired.atMs})`
      throw new BugError('TIMER_NOT_LATER', detail)
    }
  }

  #runRecord(record: LogRecord, key: string, nowMs: number, route = this.routeOf(record)): boolean {
    if (route === undefined || this.isOver(key, route)) return false
    const event = this.#decode(record, route)
    const { on, closing } = this.#settings.processor.behaviour
    const confirmed = this.#past === null ? NOTHING : this.#confirmedBy(record, key, route)
    this.#step(originOf(record, key, nowMs), (step) => {
      this.#context.during(step, (context) => on[route.topic]?.[route.event]?.(context, event))
      if (!route.closes) return
      this.#context.during(step, (context) => closing[route.topic]?.[route.event]?.(context, event))
      step.close()
    })
    for (const effect of confirmed) this.#writer.removeEffect(effect)
    if (this.#past !== null) this.#writer.dropConfirmation(key, headerOf(record, 'ce_id'))
    return true
  }

  /**
   * Effects of which the record, met again, says that they were carried out: the oldest of each name that it confirms and
   * that the replay asked for, or none when it is the outcome of one that was known by its id. What was pending before the
   * replay had not settled, so no record that it meets can be its outcome.
   */
  #confirmedBy(record: LogRecord, key: string, { confirms }: Route): readonly LiveEffect[] {
    const { effects, confirmations } = this.#memory
    if (confirmations.has(headerOf(record, 'ce_id') ?? '')) return NOTHING
    const pending = effects.ofKey(key)
    return confirms.flatMap(
      (name) => pending.find(({ record: { effect, replayed } }) => replayed && effect === name) ?? [],
    )
  }

  #decode(record: LogRecord, route: Route): unknown {
    try {
      return this.#settings.codec.decode(route.schema, record.value as Buffer)
    } catch (error) {
      if (isRetryable(error)) throw error
      const detail = `the record cannot be read: ${describeError(error)}`
      throw new BadInputError(UNDECODABLE, detail, { cause: error })
    }
  }

  #step(origin: StepOrigin, run: (step: Step) => void): void {
    const { store } = this.#memory
    const step = new Step(this.#settings, origin)
    try {
      run(step)
      if (step.closed) store.deleteKey(origin.key)
      const state = store.changedInStep().map((change) => this.#journal.encode({ kind: 'state', change }))
      const promises = this.#writer.prepare(step, this.#past)
      store.keepStep()
      for (const record of state) this.#journal.put(record)
      this.#writer.write(step, promises, this.#past)
      // What was done before was logged before.
      if (step.notes.length > 0 && this.#past === null) this.#notes.keep(step)
    } catch (error) {
      store.undoStep()
      throw error
    }
  }
}

const rejectedWith = ({ code, detail }: Refusal): BadInputError => new BadInputError(code, detail)

const NOTHING: readonly LiveEffect[] = []
export const UNDECODABLE = 'UNDECODABLE_RECORD'
