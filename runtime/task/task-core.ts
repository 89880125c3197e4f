import { UpstreamError } from '../../platform/errors.ts'
import { deriveId } from '../../platform/ids.ts'
import type { Codec } from '../codec/avro.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import { foldedBy, type Outcome, type Processor } from '../processor.ts'
import type { HeldOutput } from '../state/generated.ts'
import { type Attempted, Attempts, COMMIT_REJECTED, nameOf, type StepLimits, UNLIMITED } from './attempts.ts'
import { BlockedRetry } from './blocked-retry.ts'
import { type ChangelogRecord, isUsableKey } from './changelog.ts'
import { ClosedKeys } from './closed-keys.ts'
import type { Refusal } from './dead-letter.ts'
import { DueTimers } from './due-timers.ts'
import type { LiveEffect } from './effect-ledger.ts'
import { type Alert, Failures } from './failures.ts'
import { emittersOf, requireSynchronous } from './handler-context.ts'
import { HeldOutputs } from './held-outputs.ts'
import type { History } from './history.ts'
import { type Batch, Journal } from './journal.ts'
import { derivedOrigin } from './origin.ts'
import { EFFECT_UNDECLARED } from './queued-inputs.ts'
import { type InputRange, type Phase, type Remaining, Replay } from './replay.ts'
import type { Route } from './routes.ts'
import type { StepSettings } from './step.ts'
import type { KeptNote } from './step-notes.ts'
import { StepRunner, UNDECODABLE } from './step-runner.ts'
import { StepWriter } from './step-writer.ts'
import { TaskMemory } from './task-memory.ts'

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
 * A task without a position, or with one of a processor of another version or that read less, replays its inputs. Until it
 * has passed what they held when it began, what it would do is held, and done at the end unless the log shows that it was
 * done.
 */
export interface TaskSettings extends StepSettings {
  readonly processor: Processor
  readonly codec: Codec
  readonly source: string
  readonly task: number
  readonly instanceId: string
  /** What the log has refused. Default: nothing. */
  readonly limits?: StepLimits
}

export interface Failure extends Refusal {
  readonly retryable: boolean
}

export class TaskCore {
  readonly settings: TaskSettings
  readonly #reads: string[]
  readonly #attempts: Attempts
  readonly #memory: TaskMemory
  readonly #journal: Journal
  readonly #replay: Replay
  readonly #failures: Failures
  readonly #writer: StepWriter
  readonly #steps: StepRunner
  readonly #timers: DueTimers
  readonly #retries: BlockedRetry
  readonly #closed: ClosedKeys
  /** What was done before a replay that has ended, while there are timers that it may know of. */
  #past: History | null = null
  #enteringLife: Generator<void> | null = null
  #changelogStart = 0
  #moved = false

  constructor(settings: TaskSettings) {
    const memory = new TaskMemory(settings.processor, settings.codec)
    const journal = new Journal(settings.codec, settings.processor.state)
    const attempts = new Attempts(settings.limits ?? UNLIMITED)
    const failures = new Failures(settings, memory, journal)
    const held = new HeldOutputs({ attempts, memory, journal, failures })
    const replay = new Replay(settings.processor, memory, journal, held)
    const writer = new StepWriter(settings.processor, memory, journal)
    const steps = new StepRunner(settings, { attempts, memory, journal, replay, failures, writer })
    this.settings = settings
    this.#reads = foldedBy(settings.processor)
    this.#attempts = attempts
    this.#memory = memory
    this.#journal = journal
    this.#replay = replay
    this.#failures = failures
    this.#writer = writer
    this.#steps = steps
    this.#timers = new DueTimers(settings.processor, { attempts, memory, steps })
    this.#retries = new BlockedRetry(settings, { attempts, held, memory, journal, replay, failures, writer, steps })
    this.#closed = new ClosedKeys(memory, journal)
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

  /** No further record can be taken before an operator made room. */
  get isFull(): boolean {
    return this.#memory.blocked.isFull
  }

  /** When something becomes due by itself: a timer, or an effect's back-off. Null if nothing waits for the clock. */
  nextDueMs(nowMs: number): number | null {
    const { effects, replay } = this.#memory
    if (replay !== null) return null
    const due = [this.#timers.nextDueMs(nowMs), effects.nextDueMs(nowMs)].filter((at) => at !== null)
    return due.length === 0 ? null : Math.min(...due)
  }

  /** Whether the core must be driven even when no record arrives. */
  get isWaiting(): boolean {
    const { effects, replay, requests, blocked } = this.#memory
    return this.#timers.areSet || effects.size > 0 || replay !== null || requests.size > 0 || blocked.size > 0
  }

  /** Whether it listens to operators: only then there is something that they could decide. */
  get isOperable(): boolean {
    return this.#memory.blocked.size > 0 || this.phase === 'held'
  }

  isRelevant(record: LogRecord): boolean {
    return this.#steps.routeOf(record) !== undefined
  }

  // ---- restore

  restore(record: ChangelogRecord): void {
    this.#memory.restore(record)
  }

  /**
   * Whether the restored memory cannot be gone on with: no position (new, or lost), one of another version or of one that
   * read less, or a changelog that begins later than it did. Throws what an entry could not be read for, unless all is
   * made anew anyway.
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
   * Before the first live step: forgets markers that are too old, blocks keys that wait for an effect which this code does
   * not know, lets those go on that it knows again, settles inputs that kill their workers. False: the batch takes no more
   * of it, and the next one goes on.
   */
  goLive(nowMs: number, isRunning: (id: string) => boolean): boolean {
    this.#enteringLife ??= this.#enterLife(nowMs, isRunning)
    while (this.#attempts.hasRoom) if (this.#enteringLife.next().done === true) return true
    return false
  }

  *#enterLife(nowMs: number, isRunning: (id: string) => boolean): Generator<void> {
    const { effects, blocked } = this.#memory
    this.#closed.sweep(nowMs)
    const unknown = effects.all().filter((effect) => !this.#knows(effect))
    for (const { id, key, record } of unknown) {
      // Never dropped: it was promised by an earlier version of the code, and somebody waits for its outcome.
      if (blocked.has(key)) continue
      const detail = `the pending effect ${record.effect} (${id}) is not declared, or its input cannot be read, any more`
      this.#failures.block(key, { code: EFFECT_UNDECLARED, detail }, nowMs, { effectId: id })
    }
    for (const [key, { code }] of blocked.entries()) {
      if (code !== EFFECT_UNDECLARED || unknown.some((effect) => effect.key === key)) continue
      while (!this.#retries.retry(key, nowMs)) yield
    }
    for (const effect of effects.all()) {
      if (!effects.isKiller(effect) || isRunning(effect.id)) continue
      // Its handler could not fold that it crashed: it says so already, behind what its key waits for.
      if (blocked.holdsOutcome(effect.key, effect.id)) continue
      const detail = `${effect.record.unproven} runs in succession ended with the death of their process`
      this.settle(effect.id, { ok: false, code: 'CRASHED', detail }, nowMs)
      yield
    }
  }

  #knows({ record, input }: LiveEffect): boolean {
    return this.#memory.effects.declares(record.effect) && input !== undefined
  }

  // ---- inputs

  /**
   * Fires what must fire before the record is folded. False: the batch takes no more of it, and the next one goes on. `fold`
   * does it by itself where batches are not limited.
   */
  advanceTo(record: LogRecord): boolean {
    if (!this.#timers.hasRecordTimers || this.#memory.position.isPast(record)) return true
    const route = this.#steps.routeOf(record)
    const isFolded = route !== undefined && isUsableKey(record.key) && !this.#steps.isOver(record.key, route)
    return !isFolded || this.#timers.fireOnRecordTime(record.timestampMs)
  }

  /** Folds a record. False: it was skipped (already folded, of no interest, or of a closed key). */
  fold(record: LogRecord, nowMs: number): boolean {
    if (this.#memory.position.isPast(record)) return false
    const route = this.#steps.routeOf(record)
    const handled = route !== undefined && this.#foldRouted(record, route, nowMs)
    this.#pass(record)
    return handled
  }

  /** Moves over a record that cannot be folded for a reason that is not its handler's. */
  refuse(record: LogRecord, refusal: Refusal, nowMs: number): void {
    const route = this.#steps.routeOf(record)
    const input = { kind: 'record', record } as const
    if (route?.isDoor === true || !isUsableKey(record.key)) this.#steps.bury(record, refusal)
    else this.#failures.blockWith(input, record.key, this.#attempts.begin(input) ?? refusal, nowMs)
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
      this.#steps.bury(record, { code: UNDECODABLE, detail: NO_KEY })
      return true
    }
    if (this.#steps.isOver(key, route)) return false
    const { replay } = this.#memory
    this.#timers.fireOnRecordTime(record.timestampMs, 'all')
    if (record.timestampMs > this.#memory.recordTimeMs) this.#memory.recordTimeMs = record.timestampMs
    // What a handler makes of the time must come out as it did.
    return this.#steps.take({ kind: 'record', record }, key, replay === null ? nowMs : record.timestampMs, route)
  }

  /** Fires the timers that are due; now and then, what is over for good is forgotten. */
  fireDue(nowMs: number): void {
    const { replay, recordTimeMs } = this.#memory
    if (replay !== null) return
    this.#timers.fire(nowMs, null)
    this.#timers.fireOnRecordTime(recordTimeMs)
    this.#closed.sweepNowAndThen(nowMs)
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
    return this.#steps.take({ kind: 'report', effectId, n, value }, effect.key, nowMs)
  }

  /** Folds the outcome and removes the effect. False: the effect is gone (cancelled, or settled before). */
  settle(effectId: string, outcome: Outcome<unknown>, nowMs: number): boolean {
    const effect = this.#memory.effects.get(effectId)
    if (effect === undefined) return false
    return this.#steps.take({ kind: 'outcome', effectId, outcome }, effect.key, nowMs)
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
    const { task, instanceId } = this.settings
    this.#requireWritable(hook)
    const identity = `hook/${hook}/${task}/${instanceId}/${nowMs}`
    const id = deriveId(this.settings.processor.name, identity)
    const pending = this.#memory.effects
      .all()
      .map(({ id: effectId, key, record }) => ({ key, effect: record.effect, effectId }))
    this.#steps.takeHook(derivedOrigin('', identity, { causeId: id, traceparent: null }, nowMs), (step) =>
      requireSynchronous(
        run({ task, instanceId, now: nowMs, pending, emit: emittersOf(this.settings.processor.writes, () => step) }),
      ),
    )
  }

  /** A hook has no key that could wait, and the task must not go on as if it had been heard. */
  #requireWritable(hook: 'opened' | 'closed'): void {
    const attempt = { kind: 'hook', hook } as const
    const rejection = this.#attempts.begin(attempt)
    if (rejection === null) return
    throw new UpstreamError(COMMIT_REJECTED, `the hook \`${hook}\`: ${rejection.detail}`, {
      facts: { step: nameOf(attempt) },
      retryable: false,
    })
  }

  // ---- what failed, and operators

  /** Whether something that operators have asked is not done yet. */
  get hasRequests(): boolean {
    return this.#memory.requests.size > 0
  }

  /**
   * Does what operators have asked since, as much as the batch takes; what is impossible by now (the key is not blocked) is
   * done with.
   */
  serveRequests(nowMs: number): void {
    this.#retries.serveRequests(nowMs)
  }

  /** Schemas of what waits that are not known here: to be learned, if they can be, before anything is folded again. */
  unlearned(): ReadonlySet<number> {
    return this.#retries.unlearned()
  }

  // ---- the end of a replay

  /** Events that a replay would emit and that the log does not hold. */
  held(): readonly HeldOutput[] {
    return [...this.#memory.held.values()]
  }

  remaining(nowMs: number): Remaining {
    return this.#replay.remaining(nowMs)
  }

  /**
   * Ends it if it can end. A timer that had fired and left nothing but a pending effect was set again, and is due: it asks
   * for the same effect, which must go on behind what it has reported. So it fires while that is known.
   */
  endReplay(nowMs: number): void {
    // What the last record has made due has fired before whatever came next.
    if (this.phase === 'held' && !this.#timers.fireOnRecordTime(this.#memory.recordTimeMs)) return
    this.#past = this.#replay.end(nowMs) ?? this.#past
    if (this.#past !== null && this.#timers.fire(nowMs, this.#past)) this.#past = null
  }

  // ---- batch

  /** What the steps since the last call made, with the position; null when there is nothing to write. */
  takeBatch(options: { readonly positionAlone?: boolean } = {}): Batch | null {
    if (this.pendingRecords === 0 && !(options.positionAlone === true && this.#moved)) return null
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

  /** Records that the next batch will hold: a step that only wrote for the log is committed with its position. */
  get pendingRecords(): number {
    return this.#journal.records + (this.#steps.hasNotes ? 1 : 0)
  }

  /** Bytes of values written since the last batch: at least those that the next one will hold. */
  get pendingBytes(): number {
    return this.#journal.bytes
  }

  /** Whether the next batch takes another step. */
  get hasRoom(): boolean {
    return this.#attempts.hasRoom
  }

  /** The steps that the last batch is made of, whether it has changed anything or not. */
  takeAttempted(): Attempted {
    return this.#attempts.take()
  }

  /** Effects cancelled since the last call: their executors are to be aborted once the batch is committed. */
  takeCancelled(): readonly string[] {
    return this.#writer.takeCancelled()
  }

  /** What handlers wrote for the log since the last call: to be written once the batch is committed. */
  takeNotes(): readonly KeptNote[] {
    return this.#steps.takeNotes()
  }

  /** What went wrong since the last call. */
  takeAlerts(): readonly Alert[] {
    return this.#failures.takeAlerts()
  }
}

const NO_KEY = 'the record has no key, or one that is too long or has U+001F in it'
