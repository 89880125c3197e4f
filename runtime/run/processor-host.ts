import { atMost } from '../../platform/at-most.ts'
import type { Scheduler } from '../../platform/clock.ts'
import { describeError } from '../../platform/errors.ts'
import type { Logger } from '../../platform/log.ts'
import type { Codec } from '../codec/avro.ts'
import type { GroupHandlers, GroupMember, GroupOptions } from '../kafka/group-member.ts'
import { inputTopicsOf, type Processor } from '../processor.ts'
import type { Remaining } from '../task/replay.ts'
import { type BoundProcessor, EffectSlots } from './executors.ts'
import { InputEnds } from './input-ends.ts'
import type { TaskLimits } from './limits.ts'
import { type EngineObserver, unobserved } from './observer.ts'
import { type PendingEffects, pendingByName } from './pending-effects.ts'
import type { RestoreProgress } from './restorer.ts'
import type { TaskLog } from './task-log.ts'
import { TaskRunner } from './task-runner.ts'
import type { TaskState } from './task-state.ts'

/**
 * One processor in this process: a member of its consumer group, and a runner for each task that the group gives it.
 * The group only assigns; positions live in the changelogs. Its committed offsets are a lag gauge for people.
 */
export interface HostSettings {
  /** Joins a consumer group, as `joinGroup` of kafka/group-member.ts promises it. */
  readonly join: (options: GroupOptions, handlers: GroupHandlers) => Promise<GroupMember>
  /** The durable side of one task of a processor. */
  readonly taskLog: (processor: Processor, task: number) => TaskLog
  readonly codec: Codec
  readonly learn: (schemaId: number) => Promise<void>
  readonly appId: string
  readonly instanceId: string
  readonly clock: Scheduler
  readonly log: Logger
  /** Told what happens, while it does. */
  readonly observer?: EngineObserver
  /** How long the group waits for a dead member, ms. Default: the engine's. */
  readonly sessionTimeoutMs?: number
  /** How much a task takes at a time. Default: the engine's. */
  readonly limits?: TaskLimits
}

export interface TaskReport {
  readonly processor: string
  readonly task: number
  readonly state: TaskState
  /** Why it stopped: code, message with topic, partition and offset; null while it works. */
  readonly failure: string | null
  /** Keys that wait behind a failure of their handler. */
  readonly blocked: number
  /** What a replay has left to do, when it is more than is done unasked; else null. */
  readonly held: Remaining | null
  /** How far its memory is rebuilt, while it is; else null. */
  readonly restoring: RestoreProgress | null
  /** Where it is in each input, and how many offsets behind its end; null while nobody knows that (input-ends.ts). */
  readonly inputs: readonly { readonly topic: string; readonly position: number; readonly lag: number | null }[]
  /**
   * Age of the oldest record that was fetched and is not folded, ms; 0 without one. Null when nobody knows: the task is
   * not open, and nothing waited when it was.
   */
  readonly oldestMs: number | null
  /** Effects that have not settled, by name. */
  readonly effects: readonly PendingEffects[]
}

/** Lag gauges only, so rarely. */
const GAUGE_INTERVAL_MS = 10_000
const REJOIN_DELAY_MS = 1_000
const LONGEST_REJOIN_DELAY_MS = 30_000
/** A member that lived for so long was not lost at once. */
const STEADY_MS = 60_000
/** A process ends within 5 s (platform/graceful-end.ts), and this is not all that it closes. */
const STOP_WITHIN_MS = 4_500
/** Effects have 3 s to let go of their work (open-task.ts); then comes the last commit. */
const CLOSE_WITHIN_MS = 3_500
const GAUGE_WITHIN_MS = 250

/** What waits for such a task is not fetched, or not known. */
const NOT_OPEN: readonly TaskState[] = ['starting', 'reopening', 'failed']

export class ProcessorHost {
  readonly #bound: BoundProcessor
  readonly #s: HostSettings
  readonly #topics: readonly string[]
  readonly #tasks = new Map<number, TaskRunner>()
  readonly #closing = new Map<number, Promise<void>>()
  /** What the group says now; a runner may follow later, when the one before it has let go. */
  #assignment: readonly number[] = []
  readonly #slots: EffectSlots
  readonly #ends: InputEnds
  readonly #log: Logger
  #member: GroupMember | null = null
  #joined = false
  #stopping = false
  #stopGauge: () => void = () => undefined
  #endPause: () => void = () => undefined
  #joinedAtMs = 0
  /** Of the member, each soon after it had joined. */
  #crashes = 0

  constructor(bound: BoundProcessor, settings: HostSettings) {
    this.#bound = bound
    this.#s = settings
    this.#topics = inputTopicsOf(bound.processor)
    this.#slots = new EffectSlots(bound.processor.effects)
    this.#ends = new InputEnds(settings.clock)
    this.#log = settings.log.child({ processor: bound.processor.name })
  }

  /** Joins the group. Tasks open as they are assigned. */
  async start(): Promise<void> {
    const { join, instanceId, sessionTimeoutMs } = this.#s
    const options = {
      groupId: this.#bound.processor.name,
      topics: [...this.#topics],
      instanceId,
      ...(sessionTimeoutMs === undefined ? {} : { sessionTimeoutMs }),
      busyTasks: () => [...this.#tasks].filter(([, runner]) => runner.isBusy).map(([task]) => task),
    }
    this.#member = await join(options, {
      assigned: (tasks, lost) => this.#assigned(tasks, lost),
      records: (topic, partition, records, nextOffset) =>
        this.#tasks.get(partition)?.deliver(topic, records, nextOffset),
      lost: (_topic, partition, error) => this.#tasks.get(partition)?.fail(error),
      crashed: (error) => void this.#rejoin(error),
    })
    this.#joinedAtMs = this.#s.clock.monotonicMs()
    this.#stopGauge()
    this.#gaugeLater()
  }

  report(): readonly TaskReport[] {
    const { name } = this.#bound.processor
    return [...this.#tasks].map(([task, runner]) => ({
      processor: name,
      task,
      state: runner.state,
      failure:
        runner.failure === null ? null : `${describeError(runner.failure)} ${JSON.stringify(runner.failure.facts)}`,
      blocked: runner.blocked,
      held: runner.remaining,
      inputs: this.#inputsOf(task, runner),
      restoring: runner.restoring,
      oldestMs: this.#oldestOf(runner),
      effects: pendingByName(runner.effects, this.#s.clock.now()),
    }))
  }

  #inputsOf(task: number, runner: TaskRunner): TaskReport['inputs'] {
    return this.#topics.flatMap((topic) => {
      const position = runner.position(topic)
      if (position === undefined) return []
      const end = this.#ends.of(topic, task, this.#member?.endOffset(topic, task))
      const lag = end === undefined ? null : Math.max(0, Number(end - position))
      return [{ topic, position: Number(position), lag }]
    })
  }

  #oldestOf({ oldestMs, state }: TaskRunner): number | null {
    // Clocks differ: a broker's may be ahead of ours.
    if (oldestMs !== null) return Math.max(0, this.#s.clock.now() - oldestMs)
    return NOT_OPEN.includes(state) ? null : 0
  }

  /** Joined, every task it holds works, and what they read can be fetched. */
  get isReady(): boolean {
    const working = [...this.#tasks.values()].every(({ state }) => state === 'running' || state === 'dormant')
    return this.#joined && working && this.#member?.isFailing() === false
  }

  /**
   * Closes its tasks and leaves the group, so that they move at once. What does not answer meanwhile, say a silent broker,
   * is left as after a kill -9: whoever has the task next finishes it. Resolves within STOP_WITHIN_MS.
   */
  async stop(): Promise<void> {
    const { clock } = this.#s
    const stopAtMs = clock.monotonicMs() + STOP_WITHIN_MS
    this.#stopping = true
    this.#stopGauge()
    this.#endPause()
    const closing = Promise.all([
      ...[...this.#tasks.values()].map((runner) => runner.close()),
      ...this.#closing.values(),
    ])
    if (!(await atMost(clock, CLOSE_WITHIN_MS, closing))) this.#log.warn('tasks given up before they were closed')
    await atMost(clock, GAUGE_WITHIN_MS, this.#commitGauge())
    const leaving = this.#member?.leave() ?? Promise.resolve()
    if (!(await atMost(clock, stopAtMs - clock.monotonicMs(), leaving))) this.#log.warn('group not left in time')
    this.#tasks.clear()
  }

  #assigned(tasks: readonly number[], lost: readonly number[]): void {
    this.#joined = true
    this.#assignment = tasks
    for (const task of lost) this.#giveUp(task)
    for (const task of tasks) if (!this.#tasks.has(task)) void this.#take(task)
    this.#log.info({ tasks, lost }, 'tasks assigned')
  }

  #giveUp(task: number): void {
    const runner = this.#tasks.get(task)
    if (runner === undefined) return
    this.#tasks.delete(task)
    const closing = runner.close().finally(() => this.#closing.delete(task))
    this.#closing.set(task, closing)
  }

  async #take(task: number): Promise<void> {
    // The same task may come back while its last runner still lets go of its effects.
    await this.#closing.get(task)
    // Meanwhile it may have become another's, or may have come back a second time.
    if (this.#stopping || this.#tasks.has(task) || !this.#assignment.includes(task)) return
    const { processor, executors } = this.#bound
    const { taskLog, appId, codec, clock, instanceId, learn, limits } = this.#s
    this.#tasks.set(
      task,
      new TaskRunner({
        processor,
        executors,
        slots: this.#slots,
        task,
        instanceId,
        source: `/${appId}/${processor.name}`,
        codec,
        clock,
        learn,
        ...(limits === undefined ? {} : { limits }),
        log: this.#log.child({ task }),
        observer: this.#s.observer ?? unobserved,
        taskLog: taskLog(processor, task),
        seek: (topic, offset) => this.#member?.seek(topic, task, offset),
        resume: (topic) => this.#member?.resume(topic, task),
        pause: (topic) => this.#member?.pause(topic, task),
      }),
    )
  }

  /**
   * The member is gone for good: its tasks are given up, a new member joins. Later each time, when it is gone again at once:
   * whatever it is (an ACL, topics of unequal partitions) waits for somebody to mend it.
   */
  async #rejoin(error: unknown): Promise<void> {
    if (this.#stopping) return
    const { clock } = this.#s
    if (clock.monotonicMs() - this.#joinedAtMs >= STEADY_MS) this.#crashes = 0
    this.#crashes += 1
    this.#joined = false
    this.#log.error({ err: error, crashes: this.#crashes }, 'group member crashed, joining again')
    this.#assignment = []
    for (const task of [...this.#tasks.keys()]) this.#giveUp(task)
    await this.#member?.leave()
    if (this.#crashes > 1) await this.#pauseFor(REJOIN_DELAY_MS * 2 ** (this.#crashes - 2))
    while (!this.#stopping) {
      try {
        return await this.start()
      } catch (failure) {
        this.#log.warn({ err: failure }, 'joining failed')
        await this.#pauseFor(REJOIN_DELAY_MS)
      }
    }
  }

  /** Ends early when the host is stopped. */
  #pauseFor(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#s.clock.after(Math.min(ms, LONGEST_REJOIN_DELAY_MS), resolve)
      this.#endPause = () => {
        cancel()
        resolve()
      }
    })
  }

  #gaugeLater(): void {
    this.#stopGauge = this.#s.clock.after(GAUGE_INTERVAL_MS, () => {
      this.#gaugeLater()
      void this.#commitGauge()
      this.#refreshEnds()
    })
  }

  #refreshEnds(): void {
    const tasks = Array.from(this.#tasks.keys(), (task) => ({
      task,
      openLog: () => this.#s.taskLog(this.#bound.processor, task),
      fetched: this.#topics.map((topic) => this.#member?.endOffset(topic, task)),
    }))
    void this.#ends.refresh(tasks)
  }

  async #commitGauge(): Promise<void> {
    const offsets = [...this.#tasks].flatMap(([partition, runner]) =>
      this.#topics.flatMap((topic) => {
        const offset = runner.position(topic)
        return offset === undefined ? [] : [{ topic, partition, offset }]
      }),
    )
    if (offsets.length === 0) return
    try {
      await this.#member?.commitOffsets(offsets)
    } catch (error) {
      this.#log.debug({ err: error }, 'lag gauge not written')
    }
  }
}
