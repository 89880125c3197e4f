import { BadInputError, BugError, describeError, isRetryable, ReelstreamError } from '../../platform/errors.ts'
import { deriveId } from '../../platform/ids.ts'
import type { Codec } from '../codec/avro.ts'
import type { LogRecord, OutputRecord } from '../kafka/log-records.ts'
import type { Outcome, Processor } from '../processor.ts'
import { type ChangelogRecord, type Entry, fromRecord, toRecord } from './changelog.ts'
import { EffectLedger, type LiveEffect } from './effect-ledger.ts'
import { type Route, type Routes, routeOf, routesOf } from './routes.ts'
import { StateStore } from './state-store.ts'
import { Step, type StepOrigin, type StepSettings, withinLimit } from './step.ts'
import { type SetTimer, TimerLedger } from './timer-ledger.ts'

/**
 * One task (one partition of one processor) as a pure state machine: no broker, no clock, no promises. It is told what
 * happened (a record, a report, an outcome, a due timer), calls the handler, and collects what must be written: outputs
 * and changelog records of one batch. Whoever drives it (the run loop on Kafka, the test driver in memory) commits the
 * batch in one transaction and drops the whole core when that fails; a new core is rebuilt from the changelog.
 *
 * Every method is one atomic step: when the handler throws, the core is as if it had not been called, and the error says
 * which topic, partition and offset it was (HANDLER_FAILED), or that the record could not be read (UNDECODABLE_RECORD).
 */
export interface TaskSettings extends StepSettings {
  readonly processor: Processor
  readonly codec: Codec
  readonly source: string
  readonly task: number
  readonly instanceId: string
}

export interface Batch {
  readonly outputs: readonly OutputRecord[]
  readonly changelog: readonly ChangelogRecord[]
}

export interface Failure {
  readonly code: string
  readonly detail: string
  readonly retryable: boolean
}

/** Longest time after which a duplicate of a closed key's event may still arrive (3-runtime, end of life). */
const CLOSED_KEY_MS = 30 * 24 * 60 * 60 * 1000

export class TaskCore {
  readonly settings: TaskSettings
  readonly #routes: Routes
  readonly #store = new StateStore()
  readonly #timers = new TimerLedger()
  readonly #effects: EffectLedger
  readonly #closed = new Map<string, number>()
  readonly #position = new Map<string, bigint>()
  #outputs: OutputRecord[] = []
  #changelog = new Map<string, ChangelogRecord>()
  #cancelled: string[] = []
  #pendingBytes = 0
  #moved = false

  constructor(settings: TaskSettings) {
    this.settings = settings
    this.#routes = routesOf(settings.processor)
    this.#effects = new EffectLedger(settings.processor.effects)
  }

  // ---- what is there

  /** Next offset of an input topic; undefined when no position was ever written. */
  position(topic: string): bigint | undefined {
    return this.#position.get(topic)
  }

  get hasPosition(): boolean {
    return this.#position.size > 0
  }

  effect(id: string): LiveEffect | undefined {
    return this.#effects.get(id)
  }

  effects(): readonly LiveEffect[] {
    return this.#effects.all()
  }

  runnable(nowMs: number, isRunning: (id: string) => boolean): readonly LiveEffect[] {
    return this.#effects.runnable(nowMs, isRunning)
  }

  /** Entries of the effect's key in the collections that it declared to read: shallow copies, safe to keep. */
  readsOf(effect: LiveEffect): ReadonlyMap<string, readonly (readonly [string, unknown])[]> {
    const declared = this.settings.processor.effects[effect.record.effect]?.reads ?? []
    return new Map(declared.map((collection) => [collection, this.#store.entries(effect.key, collection)]))
  }

  state(key: string): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
    const collections = Object.keys(this.settings.processor.state)
    return Object.fromEntries(collections.map((name) => [name, Object.fromEntries(this.#store.entries(key, name))]))
  }

  /** When something becomes due by itself: a timer, or an effect's back-off. Null if nothing waits for the clock. */
  nextDueMs(nowMs: number): number | null {
    const due = [this.#timers.nextDueMs(), this.#effects.nextDueMs(nowMs)].filter((at) => at !== null)
    return due.length === 0 ? null : Math.min(...due)
  }

  /** Whether the core must be driven even when no record arrives. */
  get isWaiting(): boolean {
    return this.#effects.size > 0 || this.#timers.nextDueMs() !== null
  }

  isRelevant(record: LogRecord): boolean {
    return routeOf(this.#routes, this.settings.codec, record) !== undefined
  }

  // ---- restore

  restore(record: ChangelogRecord): void {
    const entry = fromRecord(record, this.settings.codec, this.settings.processor.state)
    switch (entry.kind) {
      case 'position':
        for (const [topic, offset] of Object.entries(entry.value?.offsets ?? {}))
          this.#position.set(topic, BigInt(offset))
        return
      case 'state':
        return this.#store.restore(entry.change)
      case 'timer':
        if (entry.value === null) return this.#timers.remove(entry.key, entry.timer)
        return this.#timers.put({ key: entry.key, name: entry.timer, timer: entry.value })
      case 'effect':
        return this.#restoreEffect(entry)
      case 'closed':
        if (entry.value === null) this.#closed.delete(entry.key)
        else this.#closed.set(entry.key, entry.value.closedAtMs)
    }
  }

  #restoreEffect({ effectId, key, value }: Extract<Entry, { kind: 'effect' }>): void {
    if (value === null) return this.#effects.remove(effectId)
    const declared = this.settings.processor.effects[value.effect]
    // An undeclared one is refused by the ledger with a named error: it is never dropped.
    const input = declared === undefined ? null : this.settings.codec.decode(declared.input, value.input)
    this.#effects.put({ id: effectId, key, input, record: value })
  }

  /** After the last changelog record: forgets markers that are too old, settles inputs that kill their workers. */
  restored(nowMs: number, isRunning: (id: string) => boolean): void {
    for (const [key, closedAtMs] of this.#closed) {
      if (nowMs - closedAtMs > CLOSED_KEY_MS) {
        this.#closed.delete(key)
        this.#write({ kind: 'closed', key, value: null })
      }
    }
    for (const effect of this.#effects.all()) {
      if (this.#effects.isKiller(effect) && !isRunning(effect.id)) {
        const detail = `${effect.record.unproven} runs in succession ended with the death of their process`
        this.settle(effect.id, { ok: false, code: 'CRASHED', detail }, nowMs)
      }
    }
  }

  // ---- steps

  /** Folds a record. False: it was skipped (already folded, of no interest, or of a closed key). */
  fold(record: LogRecord, nowMs: number): boolean {
    const next = this.#position.get(record.topic)
    if (next !== undefined && record.offset < next) return false
    const route = routeOf(this.#routes, this.settings.codec, record)
    const handled = route !== undefined && this.#foldRouted(record, route, nowMs)
    this.skipTo(record.topic, record.offset + 1n)
    return handled
  }

  /** Everything below `offset` is done, transaction markers and compacted gaps included. */
  skipTo(topic: string, offset: bigint): void {
    if ((this.#position.get(topic) ?? -1n) >= offset) return
    this.#position.set(topic, offset)
    this.#moved = true
  }

  #foldRouted(record: LogRecord, route: Route, nowMs: number): boolean {
    const { key } = record
    if (key === null || key === '') {
      throw new BadInputError('UNDECODABLE_RECORD', 'the record has no key', { facts: factsOf(record) })
    }
    if (this.#closed.has(key) && !route.afterClose) return false
    const event = this.#decode(record, route)
    const { on, closing } = this.settings.processor.behaviour
    this.#step(originOf(record, key, nowMs), factsOf(record), (step) => {
      const context = step.context(this.#store)
      on[route.topic]?.[route.event]?.(context, event)
      if (!route.closes) return
      closing[route.topic]?.[route.event]?.(context, event)
      step.closed = true
    })
    return true
  }

  #decode(record: LogRecord, route: Route): unknown {
    try {
      return this.settings.codec.decode(route.schema, record.value as Buffer)
    } catch (error) {
      if (isRetryable(error)) throw error
      throw new BadInputError('UNDECODABLE_RECORD', `the record cannot be read: ${describeError(error)}`, {
        cause: error,
        facts: factsOf(record),
      })
    }
  }

  fireDue(nowMs: number): void {
    for (const set of this.#timers.due(nowMs)) this.#fire(set, nowMs)
  }

  #fire({ key, name, timer }: SetTimer, nowMs: number): void {
    // An earlier timer of this round may have removed or moved it.
    if (this.#timers.get(key, name)?.timerId !== timer.timerId) return
    const origin = derivedOrigin(key, `timer/${timer.timerId}`, timer.causeId, nowMs)
    this.#step(origin, { timer: name, key }, (step) => {
      step.timers.set(name, null)
      this.settings.processor.behaviour.due[name]?.(step.context(this.#store))
    })
  }

  /** Journals that a run begins. The executor may start once the batch is committed. */
  begin(effectId: string): void {
    this.#writeEffect(this.#effects.begun(effectId))
  }

  /** Journals that a run was ended gracefully. */
  interrupt(effectId: string): void {
    if (this.#effects.get(effectId) !== undefined) this.#writeEffect(this.#effects.interrupted(effectId))
  }

  /** Folds report n of an effect. False: journaled before, or the effect is gone. Throws REPORT_GAP. */
  report(effectId: string, n: number, value: unknown, nowMs: number): boolean {
    const before = this.#effects.get(effectId)
    if (before === undefined) return false
    const after = this.#effects.reported(effectId, n)
    if (after === null) return false
    const origin = derivedOrigin(before.key, `effect/${effectId}/${n}`, before.record.causeId, nowMs)
    try {
      this.#step(origin, { effect: before.record.effect, effectId, report: n }, (step) => {
        const handler = this.settings.processor.behaviour.reported[before.record.effect]
        handler?.(step.context(this.#store), before.input, n, value)
      })
    } catch (error) {
      this.#effects.put(before)
      throw error
    }
    this.#writeEffect(after)
    return true
  }

  /** Folds the outcome and removes the effect. False: the effect is gone (cancelled, or settled before). */
  settle(effectId: string, outcome: Outcome<unknown>, nowMs: number): boolean {
    const effect = this.#effects.get(effectId)
    if (effect === undefined) return false
    const origin = derivedOrigin(effect.key, `effect/${effectId}/settled`, effect.record.causeId, nowMs)
    this.#step(origin, { effect: effect.record.effect, effectId }, (step) => {
      const handler = this.settings.processor.behaviour.settled[effect.record.effect]
      handler?.(step.context(this.#store), effect.input, outcome)
    })
    this.#removeEffect(effect)
    return true
  }

  /** A run ended in an error: another run after the back-off, or the outcome `ok: false` when none is left. */
  fail(effectId: string, failure: Failure, nowMs: number): void {
    if (this.#effects.get(effectId) === undefined) return
    const waiting = failure.retryable ? this.#effects.failed(effectId, nowMs) : null
    if (waiting !== null) this.#writeEffect(waiting)
    else this.settle(effectId, { ok: false, code: failure.code, detail: failure.detail }, nowMs)
  }

  runHook(hook: 'opened' | 'closed', nowMs: number): void {
    const run = this.settings.processor.behaviour[hook]
    if (run === null) return
    const { task, instanceId } = this.settings
    const identity = `hook/${hook}/${task}/${instanceId}/${nowMs}`
    const id = deriveId(this.settings.processor.name, identity)
    const pending = this.#effects
      .all()
      .map(({ id: effectId, key, record }) => ({ key, effect: record.effect, effectId }))
    this.#step(derivedOrigin('', identity, id, nowMs), { hook }, (step) =>
      run({ task, instanceId, now: nowMs, pending, emit: step.emitters() }),
    )
  }

  // ---- batch

  /** What the steps since the last call made, with the position; null when there is nothing to write. */
  takeBatch(options: { readonly positionAlone?: boolean } = {}): Batch | null {
    const changed = this.#outputs.length > 0 || this.#changelog.size > 0
    if (!changed && !(options.positionAlone === true && this.#moved)) return null
    const offsets = Object.fromEntries([...this.#position].map(([topic, offset]) => [topic, Number(offset)]))
    this.#write({ kind: 'position', value: { version: this.settings.processor.version, offsets } })
    const batch = { outputs: this.#outputs, changelog: [...this.#changelog.values()] }
    this.#outputs = []
    this.#changelog = new Map()
    this.#moved = false
    this.#pendingBytes = 0
    return batch
  }

  /** Records that the next batch will hold. */
  get pendingRecords(): number {
    return this.#outputs.length + this.#changelog.size
  }

  /** Bytes of values written since the last batch: at least those that the next one will hold. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** Effects cancelled since the last call: their executors are to be aborted once the batch is committed. */
  takeCancelled(): readonly string[] {
    const cancelled = this.#cancelled
    this.#cancelled = []
    return cancelled
  }

  // ---- inside a step

  #step(origin: StepOrigin, facts: Record<string, string | number>, run: (step: Step) => void): void {
    const step = new Step(this.settings, origin)
    try {
      run(step)
      if (step.closed) this.#store.deleteKey(origin.key)
      const state = this.#store.changedInStep().map((change) => this.#encode({ kind: 'state', change }))
      this.#store.keepStep()
      for (const record of state) this.#put(record)
    } catch (error) {
      this.#store.undoStep()
      if (error instanceof ReelstreamError && error.retryable) throw error
      const { processor, task } = this.settings
      throw new BugError('HANDLER_FAILED', `a handler of ${processor.name} failed: ${describeError(error)}`, {
        cause: error,
        facts: { processor: processor.name, task, key: origin.key, ...facts },
      })
    }
    this.#apply(step)
  }

  #apply(step: Step): void {
    const { key, nowMs } = step.origin
    for (const effect of this.#effects.ofKey(key)) {
      if (!step.closed && !step.cancels.has(effect.record.effect)) continue
      this.#removeEffect(effect)
      this.#cancelled.push(effect.id)
    }
    for (const name of step.closed ? this.#timers.namesOf(key) : []) this.#setTimer(step, name, null)
    for (const [name, atMs] of step.closed ? [] : step.timers) this.#setTimer(step, name, atMs)
    if (step.closed) {
      this.#closed.set(key, nowMs)
      this.#write({ kind: 'closed', key, value: { closedAtMs: nowMs } })
    }
    for (const { id, effect, input, inputBytes } of step.performs) {
      const sequence = this.#effects.nextSequence()
      const record = { effect, input: inputBytes, causeId: step.origin.cause.id, sequence, ...NEVER_RUN }
      this.#effects.put({ id, key, input, record })
      this.#writeEffect({ id, key, input, record })
    }
    for (const output of step.outputs) {
      this.#outputs.push(output)
      this.#pendingBytes += output.value?.length ?? 0
    }
  }

  #setTimer(step: Step, name: string, atMs: number | null): void {
    const { key, identity, cause } = step.origin
    if (atMs === null) {
      if (this.#timers.get(key, name) === undefined) return
      this.#timers.remove(key, name)
      return void this.#write({ kind: 'timer', key, timer: name, value: null })
    }
    const timer = { timerId: deriveId(this.settings.processor.name, identity, 'timer', name), atMs, causeId: cause.id }
    this.#timers.put({ key, name, timer })
    this.#write({ kind: 'timer', key, timer: name, value: timer })
  }

  #removeEffect(effect: LiveEffect): void {
    this.#effects.remove(effect.id)
    this.#write({ kind: 'effect', key: effect.key, effectId: effect.id, value: null })
  }

  #writeEffect({ id, key, record }: LiveEffect): void {
    this.#write({ kind: 'effect', key, effectId: id, value: record })
  }

  #write(entry: Entry): void {
    this.#put(this.#encode(entry))
  }

  #put(record: ChangelogRecord): void {
    this.#changelog.set(record.key, record)
    this.#pendingBytes += record.value?.length ?? 0
  }

  #encode(entry: Entry): ChangelogRecord {
    const record = toRecord(entry, this.settings.codec, this.settings.processor.state)
    if (record.value !== null) withinLimit(record.value, 'an entry')
    return record
  }
}

const NEVER_RUN = { runs: 0, unproven: 0, failures: 0, resumeFrom: 0, notBeforeMs: 0 }

const factsOf = ({ topic, partition, offset }: LogRecord): { topic: string; partition: number; offset: string } => ({
  topic,
  partition,
  offset: String(offset),
})

const originOf = (record: LogRecord, key: string, nowMs: number): StepOrigin => {
  const { topic, partition, offset, timestampMs, headers } = record
  // A topic that was deleted and made again starts at offset 0 again: the timestamp tells the two apart.
  const identity = `${topic}/${partition}/${offset}@${timestampMs}`
  const id = headers.ce_id ?? deriveId('record', identity)
  const cause = { id, topic, partition, offset, timestampMs, causationId: headers.causationid ?? null }
  return { key, nowMs, cause, identity, traceparent: headers.traceparent ?? null }
}

/** A step that no record caused directly. */
const derivedOrigin = (key: string, identity: string, causeId: string, nowMs: number): StepOrigin => ({
  key,
  nowMs,
  identity,
  traceparent: null,
  cause: { id: causeId, topic: '', partition: -1, offset: null, timestampMs: nowMs, causationId: null },
})
