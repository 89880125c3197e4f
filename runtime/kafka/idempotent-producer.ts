import type { Kafka, Message, Producer, RecordMetadata } from 'kafkajs'
import { BadInputError, BugError, type ReelstreamError, UpstreamError } from '../../platform/errors.ts'
import { REQUEST_TIMEOUT_MS } from './client.ts'
import { asUpstreamError } from './kafka-errors.ts'
import { cutBySize, MAX_RECORD_BYTES, type OutputRecord } from './log-records.ts'
import { keyPartitioner } from './partitioner.ts'
import { byTopic } from './transactional-writer.ts'

/** Where a record has been written. */
export interface SentRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

/**
 * Writes records without a transaction, for everybody outside the engine: gateway, command line, tools.
 *
 * Each record is appended once, however often its request had to be repeated, and in the order of the calls per
 * partition. The broker tells a repetition by its sequence number; that works only while nobody else gets the number of
 * a request whose answer was lost. So one request is on its way at a time, repeated until it is answered, and what
 * arrives meanwhile goes out together with the next one; and a producer whose request was given up is thrown away.
 *
 * What waits is bounded: callers lose patience and call again while a broker is away, and what they left behind would fill
 * the memory first and the topic afterwards.
 */
export interface IdempotentProducer {
  /**
   * Resolves with the place of each record, in the order given, when all replicas in sync have them. Throws
   * UpstreamError SEND_FAILED (retryable; any of the records may have been written nevertheless, so a repetition may
   * double them: consumers fold by the record's own id), UpstreamError SEND_QUEUE_FULL (retryable; too much waits, none
   * of them is written), ConfigError KAFKA_UNAUTHORIZED, BadInputError RECORD_TOO_LARGE.
   */
  send(records: readonly OutputRecord[]): Promise<SentRecord[]>
  /** Waits for what was accepted, then lets go of the connection. */
  close(): Promise<void>
}

interface Pending {
  readonly records: readonly OutputRecord[]
  readonly sizeBytes: number
  readonly resolve: (sent: SentRecord[]) => void
  readonly reject: (error: ReelstreamError) => void
}

/** Some 28,000 claims: a few dozen requests, which a broker that is back takes in about a second. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024

/** Connects with the first record. */
export const createIdempotentProducer = (kafka: Kafka): IdempotentProducer => {
  const waiting: Pending[] = []
  let waitingBytes = 0
  let connection: ProducerConnection | undefined
  let draining: Promise<void> | undefined
  let closed = false

  const nextBatch = (): Pending[] => {
    const batch = takeBatch(waiting)
    waitingBytes -= bytesOf(batch)
    return batch
  }

  const drain = async (): Promise<void> => {
    for (let batch = nextBatch(); batch.length > 0; batch = nextBatch()) {
      try {
        connection ??= await connect(kafka)
        settle(batch, await connection.send(batch.flatMap(({ records }) => records)))
      } catch (error) {
        const failed = asUpstreamError('SEND_FAILED', 'Records may not have been written', error)
        for (const { reject } of batch) reject(failed)
        await connection?.discard()
        connection = undefined
      }
    }
  }

  return {
    send: async (records) => {
      if (closed) throw new BugError('PRODUCER_CLOSED', 'send() on a producer that is closed')
      const runs = cutBySize(records)
      runs.forEach(refuseTooLarge)
      const sizeBytes = bytesOf(runs)
      refuseOverflow(waitingBytes, sizeBytes)
      waitingBytes += sizeBytes
      const parts = runs.map(({ records, sizeBytes }) => {
        const { promise, resolve, reject } = Promise.withResolvers<SentRecord[]>()
        waiting.push({ records, sizeBytes, resolve, reject })
        return promise
      })
      draining ??= drain().finally(() => {
        draining = undefined
      })
      return (await Promise.all(parts)).flat()
    },
    close: async () => {
      closed = true
      await draining
      await connection?.discard()
      connection = undefined
    },
  }
}

/** A run is larger than a request may be when its one record is. */
const refuseTooLarge = ({ records, sizeBytes }: ReturnType<typeof cutBySize>[number]): void => {
  if (sizeBytes <= MAX_RECORD_BYTES) return
  throw new BadInputError(
    'RECORD_TOO_LARGE',
    `A record of ${sizeBytes} bytes; at most ${MAX_RECORD_BYTES} are allowed`,
    { facts: { topic: records[0]?.topic, key: records[0]?.key, sizeBytes } },
  )
}

/** A call that alone is more than may wait is taken when it need not wait. */
const refuseOverflow = (waitingBytes: number, moreBytes: number): void => {
  if (waitingBytes === 0 || waitingBytes + moreBytes <= MAX_WAITING_BYTES) return
  throw new UpstreamError('SEND_QUEUE_FULL', 'Kafka is slow or away, and too much waits for it already.', {
    facts: { waitingBytes },
  })
}

const bytesOf = (all: readonly { readonly sizeBytes: number }[]): number =>
  all.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)

/** The calls that go out together: as many as fit into one request of a partition, at least one. */
const takeBatch = (waiting: Pending[]): Pending[] => {
  let bytes = 0
  let count = 0
  for (const { sizeBytes } of waiting) {
    bytes += sizeBytes
    if (count > 0 && bytes > MAX_RECORD_BYTES) break
    count += 1
  }
  return waiting.splice(0, count)
}

const settle = (batch: readonly Pending[], sent: readonly SentRecord[]): void => {
  let from = 0
  for (const { records, resolve } of batch) {
    resolve(sent.slice(from, from + records.length))
    from += records.length
  }
}

interface ProducerConnection {
  send(records: readonly OutputRecord[]): Promise<SentRecord[]>
  discard(): Promise<void>
}

const connect = async (kafka: Kafka): Promise<ProducerConnection> => {
  const chosen = new WeakMap<Message, number>()
  const producer: Producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    createPartitioner: () => (choice) => {
      const partition = keyPartitioner(choice)
      chosen.set(choice.message, partition)
      return partition
    },
  })
  await producer.connect()
  return {
    send: async (records) => {
      const acks = await producer.sendBatch({
        acks: -1,
        timeout: REQUEST_TIMEOUT_MS - 500,
        topicMessages: byTopic(records),
      })
      return placesOf(records, chosen, acks)
    },
    discard: () => producer.disconnect().catch(() => {}),
  }
}

/** The broker answers with the first offset of each partition; a partition's records follow each other without gaps. */
const placesOf = (
  records: readonly OutputRecord[],
  chosen: WeakMap<Message, number>,
  acks: readonly RecordMetadata[],
): SentRecord[] => {
  const next = new Map<string, Map<number, bigint>>()
  for (const { topicName, partition, baseOffset = '-1' } of acks) {
    const ofTopic = next.get(topicName) ?? new Map<number, bigint>()
    next.set(topicName, ofTopic.set(partition, BigInt(baseOffset)))
  }
  return records.map((record) => {
    const { topic } = record
    const partition = chosen.get(record)
    const offset = partition === undefined ? undefined : next.get(topic)?.get(partition)
    if (partition === undefined || offset === undefined) {
      throw new BugError('SEND_UNANSWERED', 'The broker acknowledged a request without all of its records', {
        facts: { topic, partition },
      })
    }
    next.get(topic)?.set(partition, offset + 1n)
    return { topic, partition, offset }
  })
}
