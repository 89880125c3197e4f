import type { Kafka } from '../../runtime/kafka/client.ts'
import { until } from './trial.ts'

/** Resolves when every replica of every partition is in sync, the broker's own topics included. */
export const untilReplicated = async (kafka: Kafka): Promise<void> => {
  const admin = kafka.admin()
  await admin.connect()
  try {
    await until('every replica is in sync', async () => {
      const { topics } = await admin.fetchTopicMetadata()
      return topics.every(({ partitions }) => partitions.every(({ isr, replicas }) => isr.length === replicas.length))
    })
  } finally {
    await admin.disconnect()
  }
}

/** The id of the broker that leads each partition, by partition; -1 = none at the moment. */
export const leadersOf = async (kafka: Kafka, topic: string): Promise<readonly number[]> => {
  const admin = kafka.admin()
  await admin.connect()
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const partitions = topics[0]?.partitions ?? []
    return partitions.toSorted((a, b) => a.partitionId - b.partitionId).map(({ leader }) => leader)
  } finally {
    await admin.disconnect()
  }
}

/** The partition of `__transaction_state` that keeps a transactional id, and whose leader therefore coordinates it. */
export const coordinatorPartition = (transactionalId: string, partitions: number): number => {
  let hash = 0 // String.hashCode of Java
  for (let i = 0; i < transactionalId.length; i++) hash = (Math.imul(31, hash) + transactionalId.charCodeAt(i)) | 0
  return (hash & 0x7fffffff) % partitions
}
