import type { Scheduler } from '../../platform/clock.ts'
import { BugError, ConfigError, describeError, isRetryable, ReelstreamError } from '../../platform/errors.ts'
import type { Logger } from '../../platform/log.ts'
import type { Codec } from '../codec/avro.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import { inputTopicsOf, type Processor } from '../processor.ts'
import { TaskCore } from '../task/task-core.ts'
import { type EffectMessage, EffectRuns } from './effect-runs.ts'
import type { AnyExecutors, EffectSlots } from './executors.ts'
import type { TaskLog, TaskLogWriter } from './task-log.ts'

/**
 * Drives one task: open, fold what arrives, commit in groups, run effects after the commit, close.
 *
 * A task opens by fencing its predecessor and rebuilding its memory from the changelog. Until there is something to do it
 * stays dormant and holds no producer. Any error of the log discards memory and producer and opens again (never a retry,
 * never a reuse: whether the last commit went through is answered by the position in the changelog). Running effects
 * outlive that; what they said and was not committed is told again. An error of the processor itself (a handler that
 * throws, a record that cannot be read) stops the task with topic, partition and offset in `failure`.
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
  readonly clock: Scheduler
  readonly taskLog: TaskLog
  /** Fetching of an input: positioned before it is resumed. */
  readonly seek: (topic: string, offset: bigint) => void
  readonly resume: (topic: string) => void
  readonly pause: (topic: string) => void
  /** Resolves once the codec knows the schema id. */
  readonly learn: (schemaId: number) => Promise<void>
}

export type TaskState = 'starting' | 'dormant' | 'running' | 'reopening' | 'failed' | 'closed'

type Message =
  | EffectMessage
  | { readonly kind: 'record'; readonly record: LogRecord }
  | { readonly kind: 'skip'; readonly topic: string; readonly offset: bigint }

const isEffectMessage = (message: Message): message is EffectMessage =>
  message.kind !== 'record' && message.kind !== 'skip'

/** A commit follows the one before at this distance, or at once when the task was idle for longer. */
const COMMIT_INTERVAL_MS = 25
const BATCH_RECORDS = 2_000
const BATCH_BYTES = 900_000
/** Steps between two looks at the rest of the process. */
const SLICE = 250
const MAILBOX_HIGH = 1_000
const MAILBOX_LOW = 250
const POSITION_ALONE_AFTER = 1_000
const REOPEN_FIRST_MS = 100
const REOPEN_MOST_MS = 5_000
const FENCED_WAIT_MS = 3_000
const INTERRUPT_GRACE_MS = 3_000
/**
 * What has run for less is redone in about the time that moving the task takes anyway. Without this a processor of short
 * effects is never shared: under load each of its tasks has some running at any moment.
 */
const COSTLY_AFTER_MS = 2_000
const LONGEST_TIMER_MS = 2 ** 31 - 1

export class TaskRunner {
  readonly #s: TaskRunnerSettings
  readonly #runs: EffectRuns
  readonly #topics: readonly string[]
  readonly #offFree: () => void
  #state: TaskState = 'starting'
  #failure: ReelstreamError | null = null
  #mailbox: Message[] = []
  #uncommitted: EffectMessage[] = []
  #paused = false
  #stopping = false
  #wake: () => void = () => undefined
  #core: TaskCore | null = null
  #writer: TaskLogWriter | null = null
  #lastCommitMs = 0
  #skipped = 0
  /** Sought and resumed: what is delivered continues at the position. */
  #fetching = false
  #launches: string[] = []
  readonly #ended: Promise<void>

  constructor(settings: TaskRunnerSettings) {
    this.#s = settings
    this.#topics = inputTopicsOf(settings.processor)
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

  position(topic: string): bigint | undefined {
    return this.#core?.position(topic)
  }

  /** Hands over what was fetched, in order from the sought position on; returns at once. `nextOffset` ends the fetch. */
  deliver(topic: string, records: readonly LogRecord[], nextOffset: bigint): void {
    if (!this.#fetching) return
    for (const record of records) this.#mailbox.push({ kind: 'record', record })
    this.#mailbox.push({ kind: 'skip', topic, offset: nextOffset })
    if (!this.#paused && this.#mailbox.length > MAILBOX_HIGH) {
      this.#paused = true
      for (const input of this.#topics) this.#s.pause(input)
    }
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
    for (let failures = 0; !this.#stopping; ) {
      try {
        if (failures === 0 && (await this.#sleepDormant())) continue
        await this.#open()
        failures = 0
        await this.#work()
        await this.#closeGracefully()
      } catch (error) {
        await this.#discard()
        if (!isTransient(error)) {
          this.#stop(error)
          break
        }
        failures += 1
        this.#state = 'reopening'
        const waitMs = reopenAfterMs(error, failures, this.#s.clock.random())
        this.#s.log.warn({ err: error, failures, waitMs: Math.round(waitMs) }, 'task reopens')
        await this.#pauseFor(waitMs)
      }
    }
    await this.#runs.interruptAll(INTERRUPT_GRACE_MS)
    for (const id of this.#runs.ids()) this.#runs.forget(id)
    this.#offFree()
    if (this.#state !== 'failed') this.#state = 'closed'
  }

  #stop(error: unknown): void {
    this.#state = 'failed'
    this.#failure =
      error instanceof ReelstreamError ? error : new BugError('TASK_FAILED', describeError(error), { cause: error })
    this.#mailbox = []
    this.#fetching = false
    for (const topic of this.#topics) this.#s.pause(topic)
    this.#s.log.error({ err: error, ...this.#failure.facts }, 'task stopped')
  }

  /**
   * Reads the changelog without taking the task over. True: nothing to do before a record of interest arrives, which is
   * awaited here; its record stays in the mailbox.
   */
  async #sleepDormant(): Promise<boolean> {
    if (this.#s.processor.behaviour.opened !== null) return false
    const core = await this.#restore()
    if (core.isWaiting || this.#runs.ids().length > 0) return false
    this.#state = 'dormant'
    this.#startFetching(core)
    for (;;) {
      if (this.#stopping) return true
      const first = this.#mailbox.findIndex((m) => m.kind === 'record' && core.isRelevant(m.record))
      if (first >= 0) return false
      this.#mailbox = []
      await this.#nextWake(null)
    }
  }

  async #open(): Promise<void> {
    this.#writer = await this.#s.taskLog.open()
    const core = await this.#restore()
    const isRunning = (id: string) => this.#runs.has(id)
    this.#core = core
    for (const id of this.#runs.ids()) if (core.effect(id) === undefined) this.#runs.cancel(id)
    core.restored(this.#s.clock.now(), isRunning)
    core.runHook('opened', this.#s.clock.now())
    await this.#commit()
    await this.#bootstrap(core)
    // A dormant task fetches already, from the same position or an earlier one, which folding skips: seeking again would
    // cost the first event the rest of a long poll.
    if (!this.#fetching) this.#startFetching(core)
    this.#state = 'running'
    this.#s.log.debug({ effects: core.effects().length }, 'task opened')
  }

  async #restore(): Promise<TaskCore> {
    const { processor, codec, source, task, instanceId, taskLog } = this.#s
    const core = new TaskCore({ processor, codec, source, task, instanceId })
    await taskLog.readChangelog((records) => this.#learning(records, (record) => core.restore(record)))
    if (!core.hasPosition) throw needsReset(processor.name, task)
    return core
  }

  /** Bootstrap inputs are folded to their end as of now before any record of the others. */
  async #bootstrap(core: TaskCore): Promise<void> {
    for (const { topic, bootstrap } of this.#s.processor.reads) {
      if (!bootstrap) continue
      await this.#s.taskLog.readInput(topic.name, core.position(topic.name) ?? 0n, async (records, nextOffset) => {
        await this.#learning(records, (record) => core.fold(record, this.#s.clock.now()))
        core.skipTo(topic.name, nextOffset)
        if (this.#isFull(core)) await this.#commit()
      })
    }
  }

  /** Fetches from the position on; what was fetched before is fetched again. */
  #startFetching(core: TaskCore): void {
    this.#mailbox = this.#mailbox.filter(isEffectMessage)
    this.#paused = false
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
      await this.#foldSlice(core)
      core.fireDue(this.#s.clock.now())
      this.#beginEffects(core)
      if (this.#isFull(core) || (core.pendingRecords > 0 && this.#sinceCommit() >= COMMIT_INTERVAL_MS)) {
        await this.#commit()
      } else if (this.#mailbox.length > 0) {
        await this.#s.clock.nextTurn()
      } else {
        await this.#nextWake(this.#waitMs(core))
      }
    }
  }

  #isFull(core: TaskCore): boolean {
    return (
      core.pendingRecords >= BATCH_RECORDS || core.pendingBytes >= BATCH_BYTES || this.#skipped >= POSITION_ALONE_AFTER
    )
  }

  #sinceCommit(): number {
    return this.#s.clock.monotonicMs() - this.#lastCommitMs
  }

  #waitMs(core: TaskCore): number | null {
    if (core.pendingRecords > 0) return Math.max(1, COMMIT_INTERVAL_MS - this.#sinceCommit())
    const now = this.#s.clock.now()
    const dueMs = core.nextDueMs(now)
    return dueMs === null ? null : Math.max(1, dueMs - now)
  }

  async #foldSlice(core: TaskCore): Promise<void> {
    for (let n = 0; n < SLICE && this.#mailbox.length > 0 && !this.#isFull(core); n++) {
      const message = this.#mailbox[0] as Message
      await this.#learning([message], () => this.#foldMessage(core, message))
      this.#mailbox.shift()
    }
    if (this.#paused && this.#mailbox.length <= MAILBOX_LOW) {
      this.#paused = false
      for (const topic of this.#topics) this.#s.resume(topic)
    }
  }

  #foldMessage(core: TaskCore, message: Message): void {
    const now = this.#s.clock.now()
    switch (message.kind) {
      case 'record':
        if (!core.fold(message.record, now)) this.#skipped += 1
        return
      case 'skip':
        return core.skipTo(message.topic, message.offset)
      case 'report':
        core.report(message.effectId, message.n, message.value, now)
        break
      case 'settled':
        core.settle(message.effectId, message.outcome, now)
        break
      case 'failed':
        core.fail(message.effectId, message.failure, now)
    }
    this.#uncommitted.push(message)
  }

  /** Runs the action per item; a schema id that is not known yet is learned first, then the item is tried again. */
  async #learning<T>(items: readonly T[], action: (item: T) => void): Promise<void> {
    for (const item of items) {
      try {
        action(item)
      } catch (error) {
        const schemaId =
          error instanceof ReelstreamError && error.code === 'SCHEMA_UNKNOWN' ? error.facts.schemaId : null
        if (typeof schemaId !== 'number') throw error
        await this.#s.learn(schemaId)
        action(item)
      }
    }
  }

  // ---- effects and commits

  #beginEffects(core: TaskCore): void {
    for (const effect of core.runnable(this.#s.clock.now(), (id) => this.#runs.has(id))) {
      if (!this.#runs.reserve(effect)) continue
      core.begin(effect.id)
      this.#launches.push(effect.id)
    }
  }

  async #commit(): Promise<void> {
    const core = this.#core as TaskCore
    const batch = core.takeBatch({ positionAlone: this.#skipped >= POSITION_ALONE_AFTER })
    if (batch === null) return
    this.#skipped = 0
    await (this.#writer as TaskLogWriter).commit(batch)
    this.#lastCommitMs = this.#s.clock.monotonicMs()
    for (const message of this.#uncommitted) message.done()
    this.#uncommitted = []
    for (const id of core.takeCancelled()) this.#runs.cancel(id)
    for (const id of this.#launches) {
      const effect = core.effect(id)
      if (effect === undefined) this.#runs.forget(id)
      else this.#runs.launch(effect, core.readsOf(effect))
    }
    this.#launches = []
  }

  async #closeGracefully(): Promise<void> {
    const core = this.#core as TaskCore
    await this.#runs.interruptAll(INTERRUPT_GRACE_MS)
    // What the effects said before they were stopped still counts.
    for (const message of this.#mailbox.filter(isEffectMessage)) this.#foldMessage(core, message)
    for (const id of this.#runs.ids()) core.interrupt(id)
    core.runHook('closed', this.#s.clock.now())
    const batch = core.takeBatch({ positionAlone: true })
    if (batch !== null) await this.#writer?.commit(batch)
    await this.#discard()
  }

  async #discard(): Promise<void> {
    for (const id of this.#launches) this.#runs.forget(id)
    this.#launches = []
    this.#mailbox = [...this.#uncommitted, ...this.#mailbox.filter(isEffectMessage)]
    this.#fetching = false
    this.#uncommitted = []
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

/** Jittered back-off. A fenced owner waits for longer than a heartbeat, in which the group tells it what it lost. */
const reopenAfterMs = (error: unknown, failures: number, random: number): number => {
  const backoffMs = Math.min(REOPEN_MOST_MS, REOPEN_FIRST_MS * 2 ** (failures - 1)) * (0.5 + random / 2)
  return isFenced(error) ? Math.max(FENCED_WAIT_MS, backoffMs) : backoffMs
}

const needsReset = (processor: string, task: number): ConfigError =>
  new ConfigError(
    'NEEDS_RESET',
    `${processor}-state holds no position for task ${task}: its changelog was lost, or the processor is new on a topic with ` +
      'history. What it did cannot be told from what it did not. Restore the changelog, or run `npm run reset` on a local stack.',
    { facts: { processor, task } },
  )
