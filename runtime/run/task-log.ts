import type { LogRecord } from '../kafka/log-records.ts'
import type { ChangelogRecord } from '../task/changelog.ts'
import type { Batch } from '../task/journal.ts'
import type { InputRange } from '../task/replay.ts'

/** The durable side of one task, as the run loop needs it. Kafka in production, memory in tests. */
export interface TaskLog {
  /**
   * Takes the task over: the predecessor is fenced and its open transaction is finished before this resolves, so that
   * the changelog read after it is the truth. UpstreamError (retryable) when the log is away.
   */
  open(): Promise<TaskLogWriter>
  /** Committed records of the changelog from an offset (default: its beginning) to the end as of now, in order. */
  readChangelog(
    onRecords: (records: readonly ChangelogRecord[], progress: ChangelogProgress) => void | Promise<void>,
    fromOffset?: bigint,
  ): Promise<ChangelogRange>
  /** What this task's partition of each input holds now. */
  inputRanges(): Promise<ReadonlyMap<string, InputRange>>
  /** Committed records of this task's partition of an input, from an offset to the end as of now, in order. */
  readInput(
    topic: string,
    fromOffset: bigint,
    onRecords: (records: readonly LogRecord[], nextOffset: bigint) => Promise<void>,
  ): Promise<void>
  /**
   * Committed records of every partition of every topic that the processor writes, in order within a partition, to the
   * last that is written as of now: what is undecided is waited for, or somebody else's open transaction would hide what
   * this task has committed behind it. `isFirst`: the log has forgotten what was before the record.
   */
  readOutputs(onRecord: (record: LogRecord, isFirst: boolean) => void): Promise<void>
}

export interface ChangelogRange {
  /** First offset that the changelog holds: 0 unless entries were lost. */
  readonly beginning: bigint
  /** Where reading goes on. */
  readonly next: bigint
}

/** How far the reading of a changelog is: of what lies from `from` to `end`, it has come to `next`, or a little beyond. */
export interface ChangelogProgress {
  readonly from: bigint
  readonly next: bigint
  readonly end: bigint
}

export interface TaskLogWriter {
  /** All or nothing. After any error the writer is dead: close it and open another. */
  commit(batch: Batch): Promise<void>
  /** Lets go without aborting: the successor's opening does that. */
  close(): Promise<void>
}
