import { UpstreamError } from '../../platform/errors.ts'
import { committedRecords } from './fetched-records.ts'
import { originOf } from './kafka-errors.ts'
import { type KafkaCluster, READ_COMMITTED } from './kafkajs.ts'
import type { LogRecord } from './log-records.ts'

/** Where a read goes on. */
export interface FetchPosition {
  readonly topic: string
  readonly partition: number
  readonly fromOffset: bigint
}

/** What one fetch found from a position on. */
export interface FetchedPartition extends FetchPosition {
  /** Committed records, ascending; empty when there is nothing, or markers and aborted records only. */
  readonly records: LogRecord[]
  /** Where the next fetch goes on; `fromOffset` when there was nothing. */
  readonly nextOffset: bigint
  /** Offset after the last record that was written, decided or not. */
  readonly highWatermark: bigint
}

/** Bytes of one partition: few round trips, and batches small enough to be handled between two turns of the event loop. */
const PARTITION_BYTES = 1024 * 1024
/** Bytes of one fetch of many partitions. */
const FETCH_BYTES = 4 * PARTITION_BYTES

/** The id of the broker that leads the partition. Throws UpstreamError PARTITION_UNKNOWN (retryable), and as kafkajs does. */
export const leaderOf = async (cluster: KafkaCluster, topic: string, partition: number): Promise<string> => {
  await cluster.addTargetTopic(topic)
  const nodeId = Object.keys(cluster.findLeaderForPartitions(topic, [partition]))[0]
  if (nodeId === undefined) throw unknownPartition(topic, partition)
  return nodeId
}

/**
 * One fetch of partitions that this broker leads; it answers when any of them has something, or after `maxWaitMs`. Fails
 * as a whole when it fails for one of them, as kafkajs does.
 */
export const fetchFrom = async (
  cluster: KafkaCluster,
  nodeId: string,
  positions: readonly FetchPosition[],
  maxWaitMs: number,
): Promise<FetchedPartition[]> => {
  const broker = await cluster.findBroker({ nodeId })
  const { responses } = await broker.fetch({
    maxWaitTime: maxWaitMs,
    minBytes: 1,
    maxBytes: FETCH_BYTES,
    isolationLevel: READ_COMMITTED,
    topics: [...Map.groupBy(positions, ({ topic }) => topic)].map(([topic, ofTopic]) => ({
      topic,
      partitions: ofTopic.map(({ partition, fromOffset }) => ({
        partition,
        fetchOffset: String(fromOffset),
        maxBytes: PARTITION_BYTES,
      })),
    })),
  })
  // kafkajs shuffles partitions for fairness, so a topic may be answered in several pieces.
  const answers = responses.flatMap(({ topicName, partitions }) => partitions.map((data) => ({ topicName, data })))
  return positions.map((position) => {
    const { topic, partition } = position
    const answer = answers.find(({ topicName, data }) => topicName === topic && data.partition === partition)
    if (answer === undefined) throw unknownPartition(topic, partition)
    const { messages, abortedTransactions, highWatermark } = answer.data
    return {
      ...position,
      ...committedRecords(position, messages, abortedTransactions),
      highWatermark: BigInt(highWatermark),
    }
  })
}

export const unknownPartition = (topic: string, partition: number): UpstreamError =>
  new UpstreamError('PARTITION_UNKNOWN', `The broker knows no partition ${partition} of topic ${topic}`, {
    facts: { topic, partition },
  })

/** Everything but a position out of range and a refusal: what these say, the next attempt will say too. */
export const isWorthRetrying = (error: unknown): boolean => {
  if (error instanceof UpstreamError) return error.retryable
  const { retriable, type, name } = originOf(error)
  return type !== 'OFFSET_OUT_OF_RANGE' && (retriable === true || (name ?? '').startsWith('KafkaJSConnection'))
}

/** Before another attempt: forgets a broker that hung up, connects anew, learns who leads what now. */
export const recover = async (cluster: KafkaCluster, error: unknown): Promise<void> => {
  const { name, host, port } = originOf(error) as { name?: string; host?: string; port?: number }
  if (name === 'KafkaJSConnectionClosedError' && host !== undefined && port !== undefined) {
    cluster.removeBroker({ host, port })
  }
  try {
    if (!cluster.isConnected()) await cluster.connect()
    await cluster.refreshMetadata()
  } catch {
    // the next attempt fails for the same reason, and counts
  }
}
