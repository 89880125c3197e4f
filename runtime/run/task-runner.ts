import type { Scheduler } from '../../platform/clock.ts'
import { BugError, describeError, isRetryable, ReelstreamError, UpstreamError } from '../../platform/errors.ts'
import type { Logger } from '../../platform/log.ts'
import type { Codec } from '../codec/avro.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import { inputTopicsOf, type Processor } from '../processor.ts'
import { isRequest } from '../task/changelog.ts'
import type { LiveEffect } from '../task/effect-ledger.ts'
import type { Alert } from '../task/failures.ts'
import { History } from '../task/history.ts'
import type { Batch } from '../task/journal.ts'
import type { Remaining } from '../task/replay.ts'
import { TaskCore } from '../task/task-core.ts'
import { Bisection, isRejection } from './bisection.ts'
import { type EffectMessage, EffectRuns } from './effect-runs.ts'
import type { AnyExecutors, EffectSlots } from './executors.ts'
import { FoldedInputs } from './folded-inputs.ts'
import { TASK_LIMITS, type TaskLimits } from './limits.ts'
import { Mailbox, type Message } from './mailbox.ts'
import type { EngineObserver } from './observer.ts'
import { SchemaPatience } from './schema-patience.ts'
import type { ChangelogRange, TaskLog, TaskLogWriter } from './task-log.ts'

/**
 * Drives one task: open, fold what arrives, commit in groups, run effects after the commit, close.
 *
 * A task opens by fencing its predecessor and rebuilding its memory from the changelog, or from its inputs when that is
 * lost or of another version. Until there is something to do it stays dormant and holds no producer. While one batch is
 * being committed the next is folded; nothing of it leaves the process before its own commit. Any error of the log
 * discards memory and producer and opens again (never a retry, never a reuse: whether the last commit went through is
 * answered by the position in the changelog). Running effects outlive that; what they said and was not committed is told
 * again. What a handler fails on blocks its key (task-core.ts); a batch that the log refuses is bisected until the input
 * at fault is found. Only errors of the settings stop a task, with their reason in `failure`.
 */
export interface TaskRunnerSettings {
  readonly processor: Processor
  readonly executors: AnyExecutors
  readonly slots: EffectSlots
  readonly task: number
  readonly instanceId: string
  readonly source: string
  readonly codec: Codec
  readonly log: Logger
  readonly observer: EngineObserver
  readonly clock: Scheduler
  readonly taskLog: TaskLog
  /** Fetching of an input: positioned before it is resumed. */
  readonly seek: (topic: string, offset: bigint) => void
  readonly resume: (topic: string) => void
  readonly pause: (topic: string) => void
  /** Resolves once the codec knows the schema id. */
  readonly learn: (schemaId: number) => Promise<void>
  /** Default: the engine's. */
  readonly limits?: TaskLimits
}

/**
 * `held`: a replay has more left to do than is done unasked. `full`: its blocked keys have no room for more. `waiting`: for
 * the schema of its next record.
 */
export type TaskState =
  | 'starting'
  | 'waiting'
  | 'dormant'
  | 'replaying'
  | 'held'
  | 'running'
  | 'full'
  | 'reopening'
  | 'failed'
  | 'closed'

/** A batch on its way into the log, and what follows from it once it is there. */
interface Sent {
  readonly batch: Batch
  readonly inputs: FoldedInputs
  readonly cancelled: readonly string[]
  readonly alerts: readonly Alert[]
  readonly launches: readonly Launch[]
}

/** A memory as the changelog has it up to `next`. */
interface Restored {
  readonly core: TaskCore
  readonly needsReplay: boolean
  readonly next: bigint
}

interface Launch {
  readonly id: string
  /** The effect as the batch has it: its run is begun. Undefined when a later step of the batch removed it. */
  readonly effect: LiveEffect | undefined
  readonly start: () => void
}

/** A commit follows the one before at this distance, or at once when the task was idle for longer. */
const COMMIT_INTERVAL_MS = 15
/** While more waits to be folded: each commit costs as much as hundreds of records. Full batches do not wait. */
const LOADED_COMMIT_MS = 50
/** The position follows what was passed over within this time, ms: far less than any input keeps its records. */
const POSITION_ALONE_MS = 60 * 60 * 1000
/** A task that is open for so long, ms, was not opened in vain. */
const WORKED_WELL_MS = 10_000
/**
 * For how long a dormant task goes on from what it has restored, ms. Another owner may have been here meanwhile, unknown
 * to a process that was frozen, and compaction removes the ends of entries after a day (delete.retention.ms).
 */
const DORMANT_MEMORY_MS = 12 * 60 * 60 * 1000
const BACKOFF_FIRST_MS = 100
const BACKOFF_MOST_MS = 5_000
const FENCED_WAIT_MS = 3_000
const INTERRUPT_GRACE_MS = 3_000
/**
 * What has run for less is redone in about the time that moving the task takes anyway. Without this a processor of short
 * effects is never shared: under load each of its tasks has some running at any moment.
 */
const COSTLY_AFTER_MS = 2_000
/** How often a task that waits for an operator looks for what was decided. */
const OPERATOR_POLL_MS = 2_000
const LONGEST_TIMER_MS = 2 ** 31 - 1

export class TaskRunner {
  readonly #s: TaskRunnerSettings
  readonly #runs: EffectRuns
  readonly #topics: readonly string[]
  readonly #limits: TaskLimits
  readonly #mailbox: Mailbox
  readonly #bisection = new Bisection()
  readonly #patience: SchemaPatience
  readonly #offFree: () => void
  #state: TaskState = 'starting'
  #failure: ReelstreamError | null = null
  #broken: ReelstreamError | null = null
  #stopping = false
  #wake: () => void = () => undefined
  #core: TaskCore | null = null
  #writer: TaskLogWriter | null = null
  /** Folded since the last batch was taken. */
  #inputs = new FoldedInputs()
  #sent: Sent | null = null
  #sending: Promise<void> = Promise.resolve()
  #commitError: unknown = null
  #lastCommitMs = 0
  /** Inputs that were passed over since the last batch: the position has moved, and nothing else. */
  #skipped = 0
  /** Errors in succession, without a batch in between. */
  #failures = 0
  /** When the work began; null while the task is not open. */
  #openedAtMs: number | null = null
  /** Sought and resumed: what is delivered continues at the position. */
  #fetching = false
  #isLive = false
  /** The first message in the mailbox is of a schema that cannot be learned at the moment. */
  #unlearned: { readonly failures: number; readonly againAtMs: number } | null = null
  #changelogEnd = 0n
  #lastPollMs = 0
  #launches: string[] = []
  /** Begun in a batch of which nobody knows whether it is in the log; in this process the run never began. */
  #neverRan: readonly LiveEffect[] = []
  readonly #ended: Promise<void>

  constructor(settings: TaskRunnerSettings) {
    this.#s = settings
    this.#topics = inputTopicsOf(settings.processor)
    this.#limits = settings.limits ?? TASK_LIMITS
    const fetching = {
      pause: () => this.#topics.forEach(settings.pause),
      resume: () => this.#topics.forEach(settings.resume),
    }
    this.#mailbox = new Mailbox(fetching, this.#limits.mailbox)
    this.#patience = new SchemaPatience(settings.learn, settings.clock)
    this.#runs = new EffectRuns({ ...settings, tell: (message) => this.#tell(message) })
    this.#offFree = settings.slots.onFree(() => this.#wake())
    this.#ended = this.#live()
  }

  get state(): TaskState {
    return this.#state
  }

  get failure(): ReelstreamError | null {
    return this.#failure
  }

  /** Whether an effect runs here that is costly to redo: the assigner leaves such a task with its owner. */
  get isBusy(): boolean {
    return this.#runs.longestMs() >= COSTLY_AFTER_MS
  }

  /** Keys that wait behind a failure. */
  get blocked(): number {
    return this.#core?.blocked().length ?? 0
  }

  /** What a replay has left to do; null unless it waits to be released. */
  get remaining(): Remaining | null {
    return this.#state === 'held' ? (this.#core?.remaining(this.#s.clock.now()) ?? null) : null
  }

  /** What was asked for and has not settled. */
  get effects(): readonly LiveEffect[] {
    return this.#core?.effects() ?? []
  }

  /** Broker time of the first record that waits to be folded, ms; null when none does. */
  get oldestMs(): number | null {
    return this.#mailbox.oldestMs
  }

  position(topic: string): bigint | undefined {
    return this.#core?.position(topic)
  }

  /** Hands over what was fetched, in order from the sought position on; returns at once. `nextOffset` ends the fetch. */
  deliver(topic: string, records: readonly LogRecord[], nextOffset: bigint): void {
    if (!this.#fetching) return
    for (const record of records) this.#mailbox.push({ kind: 'record', record })
    this.#mailbox.push({ kind: 'skip', topic, offset: nextOffset })
    this.#wake()
  }

  /** Something outside it has failed for good: it stops for this reason, and only a new opening lets it go on. */
  fail(error: ReelstreamError): void {
    this.#broken = error
    this.#wake()
  }

  /** Gives the task up gracefully: effects are interrupted, the last batch is committed. Never throws. */
  async close(): Promise<void> {
    this.#stopping = true
    this.#wake()
    await this.#ended
  }

  #tell(message: EffectMessage): void {
    this.#mailbox.push(message)
    this.#wake()
  }

  // ---- life

  async #live(): Promise<void> {
    for (let isFirst = true; !this.#stopping; isFirst = false) {
      try {
        const dormant = isFirst ? await this.#sleepDormant() : null
        if (this.#stopping) break
        await this.#open(dormant)
        this.#openedAtMs = this.#s.clock.monotonicMs()
        await this.#work()
        await this.#closeGracefully()
      } catch (error) {
        const isFound = isRejection(error) && this.#bisect(error)
        await this.#discard()
        if (error === GIVEN_UP) break
        if (!isFound && !isTransient(error)) {
          this.#stop(error)
          break
        }
        await this.#waitToReopen(error)
      }
    }
    await this.#runs.interruptAll(INTERRUPT_GRACE_MS)
    for (const id of this.#runs.ids()) this.#runs.forget(id)
    this.#offFree()
    if (this.#state !== 'failed') this.#state = 'closed'
  }

  /**
   * What fails as soon as the task is open costs a takeover and a restore each time: the wait grows until a batch of the
   * open task was committed, or it has worked for a while.
   */
  async #waitToReopen(error: unknown): Promise<void> {
    const { clock, log, observer, processor } = this.#s
    if (this.#openedAtMs !== null && clock.monotonicMs() - this.#openedAtMs >= WORKED_WELL_MS) this.#failures = 0
    this.#openedAtMs = null
    this.#failures += 1
    this.#state = 'reopening'
    observer.reopened(processor.name, error instanceof ReelstreamError ? error.code : 'UNEXPECTED')
    const waitMs = reopenAfterMs(error, this.#failures, clock.random())
    log.warn({ err: error, failures: this.#failures, waitMs: Math.round(waitMs) }, 'task reopens')
    await this.#pauseFor(waitMs)
  }

  #stop(error: unknown): void {
    this.#state = 'failed'
    this.#failure =
      error instanceof ReelstreamError ? error : new BugError('TASK_FAILED', describeError(error), { cause: error })
    this.#mailbox.reset()
    for (const topic of this.#topics) this.#s.pause(topic)
    this.#s.log.error({ err: error, ...this.#failure.facts }, 'task stopped')
  }

  /** Whether the next batches will be smaller, or an input is to be refused, so that trying again makes sense. */
  #bisect(error: ReelstreamError): boolean {
    const detail = `what comes of it cannot be written: ${error.message}`
    return this.#bisection.rejected(this.#sent?.inputs ?? new FoldedInputs(), { code: 'COMMIT_REJECTED', detail })
  }

  /**
   * Reads the changelog without taking the task over, and awaits a record of interest, which stays in the mailbox; or
   * that so much has passed, or so long ago, that the position should follow: inputs forget what is old. Returns what was
   * restored, for the opening to go on from; null when there is nothing to gain by it.
   */
  async #sleepDormant(): Promise<Restored | null> {
    if (this.#s.processor.behaviour.opened !== null) return null
    const { clock } = this.#s
    const restored = await this.#restore()
    const { core } = restored
    if (restored.needsReplay || core.isWaiting || this.#runs.ids().length > 0) return restored
    this.#state = 'dormant'
    this.#startFetching(core)
    const startedAtMs = clock.monotonicMs()
    let firstPassedAtMs: number | null = null
    while (!this.#stopping && !this.#mailbox.hasRecord((record) => core.isRelevant(record))) {
      if (this.#broken !== null) throw this.#broken
      this.#skipped += this.#mailbox.size
      for (const [topic, offset] of this.#mailbox.passOver()) core.skipTo(topic, offset)
      if (this.#skipped > 0) firstPassedAtMs ??= clock.monotonicMs()
      const leftMs = firstPassedAtMs === null ? null : firstPassedAtMs + POSITION_ALONE_MS - clock.monotonicMs()
      if (this.#skipped >= this.#limits.positionAloneAfter || (leftMs !== null && leftMs <= 0)) break
      await this.#nextWake(leftMs)
    }
    return clock.monotonicMs() - startedAtMs < DORMANT_MEMORY_MS ? restored : null
  }

  async #open(dormant: Restored | null): Promise<void> {
    this.#writer = await this.#s.taskLog.open()
    this.#isLive = false
    const { core, needsReplay } = await this.#restore(dormant)
    this.#core = core
    if (needsReplay) await this.#beginReplay(core)
    await this.#serveOperators(core)
    this.#proceed(core)
    // Where a processor that starts `now` has begun, must not be asked a second time.
    await this.#commit(needsReplay)
    await this.#bootstrap(core)
    // A dormant task fetches already, from the same position or an earlier one, which folding skips: seeking again would
    // cost the first event the rest of a long poll. A replay begins at another.
    if (needsReplay || !this.#fetching) this.#startFetching(core)
    this.#s.log.debug({ effects: core.effects().length, state: this.#state }, 'task opened')
  }

  /** From the changelog, or from where an earlier restore of the same task has ended. */
  async #restore(before: Restored | null = null): Promise<Restored> {
    const { processor, codec, source, task, instanceId, clock, observer } = this.#s
    const core = before?.core ?? new TaskCore({ processor, codec, source, task, instanceId })
    const startedAt = clock.monotonicMs()
    let entries = 0
    const { beginning, next } = await this.#readChangelog(async (records) => {
      if (this.#stopping) throw GIVEN_UP
      entries += records.length
      for (const record of records) await this.#patience.learning(() => core.restore(record))
    }, before?.next)
    this.#changelogEnd = next
    observer.restored(processor.name, clock.monotonicMs() - startedAt, entries)
    return { core, needsReplay: core.needsReplay(beginning), next }
  }

  /** One that is cut off while it is read is no hole in an input: what was lost shows when it is read again. */
  async #readChangelog(...args: Parameters<TaskLog['readChangelog']>): Promise<ChangelogRange> {
    try {
      return await this.#s.taskLog.readChangelog(...args)
    } catch (error) {
      if (!(error instanceof ReelstreamError) || error.code !== 'OFFSET_OUT_OF_RANGE') throw error
      throw new UpstreamError('PARTITION_UNREADABLE', 'the changelog was cut off while it was read', { cause: error })
    }
  }

  async #beginReplay(core: TaskCore): Promise<void> {
    const { taskLog, log, processor } = this.#s
    const inputs = await taskLog.inputRanges()
    core.beginReplay(inputs)
    const ends = Object.fromEntries([...inputs].map(([topic, { end }]) => [topic, String(end)]))
    log.info({ version: processor.version, ends }, 'task has no memory of this version and replays its inputs')
    while (!core.forgetSome(this.#limits.batchRecords)) await this.#commit()
  }

  /** What the processor did before: a look at everything that its output topics hold. */
  async #readHistory(): Promise<History> {
    const history = new History(this.#s.processor, this.#s.source)
    await this.#s.taskLog.readOutputs((record, isFirst) => history.add(record, isFirst))
    return history
  }

  /** Ends a replay that can end, and the first time that the task lives, has it begin. */
  #proceed(core: TaskCore): void {
    const now = this.#s.clock.now()
    core.endReplay(now)
    const { phase } = core
    this.#state = this.#unlearned !== null ? 'waiting' : phase === 'live' ? (core.isFull ? 'full' : 'running') : phase
    if (phase !== 'live' || this.#isLive) return
    this.#isLive = true
    for (const id of this.#runs.ids()) if (core.effect(id) === undefined) this.#runs.cancel(id)
    this.#acquitNeverRan(core)
    core.goLive(now, (id) => this.#runs.has(id))
    core.runHook('opened', now)
  }

  /** No process died of a run that never began: it must not count as one that killed its worker. */
  #acquitNeverRan(core: TaskCore): void {
    for (const { id, record } of this.#neverRan) {
      const now = core.effect(id)?.record
      if (now?.runs === record.runs && now.unproven === record.unproven) core.interrupt(id)
    }
  }

  /** Bootstrap inputs are folded to their end as of now before any record of the others. */
  async #bootstrap(core: TaskCore): Promise<void> {
    for (const { topic, bootstrap } of this.#s.processor.reads) {
      if (!bootstrap) continue
      await this.#s.taskLog.readInput(topic.name, core.position(topic.name) ?? 0n, async (records, nextOffset) => {
        for (const record of records) {
          await this.#fold(core, { kind: 'record', record })
          if (this.#isBatchFull(core)) await this.#commit(true)
        }
        core.skipTo(topic.name, nextOffset)
      })
    }
  }

  /** Fetches from the position on; what was fetched before is fetched again. */
  #startFetching(core: TaskCore): void {
    this.#mailbox.reset()
    this.#fetching = true
    for (const topic of this.#topics) {
      this.#s.seek(topic, core.position(topic) ?? 0n)
      this.#s.resume(topic)
    }
  }

  // ---- work

  async #work(): Promise<void> {
    const core = this.#core as TaskCore
    while (!this.#stopping) {
      if (this.#broken !== null) throw this.#broken
      if (core.isOperable) await this.#listenToOperators(core)
      if (this.#isFolding) await this.#foldSlice(core)
      else if (this.#unlearned !== null) this.#foldEffectMessages(core)
      this.#proceed(core)
      if (this.#isLive) {
        core.fireDue(this.#s.clock.now())
        this.#beginEffects(core)
      }
      if (this.#sent === null && this.#isCommitDue(core)) this.#startCommit(core)
      if (this.#commitError !== null) throw this.#commitError
      if (this.#inputs.count > 0 && this.#sent === null && core.pendingRecords === 0) {
        this.#finishInputs()
        continue // an effect may have become free to run again
      }
      if (this.#canFold(core)) await this.#s.clock.nextTurn()
      else await this.#nextWake(this.#waitMs(core))
    }
  }

  get #isFolding(): boolean {
    if (this.#unlearned !== null) return this.#unlearned.againAtMs <= this.#s.clock.monotonicMs()
    return this.#state === 'running' || this.#state === 'replaying'
  }

  #canFold(core: TaskCore): boolean {
    return this.#isFolding && this.#mailbox.size > 0 && !this.#isBatchFull(core)
  }

  #isCommitDue(core: TaskCore): boolean {
    const leftMs = this.#untilCommitMs(core)
    return this.#isBatchFull(core) || (leftMs !== null && leftMs <= 0)
  }

  /** How long what was folded, or passed over, may wait for its commit; null when there is nothing. */
  #untilCommitMs(core: TaskCore): number | null {
    const sinceMs = this.#s.clock.monotonicMs() - this.#lastCommitMs
    if (core.pendingRecords > 0) return (this.#mailbox.size > 0 ? LOADED_COMMIT_MS : COMMIT_INTERVAL_MS) - sinceMs
    return this.#skipped > 0 ? POSITION_ALONE_MS - sinceMs : null
  }

  #isBatchFull(core: TaskCore): boolean {
    const { batchRecords, batchBytes, positionAloneAfter } = this.#limits
    return (
      core.pendingRecords >= batchRecords ||
      core.pendingBytes >= batchBytes ||
      this.#skipped >= positionAloneAfter ||
      this.#inputs.count >= this.#bisection.limit
    )
  }

  /**
   * What was folded since the last commit has changed nothing (what an effect told twice, an event that its handler
   * ignored), so no commit will follow for its sake: whoever waits for one has it.
   */
  #finishInputs(): void {
    this.#inputs.done()
    this.#skipped += this.#inputs.count
    this.#inputs = new FoldedInputs()
  }

  #waitMs(core: TaskCore): number | null {
    // Its end wakes the loop.
    if (this.#sent !== null) return null
    const commitMs = this.#untilCommitMs(core)
    const now = this.#s.clock.now()
    const dueMs = core.nextDueMs(now)
    const waits = [
      commitMs === null ? null : Math.max(1, commitMs),
      this.#unlearned === null ? null : Math.max(1, this.#unlearned.againAtMs - this.#s.clock.monotonicMs()),
      dueMs === null ? null : Math.max(1, dueMs - now),
      core.isOperable ? OPERATOR_POLL_MS : null,
    ]
    return waits.reduce(
      (least, wait) => (least === null || wait === null ? (least ?? wait) : Math.min(least, wait)),
      null,
    )
  }

  async #foldSlice(core: TaskCore): Promise<void> {
    for (let n = 0; n < this.#limits.slice && !core.isFull && !this.#isBatchFull(core); n++) {
      const message = this.#mailbox.first
      if (message === undefined) break
      const folding = this.#fold(core, message)
      if (folding !== undefined && !(await this.#isLearned(folding))) return
      this.#mailbox.shift()
    }
    this.#mailbox.refill()
  }

  /**
   * Whether the message was folded once its schema was learned. While the registry is away it waits where it is: the
   * task need not be opened anew for that, and what it has folded before is committed.
   */
  async #isLearned(folding: Promise<void>): Promise<boolean> {
    const { clock, log } = this.#s
    try {
      await folding
      this.#unlearned = null
      return true
    } catch (error) {
      if (!isRetryable(error)) throw error
      const failures = (this.#unlearned?.failures ?? 0) + 1
      const waitMs = backoffMs(failures, clock.random())
      this.#unlearned = { failures, againAtMs: clock.monotonicMs() + waitMs }
      log.warn({ err: error, failures, waitMs: Math.round(waitMs) }, 'task waits for a schema')
      return false
    }
  }

  /** What effects say need not wait for the schema of a record that was before it in the mailbox. */
  #foldEffectMessages(core: TaskCore): void {
    for (const message of this.#mailbox.effectMessages()) this.#foldMessage(core, message)
    this.#mailbox.dropEffectMessages()
  }

  /** A promise only when a schema has to be learned first: a batch is folded without waiting. */
  #fold(core: TaskCore, message: Message): Promise<void> | undefined {
    try {
      this.#foldMessage(core, message)
      return undefined
    } catch (error) {
      return this.#patience.recover(
        error,
        () => this.#foldMessage(core, message),
        (refusal) => {
          if (message.kind !== 'record') throw error
          core.refuse(message.record, refusal, this.#s.clock.now())
          this.#inputs.add(message)
        },
      )
    }
  }

  #foldMessage(core: TaskCore, message: Message): void {
    const now = this.#s.clock.now()
    const refusal = this.#bisection.refusalOf(message)
    switch (message.kind) {
      case 'record':
        if (refusal !== null) core.block(message, refusal, now)
        else if (!core.fold(message.record, now)) {
          this.#skipped += 1
          return
        }
        break
      case 'skip':
        return core.skipTo(message.topic, message.offset)
      case 'report':
        if (refusal !== null) core.block(message, refusal, now)
        else core.report(message.effectId, message.n, message.value, now)
        break
      case 'settled':
        if (refusal !== null) core.block({ ...message, kind: 'outcome' }, refusal, now)
        else core.settle(message.effectId, message.outcome, now)
        break
      case 'failed':
        if (refusal !== null) {
          const outcome = { ok: false, code: message.failure.code, detail: message.failure.detail } as const
          core.block({ kind: 'outcome', effectId: message.effectId, outcome }, refusal, now)
        } else core.fail(message.effectId, message.failure, now, message.n)
    }
    this.#inputs.add(message)
  }

  // ---- operators

  /** What they decide is in the changelog: read on from where it was last read. */
  async #listenToOperators(core: TaskCore): Promise<void> {
    const now = this.#s.clock.monotonicMs()
    if (now - this.#lastPollMs < OPERATOR_POLL_MS) return
    this.#lastPollMs = now
    const { next } = await this.#readChangelog((records) => {
      for (const record of records) if (isRequest(record)) core.restore(record)
    }, this.#changelogEnd)
    this.#changelogEnd = next
    await this.#serveOperators(core)
  }

  async #serveOperators(core: TaskCore): Promise<void> {
    if (core.needsHistory) core.remember(await this.#readHistory())
    await this.#patience.learnKnown(core.unlearned())
    core.serveRequests(this.#s.clock.now())
  }

  // ---- effects and commits

  #beginEffects(core: TaskCore): void {
    for (const effect of core.runnable(this.#s.clock.now(), (id) => this.#runs.has(id))) {
      if (!this.#runs.reserve(effect)) continue
      core.begin(effect.id)
      this.#launches.push(effect.id)
    }
  }

  /** Takes what was folded as the next batch and sends it; what follows from it follows when it is there. */
  #startCommit(core: TaskCore): void {
    const sent = this.#takeBatch(core, true)
    if (sent === null) return
    this.#sent = sent
    this.#sending = this.#send(sent).catch((error: unknown) => {
      // Of a task that was discarded meanwhile, and may have been opened anew: that one has a writer of its own.
      if (this.#sent !== sent) return
      this.#commitError = error
      this.#wake()
    })
  }

  /** Commits and waits for it. */
  async #commit(positionAlone = false): Promise<void> {
    const sent = this.#takeBatch(this.#core as TaskCore, positionAlone)
    if (sent === null) return
    this.#sent = sent
    await this.#send(sent)
  }

  #takeBatch(core: TaskCore, positionAlone: boolean): Sent | null {
    const batch = core.takeBatch({ positionAlone })
    // What was passed over may all lie before the position: another owner has folded it.
    if (positionAlone) this.#skipped = 0
    if (batch === null) return null
    // The executor reads what this batch holds, not what is folded while it is committed.
    const launches = this.#launches.map((id): Launch => {
      const effect = core.effect(id)
      if (effect === undefined) return { id, effect, start: () => this.#runs.forget(id) }
      const reads = core.readsOf(effect)
      return { id, effect, start: () => this.#runs.launch(effect, reads) }
    })
    const sent = { batch, inputs: this.#inputs, cancelled: core.takeCancelled(), alerts: core.takeAlerts(), launches }
    this.#skipped = 0
    this.#inputs = new FoldedInputs()
    this.#launches = []
    return sent
  }

  async #send(sent: Sent): Promise<void> {
    const { clock, observer, processor } = this.#s
    const startedAt = clock.monotonicMs()
    const { outputs, changelog } = sent.batch
    await (this.#writer as TaskLogWriter).commit(sent.batch)
    // Discarded meanwhile: whether it went through is answered by the changelog.
    if (this.#sent !== sent) return
    this.#sent = null
    this.#neverRan = []
    this.#lastCommitMs = clock.monotonicMs()
    observer.committed(processor.name, this.#lastCommitMs - startedAt, outputs.length + changelog.length)
    this.#bisection.committed(sent.inputs.count)
    sent.inputs.done()
    for (const id of sent.cancelled) this.#runs.cancel(id)
    for (const { start } of sent.launches) start()
    for (const { kind, facts, ...alert } of sent.alerts) {
      const what = kind === 'blocked' ? 'key blocked: see `reelstream blocked`' : 'record refused: see `reelstream dlq`'
      this.#s.log.error({ ...facts, ...alert }, what)
      observer.setAside(processor.name, kind, alert.code)
    }
    this.#wake()
  }

  async #closeGracefully(): Promise<void> {
    const core = this.#core as TaskCore
    await this.#runs.interruptAll(INTERRUPT_GRACE_MS)
    await this.#sending
    if (this.#commitError !== null) throw this.#commitError
    // What the effects said before they were stopped still counts.
    this.#foldEffectMessages(core)
    for (const id of this.#runs.ids()) core.interrupt(id)
    if (this.#isLive) core.runHook('closed', this.#s.clock.now())
    const sent = this.#takeBatch(core, true)
    if (sent !== null) await this.#writer?.commit(sent.batch)
    sent?.inputs.done()
    await this.#discard()
  }

  async #discard(): Promise<void> {
    const unsure = this.#sent?.launches ?? []
    for (const id of [...unsure.map(({ id }) => id), ...this.#launches]) this.#runs.forget(id)
    this.#neverRan = [...this.#neverRan, ...unsure.flatMap(({ effect }) => effect ?? [])]
    this.#launches = []
    this.#mailbox.reset([...(this.#sent?.inputs.effects ?? []), ...this.#inputs.effects])
    this.#fetching = false
    this.#inputs = new FoldedInputs()
    this.#sent = null
    this.#commitError = null
    this.#unlearned = null
    this.#skipped = 0
    this.#core = null
    const writer = this.#writer
    this.#writer = null
    await writer?.close()
  }

  // ---- waiting

  #nextWake(timeoutMs: number | null): Promise<void> {
    if (this.#stopping) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = (): void => {
        cancel()
        this.#wake = () => undefined
        resolve()
      }
      const cancel =
        timeoutMs === null ? () => undefined : this.#s.clock.after(Math.min(timeoutMs, LONGEST_TIMER_MS), wake)
      this.#wake = wake
    })
  }

  async #pauseFor(ms: number): Promise<void> {
    const { clock } = this.#s
    const until = clock.monotonicMs() + ms
    while (!this.#stopping && clock.monotonicMs() < until) await this.#nextWake(until - clock.monotonicMs())
  }
}

/**
 * Errors of the log and of what stands around it are transient; those of the processor or its settings are not. Fenced is
 * transient, too: either the group is about to say that the task is another's, or whoever took it is gone again.
 */
const isTransient = (error: unknown): boolean =>
  isRetryable(error) || isFenced(error) || !(error instanceof ReelstreamError)

const isFenced = (error: unknown): boolean => error instanceof ReelstreamError && error.code === 'FENCED'

/** Jittered. `random`: 0 … 1. */
const backoffMs = (failures: number, random: number): number =>
  Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** (failures - 1)) * (0.5 + random / 2)

/** A fenced owner waits for longer than a heartbeat, in which the group tells it what it lost. */
const reopenAfterMs = (error: unknown, failures: number, random: number): number =>
  Math.max(isFenced(error) ? FENCED_WAIT_MS : 0, backoffMs(failures, random))

/** The task was closed while it was restored: whoever has it now must not be fenced any more. */
const GIVEN_UP = new Error('the task was given up while it was restored')
