import { BadInputError, ConfigError, describeError, isRetryable, ReelstreamError } from '../../platform/errors.ts'
import { deriveId } from '../../platform/ids.ts'
import type { Codec } from '../codec/avro.ts'
import { headerOf } from '../kafka/fetched-records.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import { foldedBy, type Outcome, type Processor } from '../processor.ts'
import type { HeldOutput } from '../state/generated.ts'
import { type ChangelogRecord, isUsableKey } from './changelog.ts'
import type { Refusal } from './dead-letter.ts'
import type { LiveEffect } from './effect-ledger.ts'
import { type Alert, Failures } from './failures.ts'
import { emittersOf, HandlerContext } from './handler-context.ts'
import type { History } from './history.ts'
import { type Batch, Journal } from './journal.ts'
import { derivedOrigin, originOf } from './origin.ts'
import { EFFECT_UNDECLARED, fromQueued, type Input, keyOf, queuedRecord } from './queued-inputs.ts'
import { type InputRange, type Phase, type Remaining, Replay } from './replay.ts'
import { type Route, type Routes, routeOf, routesOf } from './routes.ts'
import { Step, type StepOrigin, type StepSettings } from './step.ts'
import { StepWriter } from './step-writer.ts'
import { isUnlearned, TaskMemory } from './task-memory.ts'
import type { SetTimer } from './timer-ledger.ts'

/**
 * One task (one partition of one processor) as a pure state machine: no broker, no clock, no promises. It is told what
 * happened (a record, a report, an outcome, a due timer), calls the handler, and collects what must be written: outputs
 * and changelog records of one batch. Whoever drives it (the run loop on Kafka, the test driver in memory) commits the
 * batch in one transaction and drops the whole core when that fails; a new core is rebuilt from the changelog.
 *
 * Every method is one atomic step. When a handler throws, nothing of its step remains, and its key is blocked: the input
 * and all that come after it for this key are journaled in order, until an operator or other code has them folded again.
 * What cannot be read on a door topic, or has no key that could wait, goes to the dead letters. Only errors of the
 * settings, and those that will pass by themselves, are thrown.
 *
 * A task without a position, or with one of a processor of another version or that read less, replays its inputs. Until it has passed
 * what they held when it began, what it would do is held, and done at the end unless the log shows that it was done.
 */
export interface TaskSettings extends StepSettings {
  readonly processor: Processor
  readonly codec: Codec
  readonly source: string
  readonly task: number
  readonly instanceId: string
}

export interface Failure extends Refusal {
  readonly retryable: boolean
}

const DAY_MS = 24 * 60 * 60 * 1000
/** Longest time after which a duplicate of a closed key's event may still arrive (3-runtime, end of life). */
const CLOSED_KEY_MS = 30 * DAY_MS
/** How often markers that are too old are looked for: each time at all of them. */
const CLOSED_SWEEP_MS = DAY_MS
export class TaskCore {
  readonly settings: TaskSettings
  readonly #routes: Routes
  readonly #reads: string[]
  readonly #memory: TaskMemory
  readonly #journal: Journal
  readonly #context: HandlerContext
  readonly #replay: Replay
  readonly #failures: Failures
  readonly #writer: StepWriter
  /** What the present step may have done before; null when it is done for the first time. */
  #past: History | null = null
  #changelogStart = 0
  #sweptAtMs = 0
  #moved = false

  constructor(settings: TaskSettings) {
    this.settings = settings
    this.#routes = routesOf(settings.processor)
    this.#reads = foldedBy(settings.processor)
    this.#memory = new TaskMemory(settings.processor, settings.codec)
    this.#journal = new Journal(settings.codec, settings.processor.state)
    this.#context = new HandlerContext(settings.processor, this.#memory.store)
    this.#replay = new Replay(settings.processor, this.#memory, this.#journal)
    this.#failures = new Failures(settings, this.#memory, this.#journal)
    this.#writer = new StepWriter(settings.processor, this.#memory, this.#journal)
  }

  // ---- what is there

  /** Next offset of an input topic; undefined when no position was ever written. */
  position(topic: string): bigint | undefined {
    return this.#memory.position.get(topic)
  }

  get phase(): Phase {
    return this.#replay.phase
  }

  effect(id: string): LiveEffect | undefined {
    return this.#memory.effects.get(id)
  }

  effects(): readonly LiveEffect[] {
    return this.#memory.effects.all()
  }

  runnable(nowMs: number, isRunning: (id: string) => boolean): readonly LiveEffect[] {
    if (this.#memory.replay !== null) return []
    return this.#memory.effects.runnable(nowMs, isRunning, (key) => this.#memory.blocked.has(key))
  }

  /** Entries of the effect's key in the collections that it declared to read: shallow copies, safe to keep. */
  readsOf(effect: LiveEffect): ReadonlyMap<string, readonly (readonly [string, unknown])[]> {
    const declared = this.settings.processor.effects[effect.record.effect]?.reads ?? []
    return new Map(declared.map((collection) => [collection, this.#memory.store.entries(effect.key, collection)]))
  }

  state(key: string): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
    const collections = Object.keys(this.settings.processor.state)
    return Object.fromEntries(
      collections.map((name) => [name, Object.fromEntries(this.#memory.store.entries(key, name))]),
    )
  }

  /** Keys that wait behind a failure, with why and how much. */
  blocked(): readonly (Refusal & { readonly key: string; readonly atMs: number; readonly queued: number })[] {
    const { blocked } = this.#memory
    return blocked.entries().map(([key, why]) => ({ key, ...why, queued: blocked.queue(key).length }))
  }

  /** No further input can be taken before an operator made room. */
  get isFull(): boolean {
    return this.#memory.blocked.isFull
  }

  /** When something becomes due by itself: a timer, or an effect's back-off. Null if nothing waits for the clock. */
  nextDueMs(nowMs: number): number | null {
    const { timers, effects, replay, blocked } = this.#memory
    if (replay !== null) return null
    const waits = blocked.size === 0 ? null : (key: string) => blocked.has(key)
    const due = [timers.nextDueMs(waits), effects.nextDueMs(nowMs)].filter((at) => at !== null)
    return due.length === 0 ? null : Math.min(...due)
  }

  /** Whether the core must be driven even when no record arrives. */
  get isWaiting(): boolean {
    const { effects, timers, replay, requests, blocked } = this.#memory
    return effects.size > 0 || timers.nextDueMs() !== null || replay !== null || requests.size > 0 || blocked.size > 0
  }

  /** Whether it listens to operators: only then there is something that they could decide. */
  get isOperable(): boolean {
    return this.#memory.blocked.size > 0 || this.phase === 'held'
  }

  isRelevant(record: LogRecord): boolean {
    return this.#routeOf(record) !== undefined
  }

  // ---- restore

  restore(record: ChangelogRecord): void {
    this.#memory.restore(record)
  }

  /**
   * Whether the restored memory cannot be gone on with: no position (new, or lost), one of another version or of one that
   * read less, or a changelog that begins later than it did. Throws what an entry could not be read for, unless all is made anew anyway.
   */
  needsReplay(changelogStart: bigint): boolean {
    this.#changelogStart = Math.max(this.#memory.changelogStart, Number(changelogStart))
    if (!this.#memory.isCurrent) return true
    if (this.#changelogStart > this.#memory.changelogStart) return true
    if (this.#memory.damage !== undefined) throw this.#memory.damage
    return false
  }

  /** Rebuilds everything from the inputs: `forgetSome` until it is done, then fold, and `endReplay` until it is live. */
  beginReplay(inputs: ReadonlyMap<string, InputRange>): void {
    this.#replay.begin(inputs)
    this.#moved = true
  }

  forgetSome(limit: number): boolean {
    return this.#replay.forgetSome(limit)
  }

  get needsHistory(): boolean {
    return this.#replay.needsHistory
  }

  remember(history: History): void {
    this.#replay.remember(history)
  }

  /**
   * Once, before the first live step: forgets markers that are too old, blocks keys that wait for an effect which this
   * code does not know, lets those go on that it knows again, settles inputs that kill their workers.
   */
  goLive(nowMs: number, isRunning: (id: string) => boolean): void {
    const { effects, blocked } = this.#memory
    this.#forgetClosed(nowMs)
    const unknown = effects.all().filter((effect) => !this.#knows(effect))
    for (const { id, key, record } of unknown) {
      // Never dropped: it was promised by an earlier version of the code, and somebody waits for its outcome.
      if (blocked.has(key)) continue
      const detail = `the pending effect ${record.effect} (${id}) is not declared, or its input cannot be read, any more`
      this.#failures.block(key, { code: EFFECT_UNDECLARED, detail }, nowMs, { effectId: id })
    }
    for (const [key, { code }] of blocked.entries()) {
      if (code === EFFECT_UNDECLARED && !unknown.some((effect) => effect.key === key)) this.retry(key, nowMs)
    }
    for (const effect of effects.all()) {
      if (!effects.isKiller(effect) || isRunning(effect.id)) continue
      const detail = `${effect.record.unproven} runs in succession ended with the death of their process`
      this.settle(effect.id, { ok: false, code: 'CRASHED', detail }, nowMs)
    }
  }

  #forgetClosed(nowMs: number): void {
    const { closed } = this.#memory
    this.#sweptAtMs = nowMs
    for (const [key, closedAtMs] of closed) {
      if (nowMs - closedAtMs <= CLOSED_KEY_MS) continue
      closed.delete(key)
      this.#journal.write({ kind: 'closed', key, value: null })
    }
  }

  #knows({ record, input }: LiveEffect): boolean {
    return this.#memory.effects.declares(record.effect) && input !== undefined
  }

  // ---- inputs

  /** Folds a record. False: it was skipped (already folded, of no interest, or of a closed key). */
  fold(record: LogRecord, nowMs: number): boolean {
    if (this.#memory.position.isPast(record)) return false
    const route = this.#routeOf(record)
    const handled = route !== undefined && this.#foldRouted(record, route, nowMs)
    this.#pass(record)
    return handled
  }

  /** Moves over a record that cannot be folded for a reason that is not its handler's. */
  refuse(record: LogRecord, refusal: Refusal, nowMs: number): void {
    const route = this.#routeOf(record)
    if (route?.isDoor === true || !isUsableKey(record.key)) this.#failures.bury(record, refusal)
    else this.#failures.blockWith({ kind: 'record', record }, record.key, refusal, nowMs)
    this.#pass(record)
  }

  /** Everything below `offset` is done, transaction markers and compacted gaps included. */
  skipTo(topic: string, offset: bigint): void {
    if (this.#memory.position.skipTo(topic, offset)) this.#moved = true
  }

  #pass(record: LogRecord): void {
    if (this.#memory.position.pass(record)) this.#moved = true
  }

  #foldRouted(record: LogRecord, route: Route, nowMs: number): boolean {
    const { key } = record
    if (!isUsableKey(key)) {
      this.#failures.bury(record, { code: UNDECODABLE, detail: NO_KEY })
      return true
    }
    if (this.#isOver(key, route)) return false
    const { replay } = this.#memory
    this.#advanceRecordTime(record.timestampMs)
    // What a handler makes of the time must come out as it did.
    return this.#take({ kind: 'record', record }, key, replay === null ? nowMs : record.timestampMs, route)
  }

  #isOver(key: string, { afterClose }: Route): boolean {
    return !afterClose && this.#memory.closed.has(key)
  }

  /** Fires the timers that are due; now and then, what is over for good is forgotten. */
  fireDue(nowMs: number): void {
    if (this.#memory.replay !== null) return
    for (const set of this.#memory.timers.due(nowMs)) this.#fire(set, nowMs)
    if (nowMs - this.#sweptAtMs >= CLOSED_SWEEP_MS) this.#forgetClosed(nowMs)
  }

  /** Windows end before the record that moves the time past their end. */
  #advanceRecordTime(timestampMs: number): void {
    const memory = this.#memory
    if (timestampMs <= memory.recordTimeMs) return
    memory.recordTimeMs = timestampMs
    for (const set of memory.recordTimers.due(timestampMs)) this.#fire(set, set.timer.atMs)
  }

  #fire({ key, name, timer }: SetTimer, nowMs: number): void {
    const { timers, recordTimers, blocked } = this.#memory
    // An earlier timer of this round may have removed or moved it; that of a blocked key waits with the key.
    const current = timers.get(key, name) ?? recordTimers.get(key, name)
    if (current?.timerId !== timer.timerId || blocked.has(key)) return
    this.#take({ kind: 'timer', key, name, timer }, key, nowMs)
  }

  /** Journals that a run begins. The executor may start once the batch is committed. */
  begin(effectId: string): void {
    this.#writer.writeEffect(this.#memory.effects.begun(effectId))
  }

  /** Journals that a run was ended gracefully. */
  interrupt(effectId: string): void {
    const { effects } = this.#memory
    if (effects.get(effectId) !== undefined) this.#writer.writeEffect(effects.interrupted(effectId))
  }

  /** Folds report n of an effect. False: journaled before, or the effect is gone. */
  report(effectId: string, n: number, value: unknown, nowMs: number): boolean {
    const effect = this.#memory.effects.get(effectId)
    if (effect === undefined || n <= effect.record.resumeFrom) return false
    return this.#take({ kind: 'report', effectId, n, value }, effect.key, nowMs)
  }

  /** Folds the outcome and removes the effect. False: the effect is gone (cancelled, or settled before). */
  settle(effectId: string, outcome: Outcome<unknown>, nowMs: number): boolean {
    const effect = this.#memory.effects.get(effectId)
    if (effect === undefined) return false
    return this.#take({ kind: 'outcome', effectId, outcome }, effect.key, nowMs)
  }

  /**
   * A run ended in an error: another run after the back-off, or the outcome `ok: false` when none is left. `n`: which
   * failure it is, from 1, for whoever may say it twice. False: journaled before, or the effect is gone.
   */
  fail(effectId: string, failure: Failure, nowMs: number, n?: number): boolean {
    const { effects } = this.#memory
    const effect = effects.get(effectId)
    if (effect === undefined || (n !== undefined && n <= effect.record.failures)) return false
    const waiting = failure.retryable ? effects.failed(effectId, nowMs) : null
    if (waiting === null) return this.settle(effectId, { ok: false, code: failure.code, detail: failure.detail }, nowMs)
    this.#writer.writeEffect(waiting)
    return true
  }

  runHook(hook: 'opened' | 'closed', nowMs: number): void {
    const run = this.settings.processor.behaviour[hook]
    if (run === null) return
    this.#past = null
    const { task, instanceId } = this.settings
    const identity = `hook/${hook}/${task}/${instanceId}/${nowMs}`
    const id = deriveId(this.settings.processor.name, identity)
    const pending = this.#memory.effects
      .all()
      .map(({ id: effectId, key, record }) => ({ key, effect: record.effect, effectId }))
    this.#step(derivedOrigin('', identity, { causeId: id, traceparent: null }, nowMs), (step) =>
      run({ task, instanceId, now: nowMs, pending, emit: emittersOf(this.settings.processor.writes, () => step) }),
    )
  }

  // ---- what failed, and operators

  /** Refuses an input that is not at fault for itself: what it makes cannot be committed. */
  block(input: Input, refusal: Refusal, nowMs: number): void {
    const key = keyOf(input, this.#memory.effects)
    if (key === undefined) return
    this.#failures.blockWith(input, key, refusal, nowMs)
    if (input.kind === 'record') this.#pass(input.record)
  }

  /** Does what operators have asked since; what is impossible by now (the key is not blocked) is done with. */
  serveRequests(nowMs: number): void {
    const { requests } = this.#memory
    for (const [requestId, { command, key }] of requests) {
      if (command === 'RELEASE') this.#replay.release()
      if (command === 'SKIP') this.#skipFirst(key)
      if (command !== 'RELEASE') this.retry(key, nowMs)
      requests.delete(requestId)
      this.#journal.write({ kind: 'request', requestId, value: null })
    }
    if (this.#memory.replay === null) this.#replay.remember(null)
  }

  /** Schemas of what waits that are not known here: to be learned, if they can be, before anything is folded again. */
  unlearned(): ReadonlySet<number> {
    const { codec } = this.settings
    const ids = new Set<number>()
    for (const { value } of this.#memory.blocked.inputs()) {
      const id = value === null ? undefined : codec.schemaId(value)
      if (id !== undefined && !codec.knows(id)) ids.add(id)
    }
    return ids
  }

  /** Folds the queue of a blocked key, up to what fails again, or cannot be read. */
  retry(key: string, nowMs: number): void {
    const { blocked } = this.#memory
    if (!blocked.has(key)) return
    for (const { sequence, input } of blocked.queue(key)) {
      try {
        const queued = fromQueued(key, input, this.#memory, this.settings)
        this.#past = input.replayed ? this.#replay.past : null
        if (queued !== null) this.#run(queued, key, input.replayed ? input.atMs : nowMs)
      } catch (error) {
        // What nobody knows the schema of must not stop the other keys.
        const refusal = isUnlearned(error) ? UNLEARNED : this.#refusalOf(error)
        return this.#failures.block(key, refusal, nowMs, { retried: 'yes' })
      }
      this.#failures.dequeue(key, sequence)
    }
    this.#failures.unblock(key)
    if (this.#memory.replay === null) this.#writer.endConfirmations(key)
  }

  /** What it holds is not decoded: that may be what it waits for. */
  #skipFirst(key: string): void {
    const { blocked, effects } = this.#memory
    const why = blocked.get(key)
    const first = blocked.queue(key)[0]
    if (why === undefined || first === undefined) return
    const { kind, causeId, n } = first.input
    const effect = effects.get(causeId)
    if (kind === 'RECORD') {
      this.#failures.bury(queuedRecord(key, first.input), { code: `SKIPPED_${why.code}`, detail: why.detail })
    } else if (kind === 'TIMER') this.#writer.dropTimer(key, causeId)
    else if (effect !== undefined && kind === 'REPORT') this.#writer.writeEffect(effects.skipped(causeId, n))
    else if (effect !== undefined) this.#writer.removeEffect(effect)
    this.#failures.dequeue(key, first.sequence)
  }

  // ---- the end of a replay

  /** Events that a replay would emit and that the log does not hold. */
  held(): readonly HeldOutput[] {
    return [...this.#memory.held.values()]
  }

  remaining(nowMs: number): Remaining {
    return this.#replay.remaining(nowMs)
  }

  endReplay(nowMs: number): void {
    this.#replay.end(nowMs)
  }

  // ---- batch

  /** What the steps since the last call made, with the position; null when there is nothing to write. */
  takeBatch(options: { readonly positionAlone?: boolean } = {}): Batch | null {
    if (this.#journal.records === 0 && !(options.positionAlone === true && this.#moved)) return null
    if (!this.#replay.isForgetting) this.#writePosition()
    this.#moved = false
    return this.#journal.take()
  }

  #writePosition(): void {
    const { position, recordTimeMs } = this.#memory
    const { version } = this.settings.processor
    const changelogStart = this.#changelogStart
    const value = { version, offsets: position.offsets(), recordTimeMs, changelogStart, reads: this.#reads }
    this.#journal.write({ kind: 'position', value })
  }

  /** Records that the next batch will hold. */
  get pendingRecords(): number {
    return this.#journal.records
  }

  /** Bytes of values written since the last batch: at least those that the next one will hold. */
  get pendingBytes(): number {
    return this.#journal.bytes
  }

  /** Effects cancelled since the last call: their executors are to be aborted once the batch is committed. */
  takeCancelled(): readonly string[] {
    return this.#writer.takeCancelled()
  }

  /** What went wrong since the last call. */
  takeAlerts(): readonly Alert[] {
    return this.#failures.takeAlerts()
  }

  // ---- inside a step

  /** Runs the step of an input, or has it wait behind a failure of its key. False: there was nothing to do. */
  #take(input: Input, key: string, nowMs: number, route?: Route): boolean {
    if (this.#memory.blocked.has(key)) {
      this.#failures.enqueue(input, key, nowMs)
      return true
    }
    try {
      this.#past = this.#memory.replay === null ? null : this.#replay.past
      return this.#run(input, key, nowMs, route)
    } catch (error) {
      const refusal = this.#refusalOf(error)
      if (input.kind === 'record' && refusal.code === UNDECODABLE && this.#isDoor(input.record)) {
        this.#failures.bury(input.record, refusal)
      } else this.#failures.blockWith(input, key, refusal, nowMs)
      return true
    }
  }

  #isDoor(record: LogRecord): boolean {
    return this.#routeOf(record)?.isDoor === true
  }

  #run(input: Input, key: string, nowMs: number, route?: Route): boolean {
    const { behaviour } = this.settings.processor
    const { effects } = this.#memory
    switch (input.kind) {
      case 'record':
        return this.#runRecord(input.record, key, nowMs, route)
      case 'timer': {
        const { name, timer } = input
        this.#step(derivedOrigin(key, `timer/${timer.timerId}`, timer, nowMs), (step) => {
          step.fired(name)
          this.#context.during(step, (context) => behaviour.due[name]?.(context))
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
          this.#step(derivedOrigin(key, `effect/${effectId}/${n}`, before.record, nowMs), (step) =>
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
        this.#step(derivedOrigin(key, `effect/${input.effectId}/settled`, effect.record, nowMs), (step) =>
          this.#context.during(step, (context) => behaviour.settled[name]?.(context, effect.input, input.outcome)),
        )
        this.#writer.removeEffect(effect)
        return true
      }
    }
  }

  #runRecord(record: LogRecord, key: string, nowMs: number, route = this.#routeOf(record)): boolean {
    if (route === undefined || this.#isOver(key, route)) return false
    const event = this.#decode(record, route)
    const { on, closing } = this.settings.processor.behaviour
    const confirmed = this.#past === null ? NOTHING : this.#confirmedBy(record, key, route)
    this.#step(originOf(record, key, nowMs), (step) =>
      this.#context.during(step, (context) => {
        on[route.topic]?.[route.event]?.(context, event)
        if (!route.closes) return
        closing[route.topic]?.[route.event]?.(context, event)
        step.close()
      }),
    )
    for (const effect of confirmed) this.#writer.removeEffect(effect)
    if (this.#past !== null) this.#writer.dropConfirmation(key, headerOf(record, 'ce_id'))
    return true
  }

  /**
   * Effects of which the record, met again, says that they were carried out: the oldest of each name that it confirms, or
   * none when it is the outcome of one that was known by its id.
   */
  #confirmedBy(record: LogRecord, key: string, { confirms }: Route): readonly LiveEffect[] {
    const { effects, confirmations } = this.#memory
    if (confirmations.has(headerOf(record, 'ce_id') ?? '')) return NOTHING
    const pending = effects.ofKey(key)
    return confirms.flatMap((name) => pending.find(({ record: { effect } }) => effect === name) ?? [])
  }

  #routeOf(record: LogRecord): Route | undefined {
    return routeOf(this.#routes, this.settings.codec, record)
  }

  #decode(record: LogRecord, route: Route): unknown {
    try {
      return this.settings.codec.decode(route.schema, record.value as Buffer)
    } catch (error) {
      if (isRetryable(error)) throw error
      const detail = `the record cannot be read: ${describeError(error)}`
      throw new BadInputError(UNDECODABLE, detail, { cause: error })
    }
  }

  #step(origin: StepOrigin, run: (step: Step) => void): void {
    const { store } = this.#memory
    const step = new Step(this.settings, origin)
    try {
      run(step)
      if (step.closed) store.deleteKey(origin.key)
      const state = store.changedInStep().map((change) => this.#journal.encode({ kind: 'state', change }))
      const promises = this.#writer.prepare(step, this.#past)
      store.keepStep()
      for (const record of state) this.#journal.put(record)
      this.#writer.write(step, promises, this.#past)
    } catch (error) {
      store.undoStep()
      throw error
    }
  }

  /** Why a step failed, for its key. What is not the key's fault is thrown on. */
  #refusalOf(error: unknown): Refusal {
    if (error instanceof ReelstreamError) {
      if (error.retryable || error instanceof ConfigError) throw error
      return { code: error.code, detail: error.message }
    }
    const detail = `a handler of ${this.settings.processor.name} failed: ${describeError(error)}`
    return { code: 'HANDLER_FAILED', detail }
  }
}

const NOTHING: readonly LiveEffect[] = []
const UNDECODABLE = 'UNDECODABLE_RECORD'
const NO_KEY = 'the record has no key, or one that is too long or has U+001F in it'
const UNLEARNED: Refusal = { code: 'SCHEMA_UNKNOWN', detail: 'the schema of what waits is not registered' }
