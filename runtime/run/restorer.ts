import type { Scheduler } from '../../platform/clock.ts'
import { ReelstreamError, UpstreamError } from '../../platform/errors.ts'
import type { Logger } from '../../platform/log.ts'
import type { Codec } from '../codec/avro.ts'
import type { Processor } from '../processor.ts'
import type { StepLimits } from '../task/attempts.ts'
import { isRequest } from '../task/changelog.ts'
import { History } from '../task/history.ts'
import { TaskCore } from '../task/task-core.ts'
import type { EngineObserver } from './observer.ts'
import type { SchemaPatience } from './schema-patience.ts'
import type { ChangelogProgress, ChangelogRange, TaskLog } from './task-log.ts'
import type { TaskSignal } from './task-signal.ts'

/** A memory as the changelog has it up to `next`. */
export interface Restored {
  readonly core: TaskCore
  readonly needsReplay: boolean
  /** First offset that the changelog held. */
  readonly beginning: bigint
  readonly next: bigint
}

/** How far a restore is. Compaction leaves gaps, so what is left is known in offsets, not in entries. */
export interface RestoreProgress {
  /** Entries read so far. */
  readonly entries: number
  /** Offsets read so far, and to be read in all. */
  readonly offsets: number
  readonly ofOffsets: number
  /** How long the rest will take at the speed so far, ms; null while there is none. */
  readonly etaMs: number | null
}

/** A restore that takes long says so at this distance. */
const SAY_EVERY_MS = 5_000

interface Settings {
  readonly processor: Processor
  readonly codec: Codec
  readonly source: string
  readonly task: number
  readonly instanceId: string
  readonly clock: Scheduler
  readonly log: Logger
  readonly observer: EngineObserver
  readonly taskLog: TaskLog
  readonly patience: SchemaPatience
  readonly signal: TaskSignal
  readonly stepLimits: StepLimits
}

/** Reads what the log knows of a task: its memory from the changelog, what operators ask, what it did before. */
export class Restorer {
  readonly #s: Settings
  /** Where the changelog was last read to. */
  #readTo = 0n
  #progress: RestoreProgress | null = null

  constructor(settings: Settings) {
    this.#s = settings
  }

  /** Null while nothing is restored. */
  get progress(): RestoreProgress | null {
    return this.#progress
  }

  /** From the changelog, or from where an earlier restore of the same task has ended. Throws GIVEN_UP. */
  async restore(before: Restored | null = null): Promise<Restored> {
    const { processor, codec, source, task, instanceId, clock, log, observer, patience, signal } = this.#s
    const limits = this.#s.stepLimits
    const core = before?.core ?? new TaskCore({ processor, codec, source, task, instanceId, limits })
    const startedAt = clock.monotonicMs()
    let saidAt = startedAt
    let entries = 0
    try {
      const { beginning, next } = await this.#readChangelog(async (records, read) => {
        if (signal.isStopping) throw GIVEN_UP
        for (const record of records) await patience.learning(() => core.restore(record))
        entries += records.length
        const now = clock.monotonicMs()
        this.#progress = progressOf(read, entries, now - startedAt)
        if (now - saidAt < SAY_EVERY_MS) return
        saidAt = now
        log.info(this.#progress, 'task restores its memory')
      }, before?.next)
      // It lost entries meanwhile: what is remembered of them nobody else would know of, after us.
      if (before !== null && beginning > before.beginning) return await this.restore()
      this.#readTo = next
      const durationMs = clock.monotonicMs() - startedAt
      if (saidAt > startedAt) log.info({ entries, durationMs: Math.round(durationMs) }, 'task has restored its memory')
      observer.restored(processor.name, task, durationMs, entries)
      return { core, needsReplay: core.needsReplay(beginning), beginning, next }
    } finally {
      this.#progress = null
    }
  }

  /** What operators have decided since is in the changelog: reads on. */
  async readRequests(core: TaskCore): Promise<void> {
    const { next } = await this.#readChangelog((records) => {
      for (const record of records) if (isRequest(record)) core.restore(record)
    }, this.#readTo)
    this.#readTo = next
  }

  /** What the processor did before: a look at everything that its output topics hold. */
  async readHistory(): Promise<History> {
    const history = new History(this.#s.processor, this.#s.source)
    await this.#s.taskLog.readOutputs((record, isFirst) => history.add(record, isFirst))
    return history
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
}

const progressOf = ({ from, next, end }: ChangelogProgress, entries: number, tookMs: number): RestoreProgress => {
  const ofOffsets = Number(end - from)
  // A few records may have come along that were written since.
  const offsets = Math.min(Number(next - from), ofOffsets)
  return {
    entries,
    offsets,
    ofOffsets,
    etaMs: offsets === 0 ? null : Math.round((tookMs / offsets) * (ofOffsets - offsets)),
  }
}

/** The task was closed while it was restored: whoever has it now must not be fenced any more. */
export const GIVEN_UP = new Error('the task was given up while it was restored')
