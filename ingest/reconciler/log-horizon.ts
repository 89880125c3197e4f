import { setTimeout as sleep } from 'node:timers/promises'
import { committedOffsets } from '../../runtime/kafka/admin.ts'
import type { Kafka } from '../../runtime/kafka/client.ts'
import { asUpstreamError } from '../../runtime/kafka/kafka-errors.ts'
import type { PartitionReader } from '../../runtime/kafka/partition-reader.ts'
import { videoEvents, videoIntake } from '../../schemas/topics.ts'
import type { ReconcileReads } from './reconcile-reads.ts'

/**
 * Whether everything that anybody has claimed by now can be seen in the read model: then what nothing is recorded of is
 * named by no claim either.
 *
 * Two steps, in this order: admit-events has passed the present end of video-intake, and after that video-catalogue the
 * present end of video-events. How far admission is, is its lag gauge (committed offsets of its group): written after
 * the transaction, so it may be behind the truth and never ahead of it. Without a gauge the answer is no.
 */
export interface LogHorizon {
  /**
   * False when it was not reached within the time.
   * @throws UpstreamError KAFKA_UNAVAILABLE, PARTITION_UNREADABLE, DATABASE_UNAVAILABLE (retryable);
   *   ConfigError KAFKA_UNAUTHORIZED
   */
  isReached(timeoutMs: number, signal: AbortSignal): Promise<boolean>
}

export const kafkaLogHorizon = (options: {
  readonly kafka: Pick<Kafka, 'admin'>
  readonly reader: Pick<PartitionReader, 'partitions' | 'offsets'>
  readonly reads: Pick<ReconcileReads, 'foldedUpTo'>
}): LogHorizon => {
  const { kafka, reader, reads } = options
  return {
    async isReached(timeoutMs, signal) {
      const deadlineMs = performance.now() + timeoutMs
      const claimed = await ends(reader, videoIntake.name)
      const isAdmitted = async () => covers(await admittedUpTo(kafka), claimed)
      if (!(await isTrueBefore(deadlineMs, signal, isAdmitted))) return false
      const facts = await ends(reader, videoEvents.name)
      return isTrueBefore(deadlineMs, signal, async () => covers(await reads.foldedUpTo(), facts))
    },
  }
}

/** Consumer group of the processor that decides about claims. */
const ADMISSION_GROUP = 'admit-events'
const POLL_MS = 250

const ends = async (
  reader: Pick<PartitionReader, 'partitions' | 'offsets'>,
  topic: string,
): Promise<ReadonlyMap<number, bigint>> => {
  const partitions = await reader.partitions(topic)
  return new Map(
    await Promise.all(
      partitions.map(async (partition) => [partition, (await reader.offsets(topic, partition)).end] as const),
    ),
  )
}

const admittedUpTo = async (kafka: Pick<Kafka, 'admin'>): Promise<ReadonlyMap<number, bigint>> => {
  const { name: topic } = videoIntake
  const committed = await committedOffsets(kafka, ADMISSION_GROUP, [topic]).catch((error: unknown) => {
    throw asUpstreamError('KAFKA_UNAVAILABLE', 'Kafka cannot be asked how far admission is', error)
  })
  return committed.get(topic) ?? new Map()
}

/** A partition without records needs no position. */
const covers = (positions: ReadonlyMap<number, bigint>, wanted: ReadonlyMap<number, bigint>): boolean =>
  [...wanted].every(([partition, end]) => end === 0n || (positions.get(partition) ?? -1n) >= end)

const isTrueBefore = async (
  deadlineMs: number,
  signal: AbortSignal,
  condition: () => Promise<boolean>,
): Promise<boolean> => {
  for (;;) {
    if (await condition()) return true
    if (performance.now() + POLL_MS > deadlineMs) return false
    await sleep(POLL_MS, undefined, { signal })
  }
}
