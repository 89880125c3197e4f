import type { Kafka, Producer, TopicMessages } from 'kafkajs'
import { BugError, UpstreamError } from '../../platform/errors.ts'
import { REQUEST_TIMEOUT_MS } from './client.ts'
import { asUpstreamError, isFenced } from './kafka-errors.ts'
import type { OutputRecord } from './log-records.ts'
import { keyPartitioner } from './partitioner.ts'

/**
 * The one writer of a task: everything a step does becomes visible in one transaction or not at all.
 *
 * A writer dies of its first error and is never used again. That is not caution but the only correct thing: after a lost
 * Produce response and an abort, the next commit of the same producer reports success and its record is not in the log
 * (its sequence number looks like a repetition); after a lost EndTxn response the transaction may have been committed,
 * and the producer is wedged. Both were seen on a real broker. So there is no abort, no retry and no doubt to resolve
 * here: discard, open a new writer, which fences the old one and ends its transaction one way or the other, and read in
 * the changelog how it ended.
 */
export interface TransactionalWriter {
  /**
   * Writes the records of one step in one transaction. Resolved = committed; readers see it a few milliseconds later,
   * when the broker has written the markers. No records = nothing happens. Order per partition is the order given. Throws, and is dead from then on:
   * - FENCED (UpstreamError): another writer was opened with this transactional id; this task is somebody else's now;
   * - COMMIT_FAILED (UpstreamError): it may or may not have been committed, a fresh read tells; `facts.kafkaError` says
   *   what the broker said; retryable except for MESSAGE_TOO_LARGE;
   * - KAFKA_UNAUTHORIZED (ConfigError).
   * One at a time: a second call before the first has ended, or any call on a dead or closed writer, is a BugError.
   */
  commit(records: readonly OutputRecord[]): Promise<void>
  /** Lets go of the connection. An open transaction is left for the next writer, or the broker's time limit, to abort. */
  close(): Promise<void>
}

/** How long the broker waits for a transaction whose owner is silent, ms: longer than the session of its group member. */
const TRANSACTION_TIMEOUT_MS = 15_000
/** How long the leader waits for its followers, ms; it must answer before we stop listening. */
const ACK_TIMEOUT_MS = REQUEST_TIMEOUT_MS - 500

/**
 * Takes the transactional id over: when this resolves, whoever had it is fenced and its transaction is committed or
 * aborted for good (3–8 ms when idle, some tens of ms over an open transaction). Throws UpstreamError WRITER_UNAVAILABLE
 * (retryable) or ConfigError KAFKA_UNAUTHORIZED.
 */
export const openTransactionalWriter = async (kafka: Kafka, transactionalId: string): Promise<TransactionalWriter> => {
  const producer = kafka.producer({
    transactionalId,
    maxInFlightRequests: 1,
    transactionTimeout: TRANSACTION_TIMEOUT_MS,
    allowAutoTopicCreation: false,
    createPartitioner: () => keyPartitioner,
    retry: { retries: 0 },
  })
  try {
    await producer.connect()
    const nothing = await producer.transaction()
    await nothing.abort()
  } catch (error) {
    await discard(producer)
    throw asUpstreamError('WRITER_UNAVAILABLE', 'The transactional writer could not be opened', error, {
      transactionalId,
    })
  }
  return writerOf(producer, transactionalId)
}

const writerOf = (producer: Producer, transactionalId: string): TransactionalWriter => {
  let state: 'idle' | 'committing' | 'dead' = 'idle'
  let discarded: Promise<void> | undefined
  const die = (): Promise<void> => {
    state = 'dead'
    discarded ??= discard(producer)
    return discarded
  }
  return {
    commit: async (records) => {
      if (state !== 'idle') {
        throw new BugError('WRITER_MISUSED', `commit() on a writer that is ${state}`, {
          facts: { transactionalId, state },
        })
      }
      if (records.length === 0) return
      state = 'committing'
      try {
        const transaction = await producer.transaction()
        await transaction.sendBatch({ acks: -1, timeout: ACK_TIMEOUT_MS, topicMessages: byTopic(records) })
        await transaction.commit()
        state = 'idle'
      } catch (error) {
        void die()
        throw commitError(error, transactionalId)
      }
    },
    close: die,
  }
}

const commitError = (error: unknown, transactionalId: string): Error =>
  isFenced(error)
    ? new UpstreamError('FENCED', 'Another writer owns this transactional id now', {
        cause: error,
        facts: { transactionalId },
        retryable: false,
      })
    : asUpstreamError('COMMIT_FAILED', 'The transaction may or may not have been committed', error, { transactionalId })

/** What the discarded producer still has to say concerns nobody: its outcome is read from the log. */
const discard = (producer: Producer): Promise<void> => producer.disconnect().catch(() => {})

/** kafkajs takes of a record what it knows: key, value, headers and partition. */
export const byTopic = (records: readonly OutputRecord[]): TopicMessages[] => {
  const topics = new Map<string, OutputRecord[]>()
  for (const record of records) {
    const ofTopic = topics.get(record.topic)
    if (ofTopic === undefined) topics.set(record.topic, [record])
    else ofTopic.push(record)
  }
  return [...topics].map(([topic, messages]) => ({ topic, messages }))
}
