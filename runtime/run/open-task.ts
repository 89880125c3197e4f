import type { Scheduler } from '../../platform/clock.ts'
import type { Logger } from '../../platform/log.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import type { Processor } from '../processor.ts'
import type { TaskCore } from '../task/task-core.ts'
import type { EffectRuns } from './effect-runs.ts'
import type { Folding } from './folding.ts'
import type { GroupCommit } from './group-commit.ts'
import type { InputFetching } from './input-fetching.ts'
import type { TaskLimits } from './limits.ts'
import type { Mailbox } from './mailbox.ts'
import { OPERATOR_POLL_MS, type OperatorRequests } from './operator-requests.ts'
import type { Restored } from './restorer.ts'
import type { TaskLog } from './task-log.ts'
import type { TaskSignal } from './task-signal.ts'
import type { OpenState } from './task-state.ts'

/** What serves one opening of a task after the other. */
export interface TaskParts {
  readonly processor: Processor
  readonly clock: Scheduler
  readonly log: Logger
  readonly taskLog: TaskLog
  readonly limits: TaskLimits
  readonly mailbox: Mailbox
  readonly fetching: InputFetching
  readonly folding: Folding
  readonly commits: GroupCommit
  readonly runs: EffectRuns
  readonly operators: OperatorRequests
  readonly signal: TaskSignal
}

export const INTERRUPT_GRACE_MS = 3_000

/** A task from its takeover and restore until it is given up, or an error discards it with all that it remembers. */
export class OpenTask {
  readonly core: TaskCore
  readonly #parts: TaskParts
  #state: OpenState | null = null
  #isLive = false
  /** It lives, and has not yet done all that comes before the first record. */
  #isEntering = false
  /** Bootstrap inputs are folded; what waits in the mailbox comes after them. */
  #isBootstrapping = false

  constructor(parts: TaskParts, core: TaskCore) {
    this.#parts = parts
    this.core = core
  }

  /** Null until that much is known. */
  get state(): OpenState | null {
    return this.#state
  }

  /** What is to be done before the work: replays begin, bootstrap inputs are folded, the others are fetched. */
  async begin({ needsReplay }: Restored): Promise<void> {
    const { commits, operators, fetching, signal, log } = this.#parts
    const { core } = this
    if (needsReplay) await this.#beginReplay()
    await operators.serve(core)
    do {
      this.#proceed()
      // Where a processor that starts `now` has begun, must not be asked a second time.
      await commits.commit(core, needsReplay)
    } while (this.#isEntering)
    await this.#bootstrap()
    if (signal.isStopping) return
    // A dormant task fetches already, from the same position or an earlier one, which folding skips: seeking again would
    // cost the first event the rest of a long poll. A replay begins at another.
    if (needsReplay || !fetching.isOn) this.#startFetching()
    log.debug({ effects: core.effects().length, state: this.#state }, 'task opened')
  }

  /** Folds and commits until the task is to stop. */
  async work(): Promise<void> {
    while (!this.#parts.signal.isStopping) await this.#turn()
  }

  /** Gives the task up: effects are interrupted, the last batch is committed. */
  async end(): Promise<void> {
    const { clock, folding, commits, runs } = this.#parts
    const { core } = this
    await runs.interruptAll(INTERRUPT_GRACE_MS)
    await commits.finish()
    // What the effects said before they were stopped still counts.
    folding.foldLastEffectMessages(core)
    for (const id of runs.ids()) core.interrupt(id)
    if (this.#isLive) core.runHook('closed', clock.now())
    await commits.commitLast(core)
  }

  async #beginReplay(): Promise<void> {
    const { taskLog, log, processor, limits, commits } = this.#parts
    const inputs = await taskLog.inputRanges()
    this.core.beginReplay(inputs)
    const ends = Object.fromEntries([...inputs].map(([topic, { end }]) => [topic, String(end)]))
    log.info({ version: processor.version, ends }, 'task has no memory of this version and replays its inputs')
    while (!this.core.forgetSome(limits.batchRecords)) await commits.commit(this.core)
  }

  /** All that there is to do now; then it waits until there may be more. */
  async #turn(): Promise<void> {
    const { clock, folding, commits, operators, signal } = this.#parts
    const { core } = this
    signal.throwIfFailed()
    if (core.isOperable || core.hasRequests) await operators.poll(core)
    if (this.#isFolding) await folding.foldSlice(core)
    else if (!this.#isEntering) folding.foldEffectMessages(core)
    this.#proceed()
    if (this.#isLive) {
      core.fireDue(clock.now())
      commits.beginEffects(core)
    }
    if (!commits.isSending && commits.isDue(core)) commits.start(core)
    commits.throwIfFailed()
    if (folding.count > 0 && !commits.isSending && core.pendingRecords === 0) {
      folding.finish()
      return // an effect may have become free to run again
    }
    if (this.#canFold || this.#isUnfinished) await clock.nextTurn()
    else await signal.next(this.#waitMs())
  }

  /** Bootstrap inputs are folded to their end as of now before any record of the others, or until the task is to stop. */
  async #bootstrap(): Promise<void> {
    const { processor, taskLog } = this.#parts
    this.#isBootstrapping = true
    try {
      for (const { topic, bootstrap } of processor.reads) {
        if (!bootstrap) continue
        const position = this.core.position(topic.name) ?? 0n
        await taskLog.readInput(topic.name, position, async (records, nextOffset) => {
          await this.#foldBootstrap(records)
          this.core.skipTo(topic.name, nextOffset)
        })
      }
    } catch (error) {
      if (error !== STOPPING) throw error
    } finally {
      this.#isBootstrapping = false
    }
  }

  async #foldBootstrap(records: readonly LogRecord[]): Promise<void> {
    const { clock, folding, commits, limits } = this.#parts
    const { core } = this
    for (const [n, record] of records.entries()) {
      if (n % limits.slice === 0) await clock.nextTurn()
      await this.#untilRoom()
      while (!core.advanceTo(record)) await commits.commit(core, true)
      await folding.fold(core, { kind: 'record', record })
      if (folding.isBatchFull(core)) await commits.commit(core, true)
    }
  }

  /** Lives on without another record until there is room for one. Throws STOPPING when the task is to stop meanwhile. */
  async #untilRoom(): Promise<void> {
    const { signal, commits } = this.#parts
    if (this.core.isFull) {
      while (this.core.isFull && !signal.isStopping) await this.#turn()
      await commits.finish()
    }
    signal.throwIfFailed()
    if (signal.isStopping) throw STOPPING
  }

  /** Fetches from the position on; what was fetched before is fetched again. */
  #startFetching(): void {
    this.#parts.mailbox.reset()
    this.#parts.fetching.startAt((topic) => this.core.position(topic))
  }

  /** Ends a replay that can end, and the first time that the task lives, has it begin. */
  #proceed(): void {
    const { clock, folding } = this.#parts
    const { core } = this
    const now = clock.now()
    core.endReplay(now)
    const { phase } = core
    const isFull = core.isFull && phase !== 'held' // a held replay has read its inputs: another wait, another command
    this.#state = folding.isAwaitingSchema ? 'waiting' : isFull ? 'full' : phase === 'live' ? 'running' : phase
    if (phase === 'live' && !this.#isLive) this.#enter(now)
  }

  /** What comes before the first record, of a batch that the log has refused as much as the next one may hold. */
  #enter(now: number): void {
    const { folding, commits, runs } = this.#parts
    const { core } = this
    if (!this.#isEntering) {
      this.#isEntering = true
      const isWanted = (id: string): boolean => {
        const effect = core.effect(id)
        return effect !== undefined && (!runs.has(id) || runs.isRunOf(effect))
      }
      folding.goLive(isWanted)
      for (const id of runs.ids()) if (!isWanted(id)) runs.cancel(id)
      commits.acquitNeverRan(core)
    }
    if (!core.goLive(now, (id) => runs.has(id))) return
    core.runHook('opened', now)
    this.#isEntering = false
    this.#isLive = true
  }

  get #isFolding(): boolean {
    if (this.#isBootstrapping) return false
    const schemaMs = this.#parts.folding.untilSchemaMs()
    if (schemaMs !== null) return schemaMs <= 0
    return (this.#state === 'running' && this.#isLive) || this.#state === 'replaying'
  }

  get #canFold(): boolean {
    const { mailbox, folding } = this.#parts
    return this.#isFolding && mailbox.size > 0 && !folding.isBatchFull(this.core)
  }

  /** Something was too much for one batch, and the next one can go on with it. */
  get #isUnfinished(): boolean {
    return (this.#isEntering || this.core.hasRequests) && !this.#parts.commits.isSending && this.core.hasRoom
  }

  /** How long until there is something to do by itself; null: the wait ends by what others say. */
  #waitMs(): number | null {
    const { clock, folding, commits } = this.#parts
    // Its end wakes the loop.
    if (commits.isSending) return null
    const now = clock.now()
    const dueMs = this.core.nextDueMs(now)
    const waits = [commits.untilDueMs(this.core), folding.untilSchemaMs(), dueMs === null ? null : dueMs - now]
      .filter((ms) => ms !== null)
      .map((ms) => Math.max(1, ms))
    if (this.core.isOperable) waits.push(OPERATOR_POLL_MS)
    return waits.length === 0 ? null : Math.min(...waits)
  }
}

/** Ends the reading of an input when the task is to stop. */
const STOPPING = new Error('the task is to stop')
