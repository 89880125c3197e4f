import type { LogRecord, OutputRecord } from '../kafka/log-records.ts'
import { partitionOfKey } from '../kafka/murmur2.ts'
import { type Fetched, MemoryPartition, type Transaction } from './memory-partition.ts'

/**
 * A Kafka in memory, as far as the engine leans on one. Every method is what a broker does when a request has arrived,
 * synchronously and in the order of the calls; how requests and answers travel, and get lost, is not its business
 * (memory-task-log.ts).
 *
 * - A transactional id has one living producer: `initProducer` raises the epoch, ends what the predecessor left open and
 *   refuses everything that its epoch says later.
 * - A batch is known by its sequence number, per producer and partition: one that was appended before is acknowledged
 *   and NOT appended. That is what makes a producer that goes on after a lost answer lose records without an error.
 * - A transaction is decided in one moment, but its markers reach its partitions one by one (`deliverMarkers`): readers
 *   of one partition see it before readers of another. Until then nobody reads past its first record there.
 * - A transaction whose owner is silent for too long is aborted (`expire`), and its owner fenced.
 */
export interface MemoryLogSettings {
  /** Wall clock of the broker, milliseconds. */
  readonly now: () => number
  /** Markers that are to be written; call each once, in any order, at any time. Default: at once. */
  readonly deliverMarkers?: (markers: readonly (() => void)[]) => void
  /** Why a record is not taken, whoever appends it in a transaction and however often (MESSAGE_TOO_LARGE …); null: it is. */
  readonly refusalOf?: (record: OutputRecord) => string | null
  /** Something became readable. */
  readonly onReadable?: (topic: string, partition: number) => void
}

/** What a broker answers when it does not do what was asked. Named as in the Kafka protocol guide. */
export class BrokerRefusal extends Error {
  /** As kafkajs has it. */
  readonly type: string

  constructor(type: string) {
    super(type)
    this.type = type
  }
}

export interface LogRange {
  readonly beginning: bigint
  readonly end: bigint
  readonly highWatermark: bigint
}

/** A producer as the broker knows it: its name, and which life of it speaks. */
export interface ProducerSession {
  readonly transactionalId: string
  readonly epoch: number
}

interface ProducerState {
  epoch: number
  /** The transaction that has begun and has not been decided. */
  transaction: (Transaction & { readonly partitions: Set<MemoryPartition>; readonly startedAtMs: number }) | null
  /** Markers of the one before that are still on their way. */
  unwritten: Set<() => void>
  /** How the one before was decided. */
  last: 'committed' | 'aborted' | null
  /** What this life of the producer has appended, per partition. */
  readonly batches: Map<MemoryPartition, SentBatch[]>
}

interface SentBatch {
  readonly sequence: number
  readonly count: number
}

/** How long the broker waits for a transaction whose owner is silent, ms: the engine asks for this much. */
const TRANSACTION_TIMEOUT_MS = 15_000
/** Batches per producer and partition that a broker remembers, to tell a repetition. Source: ProducerStateEntry. */
const REMEMBERED_BATCHES = 5

export class MemoryLog {
  readonly #settings: MemoryLogSettings
  readonly #topics = new Map<string, readonly MemoryPartition[]>()
  readonly #producers = new Map<string, ProducerState>()

  constructor(settings: MemoryLogSettings) {
    this.#settings = settings
  }

  createTopic(topic: string, partitions: number): void {
    this.#topics.set(
      topic,
      Array.from({ length: partitions }, (_, partition) => new MemoryPartition(topic, partition)),
    )
  }

  partitionsOf(topic: string): number {
    return this.#topics.get(topic)?.length ?? 0
  }

  // ---- readers

  /** What can be read: from the first offset to the last stable one; and the end of what is written. */
  offsets(topic: string, partition: number): LogRange {
    const { beginning, stableEnd, end } = this.#partition(topic, partition)
    return { beginning, end: stableEnd, highWatermark: end }
  }

  /** Committed records only. OFFSET_OUT_OF_RANGE for a position that is not there yet, or not there any more. */
  fetch(topic: string, partition: number, from: bigint, limit = Number.POSITIVE_INFINITY): Fetched {
    const found = this.#partition(topic, partition)
    if (from > found.end || from < found.beginning) throw new BrokerRefusal('OFFSET_OUT_OF_RANGE')
    return found.fetch(from, limit)
  }

  /** Everything that was ever appended, as a client sees it that does not say read_committed. */
  fetchUncommitted(topic: string, partition: number, from: bigint, limit: number): Fetched {
    return this.#partition(topic, partition).fetchUncommitted(from, limit)
  }

  /** Everything that is committed and readable, of all partitions one after the other. */
  readAll(topic: string): readonly LogRecord[] {
    return (this.#topics.get(topic) ?? []).flatMap(
      (partition) => partition.fetch(partition.beginning, Number.POSITIVE_INFINITY).records,
    )
  }

  compact(topic: string, partition: number, options: { readonly dropTombstones: boolean }): void {
    this.#partition(topic, partition).compact(options)
  }

  /** Loses what the partition holds, or what it holds before an offset, as `kafka-delete-records` does. */
  truncate(topic: string, partition: number, before?: bigint): void {
    this.#partition(topic, partition).truncate(before)
  }

  // ---- writers

  /** Appends outside any transaction, as the gateway or a tool does. */
  produce(record: OutputRecord): void {
    const partition = this.#partition(record.topic, this.#partitionFor(record))
    partition.append(this.#stored(record), null)
    this.#settings.onReadable?.(partition.topic, partition.partition)
  }

  /** InitProducerId: takes the id over. */
  initProducer(transactionalId: string): ProducerSession {
    const state = this.#producers.get(transactionalId) ?? {
      epoch: -1,
      transaction: null,
      unwritten: new Set(),
      last: null,
      batches: new Map(),
    }
    this.#producers.set(transactionalId, state)
    this.#decide(state, 'aborted')
    this.#writeMarkers(state)
    state.epoch += 1
    state.batches.clear()
    return { transactionalId, epoch: state.epoch }
  }

  /**
   * Produce to one partition, joining the session's transaction or beginning one. `sequence` counts the records that the
   * session has sent to this partition before.
   */
  append(session: ProducerSession, records: readonly OutputRecord[], sequence: number): void {
    const state = this.#alive(session)
    const [first] = records
    if (first === undefined) return
    this.#refuse(records)
    this.#writeMarkers(state) // an earlier transaction that is not complete is waited for (CONCURRENT_TRANSACTIONS)
    const partition = this.#partition(first.topic, this.#partitionFor(first))
    const isNew = this.#isNew(state, partition, { sequence, count: records.length })
    state.transaction ??= {
      transactionalId: session.transactionalId,
      fate: 'open',
      partitions: new Set(),
      startedAtMs: this.#settings.now(),
    }
    if (!isNew) return
    state.transaction.partitions.add(partition)
    for (const record of records) partition.append(this.#stored(record), state.transaction)
  }

  /** EndTxn. Said again it is acknowledged again; the opposite of what was decided is refused. */
  endTransaction(session: ProducerSession, fate: 'committed' | 'aborted'): void {
    const state = this.#alive(session)
    if (state.transaction === null && state.last !== fate) throw new BrokerRefusal('INVALID_TXN_STATE')
    this.#decide(state, fate)
  }

  /** Aborts what has been open for too long, and fences who left it open. */
  expire(): void {
    const oldest = this.#settings.now() - TRANSACTION_TIMEOUT_MS
    for (const state of this.#producers.values()) {
      if (state.transaction === null || state.transaction.startedAtMs > oldest) continue
      state.epoch += 1
      this.#decide(state, 'aborted')
    }
  }

  /** The partition that a record goes to. */
  #partitionFor({ topic, key, partition }: OutputRecord): number {
    return partition ?? partitionOfKey(key, this.partitionsOf(topic))
  }

  /** One record that is not taken is enough for its batch. */
  #refuse(records: readonly OutputRecord[]): void {
    for (const record of records) {
      const kafkaError = this.#settings.refusalOf?.(record) ?? null
      if (kafkaError !== null) throw new BrokerRefusal(kafkaError)
    }
  }

  #alive({ transactionalId, epoch }: ProducerSession): ProducerState {
    const state = this.#producers.get(transactionalId)
    if (state?.epoch !== epoch) throw new BrokerRefusal('INVALID_PRODUCER_EPOCH')
    return state
  }

  /** False: appended before. Only a batch that is the same in sequence and size is taken for a repetition. */
  #isNew(state: ProducerState, partition: MemoryPartition, batch: SentBatch): boolean {
    const sent = state.batches.get(partition) ?? []
    if (sent.some(({ sequence, count }) => sequence === batch.sequence && count === batch.count)) return false
    const last = sent.at(-1)
    const next = last === undefined ? 0 : last.sequence + last.count
    if (batch.sequence !== next) throw new BrokerRefusal('OUT_OF_ORDER_SEQUENCE_NUMBER')
    state.batches.set(partition, [...sent, batch].slice(-REMEMBERED_BATCHES))
    return true
  }

  #decide(state: ProducerState, fate: 'committed' | 'aborted'): void {
    const { transaction } = state
    if (transaction === null) return
    transaction.fate = fate
    state.last = fate
    state.transaction = null
    for (const partition of transaction.partitions) {
      const write = (): void => {
        if (!state.unwritten.delete(write)) return
        partition.mark(transaction)
        this.#settings.onReadable?.(partition.topic, partition.partition)
      }
      state.unwritten.add(write)
    }
    if (this.#settings.deliverMarkers === undefined) this.#writeMarkers(state)
    else this.#settings.deliverMarkers([...state.unwritten])
  }

  #writeMarkers(state: ProducerState): void {
    for (const write of [...state.unwritten]) write()
  }

  #stored({ key, value, headers }: OutputRecord) {
    return { key, value, headers, timestampMs: this.#settings.now() }
  }

  #partition(topic: string, partition: number): MemoryPartition {
    const found = this.#topics.get(topic)?.[partition]
    if (found === undefined) throw new BrokerRefusal('UNKNOWN_TOPIC_OR_PARTITION')
    return found
  }
}
