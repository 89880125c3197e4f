import type { Kafka } from '../../runtime/kafka/client.ts'
import { createIdempotentProducer } from '../../runtime/kafka/idempotent-producer.ts'
import { createPartitionReader } from '../../runtime/kafka/partition-reader.ts'
import { ensureTopics } from '../../runtime/kafka/topics.ts'

/**
 * Some who write without the engine, as the gateway does: each send spreads over all partitions and so over all brokers,
 * and waits for its answer. What was acknowledged must be in the log, once. This is where stock kafkajs loses records
 * when a leader moves (patches/send-every-partition.ts).
 */
export interface PlainSenders {
  /** Ends them and reads what is in the log. */
  stop(): Promise<SenderFindings>
}

export interface SenderFindings {
  readonly acked: number
  readonly failedSends: number
  /** Acknowledged, and not in the log. */
  readonly missing: number
  /** In the log more than once. */
  readonly duplicated: number
}

const SENDERS = 3
const PARTITIONS = 6
const RECORDS_PER_SEND = 12

export const startPlainSenders = async (kafka: Kafka, topic: string): Promise<PlainSenders> => {
  await ensureTopics(kafka, [{ name: topic, partitions: PARTITIONS, replicationFactor: 3, config: {} }])
  const acked: string[] = []
  let failedSends = 0
  let isOver = false

  const send = async (sender: number): Promise<void> => {
    const producer = createIdempotentProducer(kafka)
    for (let n = 0; !isOver; n++) {
      const values = Array.from({ length: RECORDS_PER_SEND }, (_, i) => `${sender}-${n}-${i}`)
      const records = values.map((value, i) => ({
        topic,
        partition: i % PARTITIONS,
        key: value,
        value: Buffer.from(value),
        headers: {},
      }))
      try {
        await producer.send(records)
        acked.push(...values)
      } catch {
        failedSends += 1 // promises nothing: these values may be in the log or not
      }
    }
    await producer.close()
  }
  const senders = Array.from({ length: SENDERS }, (_, sender) => send(sender))

  return {
    async stop() {
      isOver = true
      await Promise.all(senders)
      const counts = await countValues(kafka, topic)
      const missing = acked.filter((value) => !counts.has(value)).length
      const duplicated = [...counts.values()].filter((count) => count > 1).length
      return { acked: acked.length, failedSends, missing, duplicated }
    },
  }
}

const countValues = async (kafka: Kafka, topic: string): Promise<ReadonlyMap<string, number>> => {
  const counts = new Map<string, number>()
  const reader = await createPartitionReader(kafka)
  for (let partition = 0; partition < PARTITIONS; partition++) {
    await reader.readToEnd(topic, partition, 0n, (records) => {
      for (const { value } of records) counts.set(String(value), (counts.get(String(value)) ?? 0) + 1)
    })
  }
  await reader.close()
  return counts
}
