/**
 * Reads partitions without being a member of any group: changelogs on opening, schema-ids at the start, whole topics for
 * tools and rebuilds. A consumer group is the wrong tool for that. It cannot say "that was the end": kafkajs calls
 * nobody for a fetch that holds only transaction markers, so a loop that waits for its last record hangs for ever when a
 * transaction was aborted at the end. Here the position moves with what was fetched, not with what was delivered.
 *
 * Only committed records are seen. The end is the last stable offset: what an open transaction holds back is not waited
 * for, unless one asks for the last of what was written. Offsets have gaps (markers, aborted records, compaction).
 *
 * A broker that restarts or hands a partition over is waited for (`patienceMs` without any progress), then it is an
 * UpstreamError PARTITION_UNREADABLE. A position that the log no longer holds is never skipped over silently:
 * OFFSET_OUT_OF_RANGE, not retryable.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Kafka } from 'kafkajs'
import { UpstreamError } from '../../platform/errors.ts'
import { unlessAborted } from '../../platform/unless-aborted.ts'
import {
  type FetchedPartition,
  type FetchPosition,
  fetchFrom,
  isWorthRetrying,
  leaderOf,
  recover,
  unknownPartition,
} from './fetch.ts'
import { asUpstreamError, kafkaErrorOf } from './kafka-errors.ts'
import { hangUp, type KafkaCluster, openCluster } from './kafkajs.ts'
import type { LogRecord } from './log-records.ts'

export interface OffsetRange {
  /** First offset that the log still holds. */
  readonly beginning: bigint
  /** Offset after the last one that is committed or aborted (last stable offset). */
  readonly end: bigint
}

export interface RecordBatch {
  /** Ascending; empty when the position moved over markers or aborted records only. */
  readonly records: LogRecord[]
  /** Where the next read goes on. */
  readonly nextOffset: bigint
}

export interface PartitionReader {
  /** Partition numbers of a topic, ascending. Throws UpstreamError PARTITION_UNREADABLE (retryable). */
  partitions(topic: string): Promise<readonly number[]>
  /** Throws UpstreamError PARTITION_UNREADABLE (retryable). */
  offsets(topic: string, partition: number): Promise<OffsetRange>
  /**
   * Hands every committed record from `fromOffset` to the end as it was when the call began (a few later ones may come
   * along), in order, one batch at a time: the next is fetched while `onRecords` runs and handed out when it has
   * resolved. Resolves to the next offset; to `fromOffset` when there is nothing after it. Many reads may run at once.
   * Throws what `onRecords` throws, PARTITION_UNREADABLE (retryable), OFFSET_OUT_OF_RANGE (not retryable).
   */
  readToEnd(
    topic: string,
    partition: number,
    fromOffset: bigint,
    onRecords: (records: LogRecord[], nextOffset: bigint) => void | Promise<void>,
  ): Promise<bigint>
  /**
   * As readToEnd, but to the end of everything that was written when the call began: what an open transaction holds back
   * is waited for (its owner's time limit, at most). For whoever must not miss a record because of somebody else's.
   */
  readToLast(
    topic: string,
    partition: number,
    fromOffset: bigint,
    onRecords: (records: LogRecord[], nextOffset: bigint) => void | Promise<void>,
  ): Promise<bigint>
  /**
   * Batches from `fromOffset` on, for ever, until the signal aborts: then it ends at once, whether the broker is there or
   * not, and does not throw. Each tail has a connection of its own, because a fetch that waits for records holds up
   * everything behind it.
   */
  tail(topic: string, partition: number, fromOffset: bigint, signal: AbortSignal): AsyncIterable<RecordBatch>
  /** Ends the reads that are running with an error, at once; a tail must be ended by its signal. */
  close(): Promise<void>
}

export interface ReaderOptions {
  /** How long a read goes on trying without any progress, ms. */
  readonly patienceMs?: number
}

/**
 * How long the broker holds a fetch of a tail that has nothing, ms. It answers at once when something comes, so a longer
 * wait costs no latency and an idle tail next to nothing; below the request timeout of 4.5 s.
 */
const TAIL_WAIT_MS = 4000
/** Below the end there is always something to fetch; the wait is for the moments when a leader changes. */
const READ_WAIT_MS = 100
const FIRST_RETRY_MS = 50
const LONGEST_RETRY_MS = 1000

/** Connects. Throws UpstreamError KAFKA_UNAVAILABLE (retryable). One reader serves all tasks of a process. */
export const createPartitionReader = async (kafka: Kafka, options: ReaderOptions = {}): Promise<PartitionReader> => {
  const patienceMs = options.patienceMs ?? 30_000
  const closing = new AbortController()
  const connection = await connect(kafka, patienceMs, closing.signal)
  return {
    partitions: (topic) => connection.partitions(topic),
    offsets: (topic, partition) => connection.offsets(topic, partition),
    readToEnd: async (topic, partition, fromOffset, onRecords) => {
      const { end } = await connection.offsets(topic, partition)
      return readUntil(connection, { topic, partition, fromOffset }, end, onRecords)
    },
    readToLast: async (topic, partition, fromOffset, onRecords) => {
      const { end } = await connection.offsets(topic, partition)
      const { highWatermark } = await connection.fetch(topic, partition, end, 0)
      return readUntil(connection, { topic, partition, fromOffset }, highWatermark, onRecords, patienceMs)
    },
    tail: (topic, partition, fromOffset, signal) =>
      tail(() => connect(kafka, patienceMs, signal), { topic, partition, fromOffset }, signal),
    close: async () => {
      closing.abort(CLOSED)
      await connection.close()
    },
  }
}

/** `patienceMs`: how long nothing may be readable although the end is not reached. */
const readUntil = async (
  connection: Connection,
  { topic, partition, fromOffset }: FetchPosition,
  end: bigint,
  onRecords: (records: LogRecord[], nextOffset: bigint) => void | Promise<void>,
  patienceMs = Number.POSITIVE_INFINITY,
): Promise<bigint> => {
  let position = fromOffset
  let handled: unknown
  let movedAtMs = Date.now()
  while (position < end) {
    const fetched = connection.fetch(topic, partition, position, READ_WAIT_MS)
    const [batch]: [RecordBatch, unknown] = await Promise.all([fetched, handled])
    if (batch.nextOffset > position) movedAtMs = Date.now()
    else if (Date.now() - movedAtMs > patienceMs) throw undecided(topic, partition)
    position = batch.nextOffset
    handled = batch.records.length > 0 ? onRecords(batch.records, batch.nextOffset) : undefined
  }
  await handled
  return position
}

async function* tail(
  open: () => Promise<Connection>,
  { topic, partition, fromOffset }: FetchPosition,
  signal: AbortSignal,
): AsyncGenerator<RecordBatch> {
  let connection: Connection | undefined
  try {
    connection = await open()
    let position = fromOffset
    while (!signal.aborted) {
      const batch = await connection.fetch(topic, partition, position, TAIL_WAIT_MS)
      if (batch.nextOffset === position) continue
      position = batch.nextOffset
      if (!signal.aborted) yield batch
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    await connection?.close()
  }
}

/** A cluster connection whose calls outlive a broker. */
interface Connection {
  partitions(topic: string): Promise<readonly number[]>
  offsets(topic: string, partition: number): Promise<OffsetRange>
  fetch(topic: string, partition: number, from: bigint, maxWaitMs: number): Promise<FetchedPartition>
  close(): Promise<void>
}

/** Every wait of the connection ends when the signal aborts; it is to be closed all the same. */
const connect = async (kafka: Kafka, patienceMs: number, signal: AbortSignal): Promise<Connection> => {
  const cluster = openCluster(kafka)
  /** kafkajs looks for a broker for up to 10 s, which nothing ends: it is left behind, and hung up on where it arrives. */
  const unlessEnded = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await unlessAborted(signal, work)
    } catch (error) {
      const hangUpLater = () => hangUp(cluster, CLOSED)
      if (signal.aborted) work.then(hangUpLater, hangUpLater).catch(() => {}) // it had no connection
      throw error
    }
  }
  await unlessEnded(cluster.connect()).catch((error: unknown) => {
    throw asUpstreamError('KAFKA_UNAVAILABLE', 'No broker could be reached', error)
  })

  const patiently = async <T>(topic: string, partition: number, act: () => Promise<T>): Promise<T> => {
    const deadline = Date.now() + patienceMs
    for (let waitMs = FIRST_RETRY_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_RETRY_MS)) {
      try {
        return await unlessEnded(act())
      } catch (error) {
        if (signal.aborted || !isWorthRetrying(error) || Date.now() + waitMs > deadline) {
          throw unreadable(error, topic, partition)
        }
        try {
          await sleep(waitMs * (0.5 + Math.random()), undefined, { signal })
          await unlessEnded(recover(cluster, error))
        } catch {
          throw unreadable(error, topic, partition) // ended meanwhile
        }
      }
    }
  }

  return {
    partitions: (topic) => patiently(topic, 0, () => partitionsOf(cluster, topic)),
    offsets: (topic, partition) => patiently(topic, partition, () => offsetsOf(cluster, topic, partition)),
    fetch: (topic, partition, from, maxWaitMs) =>
      patiently(topic, partition, () => fetchOne(cluster, { topic, partition, fromOffset: from }, maxWaitMs)),
    close: () => hangUp(cluster, CLOSED),
  }
}

const partitionsOf = async (cluster: KafkaCluster, topic: string): Promise<readonly number[]> => {
  await cluster.addTargetTopic(topic)
  return cluster
    .findTopicPartitionMetadata(topic)
    .map(({ partitionId }) => partitionId)
    .sort((a, b) => a - b)
}

const offsetsOf = async (cluster: KafkaCluster, topic: string, partition: number): Promise<OffsetRange> => {
  await cluster.addTargetTopic(topic)
  const offsetAt = async (fromBeginning: boolean): Promise<bigint> => {
    const [found] = await cluster.fetchTopicsOffset([{ topic, fromBeginning, partitions: [{ partition }] }])
    const offset = found?.partitions[0]?.offset
    if (offset === undefined) throw unknownPartition(topic, partition)
    return BigInt(offset)
  }
  return { beginning: await offsetAt(true), end: await offsetAt(false) }
}

const fetchOne = async (cluster: KafkaCluster, at: FetchPosition, maxWaitMs: number): Promise<FetchedPartition> => {
  const nodeId = await leaderOf(cluster, at.topic, at.partition)
  const [fetched] = await fetchFrom(cluster, nodeId, [at], maxWaitMs)
  if (fetched === undefined) throw unknownPartition(at.topic, at.partition)
  return fetched
}

const CLOSED = new UpstreamError('READER_CLOSED', 'The reader was closed', { retryable: false })

const undecided = (topic: string, partition: number): Error =>
  new UpstreamError('PARTITION_UNREADABLE', `a transaction on ${topic}/${partition} is open for too long`, {
    facts: { topic, partition },
  })

const unreadable = (error: unknown, topic: string, partition: number): Error => {
  if (kafkaErrorOf(error) === 'OFFSET_OUT_OF_RANGE') {
    return new UpstreamError('OFFSET_OUT_OF_RANGE', `${topic}/${partition} no longer holds the wanted offset`, {
      cause: error,
      facts: { topic, partition },
      retryable: false,
    })
  }
  return asUpstreamError('PARTITION_UNREADABLE', `${topic}/${partition} could not be read`, error, { topic, partition })
}
