import type { LogRecord } from '../kafka/log-records.ts'

/**
 * One partition of the MemoryLog: entries at ascending offsets, some of them transaction markers, and what a reader of
 * committed records may see of them. Offsets have gaps for readers: markers and aborted records take one each, and
 * compaction leaves holes.
 */
export interface Transaction {
  readonly transactionalId: string
  fate: 'open' | 'committed' | 'aborted'
}

interface Entry {
  readonly offset: bigint
  /** null = a marker. */
  readonly record: LogRecord | null
  readonly transaction: Transaction | null
}

export interface Fetched {
  readonly records: readonly LogRecord[]
  /** Where the next fetch goes on; past markers, aborted records and holes. */
  readonly nextOffset: bigint
}

export class MemoryPartition {
  readonly topic: string
  readonly partition: number
  /** First offset that is still there. */
  beginning = 0n
  #entries: Entry[] = []
  #end = 0n
  /** Transactions without a marker here yet, with the offset of their first record here. */
  readonly #undecided = new Map<Transaction, bigint>()

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  /** Offset after the last entry. */
  get end(): bigint {
    return this.#end
  }

  /** Last stable offset: nothing at or after the first record of an undecided transaction can be read. */
  get stableEnd(): bigint {
    let stable = this.#end
    for (const first of this.#undecided.values()) if (first < stable) stable = first
    return stable
  }

  append(record: Omit<LogRecord, 'topic' | 'partition' | 'offset'>, transaction: Transaction | null): void {
    if (transaction !== null && !this.#undecided.has(transaction)) this.#undecided.set(transaction, this.#end)
    const { topic, partition } = this
    this.#push({ topic, partition, offset: this.#end, ...record }, transaction)
  }

  /** The fate of the transaction reaches this partition. */
  mark(transaction: Transaction): void {
    this.#undecided.delete(transaction)
    this.#push(null, transaction)
  }

  #push(record: LogRecord | null, transaction: Transaction | null): void {
    this.#entries.push({ offset: this.#end, record, transaction })
    this.#end += 1n
  }

  /** Committed records from `from` on, at most `limit` of them. */
  fetch(from: bigint, limit: number): Fetched {
    return this.#scan(from, limit, this.stableEnd, (transaction) => transaction?.fate !== 'aborted')
  }

  /** What a client sees that does not say read_committed. */
  fetchUncommitted(from: bigint, limit: number): Fetched {
    return this.#scan(from, limit, this.#end, () => true)
  }

  #scan(from: bigint, limit: number, stable: bigint, isVisible: (of: Transaction | null) => boolean): Fetched {
    const records: LogRecord[] = []
    for (const { offset, record, transaction } of this.#entries) {
      if (offset < from || offset >= stable) continue
      if (records.length === limit) return { records, nextOffset: (records.at(-1) as LogRecord).offset + 1n }
      if (record !== null && isVisible(transaction)) records.push(record)
    }
    return { records, nextOffset: from > stable ? from : stable }
  }

  /** DeleteRecords: what is before the offset is gone, by default everything; the offsets go on. */
  truncate(before: bigint = this.stableEnd): void {
    this.beginning = before
    this.#entries = this.#entries.filter(({ offset }) => offset >= before)
  }

  /**
   * What the log cleaner may do below the last stable offset: of each key only the last committed record stays. Aborted
   * records go, markers and tombstones too when their time is over. No offset is given out again.
   */
  compact(options: { readonly dropTombstones: boolean }): void {
    const stable = this.stableEnd
    const last = new Map<string | null, bigint>()
    for (const { offset, record, transaction } of this.#entries) {
      if (offset < stable && record !== null && transaction?.fate !== 'aborted') last.set(record.key, offset)
    }
    this.#entries = this.#entries.filter(({ offset, record }) => {
      if (offset >= stable) return true
      if (record === null) return !options.dropTombstones
      if (last.get(record.key) !== offset) return false
      return record.value !== null || !options.dropTombstones
    })
  }
}
