import type { Scheduler } from '../../platform/clock.ts'
import { BugError, describeError, ReelstreamError, UpstreamError } from '../../platform/errors.ts'
import type { Logger } from '../../platform/log.ts'
import type { Codec } from '../codec/avro.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import { inputTopicsOf, type Processor } from '../processor.ts'
import { type Attempted, COMMIT_REJECTED, nameOf } from '../task/attempts.ts'
import type { LiveEffect } from '../task/effect-ledger.ts'
import type { Remaining } from '../task/replay.ts'
import type { TaskCore } from '../task/task-core.ts'
import { Bisection, isRejection } from './bisection.ts'
import { type EffectMessage, EffectRuns } from './effect-runs.ts'
import type { AnyExecutors, EffectSlots } from './executors.ts'
import { Folding } from './folding.ts'
import { GroupCommit, POSITION_ALONE_MS } from './group-commit.ts'
import { InputFetching, type InputPorts } from './input-fetching.ts'
import { TASK_LIMITS, type TaskLimits } from './limits.ts'
import { Mailbox } from './mailbox.ts'
import type { EngineObserver } from './observer.ts'
import { INTERRUPT_GRACE_MS, OpenTask, type TaskParts } from './open-task.ts'
import { OperatorRequests } from './operator-requests.ts'
import { isTransient, reopenAfterMs } from './reopening.ts'
import { GIVEN_UP, type Restored, type RestoreProgress, Restorer } from './restorer.ts'
import { SchemaPatience } from './schema-patience.ts'
import type { TaskLog } from './task-log.ts'
import { TaskSignal } from './task-signal.ts'
import type { TaskState } from './task-state.ts'

/**
 * Drives one task: open, fold what arrives, commit in groups, run effects after the commit, close.
 *
 * A task opens by fencing its predecessor and rebuilding its memory from the changelog, or from its inputs when that is
 * lost or of another version. Until there is something to do it stays dormant and holds no producer. While one batch is
 * being committed the next is folded; nothing of it leaves the process before its own commit. Any error of the log
 * discards memory and producer and opens again (never a retry, never a reuse: whether the last commit went through is
 * answered by the position in the changelog). Running effects outlive that; what they said and was not committed is told
 * again. What a handler fails on blocks its key (task-core.ts); a batch that the log refuses is bisected until the step
 * at fault is found, whatever it comes from. Only errors of the settings stop a task, with their reason in `failure`.
 */
export interface TaskRunnerSettings extends InputPorts {
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
  /** Resolves once the codec knows the schema id. */
  readonly learn: (schemaId: number) => Promise<void>
  /** Default: the engine's. */
  readonly limits?: TaskLimits
}

/** What a task was like when its memory was discarded. */
interface LastSeen {
  readonly positions: ReadonlyMap<string, bigint>
  readonly blocked: number
  readonly effects: readonly LiveEffect[]
  readonly oldestMs: number | null
}

const NEVER_SEEN: LastSeen = { positions: new Map(), blocked: 0, effects: [], oldestMs: null }
/** A task that is open for so long, ms, was not opened in vain. */
const WORKED_WELL_MS = 10_000
/**
 * For how long a dormant task goes on from what it has restored, ms. Another owner may have been here meanwhile, unknown
 * to a process that was frozen, and compaction removes the ends of entries after a day (delete.retention.ms).
 */
const DORMANT_MEMORY_MS = 12 * 60 * 60 * 1000
/**
 * What has run for less is redone in about the time that moving the task takes anyway. Without this a processor of short
 * effects is never shared: under load each of its tasks has some running at any moment.
 */
const COSTLY_AFTER_MS = 2_000
const NOTHING_ATTEMPTED: Attempted = { count: 0, first: undefined, refused: [] }

export class TaskRunner {
  readonly #s: TaskRunnerSettings
  readonly #topics: readonly string[]
  readonly #limits: TaskLimits
  readonly #signal: TaskSignal
  readonly #fetching: InputFetching
  readonly #mailbox: Mailbox
  readonly #bisection = new Bisection()
  readonly #folding: Folding
  readonly #runs: EffectRuns
  readonly #commits: GroupCommit
  readonly #restorer: Restorer
  readonly #parts: TaskParts
  readonly #offFree: () => void
  #state: TaskState = 'starting'
  #failure: ReelstreamError | null = null
  #task: OpenTask | null = null
  /** Memory of a task that is dormant, or is just being opened after that. */
  #dormant: TaskCore | null = null
  #lastSeen = NEVER_SEEN
  /** Errors in succession, without a batch in between. */
  #failures = 0
  /** When the work began; null while the task is not open. */
  #openedAtMs: number | null = null
  readonly #ended: Promise<void>

  constructor(settings: TaskRunnerSettings) {
    const limits = settings.limits ?? TASK_LIMITS
    const signal = new TaskSignal(settings.clock)
    const topics = inputTopicsOf(settings.processor)
    const fetching = new InputFetching(settings, topics)
    const mailbox = new Mailbox(fetching, limits.mailbox)
    const patience = new SchemaPatience(settings.learn, settings.clock)
    const folding = new Folding({ ...settings, limits, mailbox, patience })
    const runs = new EffectRuns({ ...settings, tell: (message) => this.#tell(message) })
    const commits = new GroupCommit({ ...settings, signal, mailbox, folding, runs, bisection: this.#bisection })
    const restorer = new Restorer({ ...settings, signal, patience, stepLimits: this.#bisection })
    const operators = new OperatorRequests({ clock: settings.clock, restorer, patience })
    this.#s = settings
    this.#topics = topics
    this.#limits = limits
    this.#signal = signal
    this.#fetching = fetching
    this.#mailbox = mailbox
    this.#folding = folding
    this.#runs = runs
    this.#commits = commits
    this.#restorer = restorer
    this.#parts = { ...settings, limits, signal, fetching, mailbox, folding, runs, commits, operators }
    this.#offFree = settings.slots.onFree(() => signal.wake())
    this.#ended = this.#live()
  }

  get state(): TaskState {
    return this.#task?.state ?? this.#state
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
    return this.#core?.blocked().length ?? this.#lastSeen.blocked
  }

  /** What a replay has left to do; null unless it waits to be released. */
  get remaining(): Remaining | null {
    return this.state === 'held' ? (this.#task?.core.remaining(this.#s.clock.now()) ?? null) : null
  }

  /** What was asked for and has not settled. */
  get effects(): readonly LiveEffect[] {
    return this.#core?.effects() ?? this.#lastSeen.effects
  }

  /** Broker time of the first record that waits to be folded, ms; null when none is known to wait. */
  get oldestMs(): number | null {
    return this.#core === null ? this.#lastSeen.oldestMs : this.#mailbox.oldestMs
  }

  /** Undefined until a position was read, or is made. */
  position(topic: string): bigint | undefined {
    return this.#core === null ? this.#lastSeen.positions.get(topic) : this.#core.position(topic)
  }

  /** How far the memory is rebuilt, while it is. */
  get restoring(): RestoreProgress | null {
    return this.#restorer.progress
  }

  /** Hands over what was fetched, in order from the sought position on; returns at once. `nextOffset` ends the fetch. */
  deliver(topic: string, records: readonly LogRecord[], nextOffset: bigint): void {
    if (!this.#fetching.isOn) return
    for (const record of records) this.#mailbox.push({ kind: 'record', record })
    this.#mailbox.push({ kind: 'skip', topic, offset: nextOffset })
    this.#signal.wake()
  }

  /** Something outside it has failed for good: it stops for this reason, and only a new opening lets it go on. */
  fail(error: ReelstreamError): void {
    this.#signal.fail(error)
  }

  /** Gives the task up gracefully: effects are interrupted, the last batch is committed. Never throws. */
  async close(): Promise<void> {
    this.#fetching.end()
    this.#signal.stop()
    await this.#ended
  }

  get #core(): TaskCore | null {
    return this.#task?.core ?? this.#dormant
  }

  #tell(message: EffectMessage): void {
    this.#mailbox.push(message)
    this.#signal.wake()
  }

  async #live(): Promise<void> {
    for (let isFirst = true; !this.#signal.isStopping; isFirst = false) {
      try {
        const dormant = isFirst ? await this.#sleepDormant() : null
        if (this.#signal.isStopping) break
        const task = await this.#open(dormant)
        this.#openedAtMs = this.#s.clock.monotonicMs()
        await task.work()
        await task.end()
        await this.#discard()
      } catch (error) {
        const reason = this.#reasonToStop(error)
        await this.#discard()
        if (error === GIVEN_UP) break
        if (reason !== null) {
          this.#stop(reason)
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
   * Reads the changelog without taking the task over, and awaits a record of interest, which stays in the mailbox; or
   * that so much has passed, or so long ago, that the position should follow: inputs forget what is old. Returns what was
   * restored, for the opening to go on from; null when there is nothing to gain by it.
   */
  async #sleepDormant(): Promise<Restored | null> {
    if (this.#s.processor.behaviour.opened !== null) return null
    const { clock } = this.#s
    const restored = await this.#restorer.restore()
    const { core } = restored
    if (restored.needsReplay || core.isWaiting || this.#runs.ids().length > 0) return restored
    this.#state = 'dormant'
    this.#dormant = core
    this.#mailbox.reset()
    this.#fetching.startAt((topic) => core.position(topic))
    const startedAtMs = clock.monotonicMs()
    let firstPassedAtMs: number | null = null
    while (!this.#signal.isStopping && !this.#mailbox.hasRecord((record) => core.isRelevant(record))) {
      this.#signal.throwIfFailed()
      this.#folding.passOver(core)
      if (this.#folding.skipped > 0) firstPassedAtMs ??= clock.monotonicMs()
      const leftMs = firstPassedAtMs === null ? null : firstPassedAtMs + POSITION_ALONE_MS - clock.monotonicMs()
      if (this.#folding.skipped >= this.#limits.positionAloneAfter || (leftMs !== null && leftMs <= 0)) break
      await this.#signal.next(leftMs)
    }
    return clock.monotonicMs() - startedAtMs < DORMANT_MEMORY_MS ? restored : null
  }

  async #open(dormant: Restored | null): Promise<OpenTask> {
    this.#commits.open(await this.#s.taskLog.open())
    const restored = await this.#restorer.restore(dormant)
    const task = new OpenTask(this.#parts, restored.core)
    this.#task = task
    this.#dormant = null
    this.#lastSeen = NEVER_SEEN
    await task.begin(restored)
    return task
  }

  /** Null: it makes sense to try again, because it may pass, or because the next batches will be smaller. */
  #reasonToStop(error: unknown): unknown {
    if (!isRejection(error)) return isTransient(error) ? null : error
    const attempted = this.#commits.attempted ?? NOTHING_ATTEMPTED
    const detail = `what comes of it cannot be written: ${error.message}`
    if (this.#bisection.rejected(attempted, { code: COMMIT_REJECTED, detail })) return null
    // The last batch is as large as it is. Whoever has the task next makes it anew.
    if (this.#signal.isStopping) return null
    const step = attempted.first === undefined ? null : nameOf(attempted.first)
    const message = `not even that it fails can be written of ${step ?? 'the task'}: ${error.message}`
    return new UpstreamError(COMMIT_REJECTED, message, { cause: error, facts: { step }, retryable: false })
  }

  async #discard(): Promise<void> {
    this.#state = this.state
    this.#lastSeen = this.#seen
    this.#task = null
    this.#dormant = null
    const { effects, writer } = this.#commits.discard()
    this.#mailbox.reset([...effects, ...this.#folding.discard()])
    this.#fetching.off()
    await writer?.close()
  }

  get #seen(): LastSeen {
    const core = this.#core
    if (core === null) return this.#lastSeen
    const positions = new Map<string, bigint>()
    for (const topic of this.#topics) {
      const position = core.position(topic)
      if (position !== undefined) positions.set(topic, position)
    }
    return { positions, blocked: core.blocked().length, effects: core.effects(), oldestMs: this.#mailbox.oldestMs }
  }

  #stop(error: unknown): void {
    this.#state = 'failed'
    this.#failure =
      error instanceof ReelstreamError ? error : new BugError('TASK_FAILED', describeError(error), { cause: error })
    this.#mailbox.reset()
    this.#fetching.pause()
    this.#s.log.error({ err: error, ...this.#failure.facts }, 'task stopped')
  }

  /**
   * What fails as soon as the task is open costs a takeover and a restore each time: the wait grows until a batch of the
   * open task was committed, or it has worked for a while.
   */
  async #waitToReopen(error: unknown): Promise<void> {
    const { clock, log, observer, processor, task } = this.#s
    if (this.#openedAtMs !== null && clock.monotonicMs() - this.#openedAtMs >= WORKED_WELL_MS) this.#failures = 0
    this.#openedAtMs = null
    this.#failures += 1
    this.#state = 'reopening'
    observer.reopened(processor.name, task, error instanceof ReelstreamError ? error.code : 'UNEXPECTED')
    const waitMs = reopenAfterMs(error, this.#failures, clock.random())
    log.warn({ err: error, failures: this.#failures, waitMs: Math.round(waitMs) }, 'task reopens')
    await this.#signal.pause(waitMs)
  }
}
