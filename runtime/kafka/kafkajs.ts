import { createRequire } from 'node:module'
import type { Kafka } from 'kafkajs'
import { BugError } from '../../platform/errors.ts'
import type { AbortedTransaction, FetchedBatch } from './fetched-records.ts'
import { applyKafkajsPatches } from './patches/index.ts'

/**
 * The only place that loads kafkajs. Static imports run before any statement of the importing file, so the patched
 * client is required, not imported; everybody else takes types from 'kafkajs' and values from here.
 */
applyKafkajsPatches()
const kafkajs = createRequire(import.meta.url)('kafkajs') as typeof import('kafkajs')

export const { Kafka: KafkaClient, AssignerProtocol, CompressionTypes, ConfigResourceTypes, logLevel } = kafkajs

/** What a group-less reader needs of kafkajs' inside. */
export interface KafkaCluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  isConnected(): boolean
  addTargetTopic(topic: string): Promise<void>
  refreshMetadata(): Promise<void>
  findTopicPartitionMetadata(topic: string): { partitionId: number }[]
  findLeaderForPartitions(topic: string, partitions: number[]): Record<string, number[]>
  findBroker(node: { nodeId: string }): Promise<KafkaBroker>
  removeBroker(address: { host: string; port: number }): void
  readonly brokerPool: { readonly brokers: Readonly<Record<string, BrokerConnections>> }
  fetchTopicsOffset(
    topics: readonly { topic: string; fromBeginning: boolean; partitions: readonly { partition: number }[] }[],
  ): Promise<readonly { topic: string; partitions: readonly { partition: number; offset: string }[] }[]>
}

export interface KafkaBroker {
  fetch(request: object): Promise<{ responses: readonly { topicName: string; partitions: readonly PartitionData[] }[] }>
}

interface BrokerConnections {
  readonly connectionPool: { map(act: (connection: { rejectRequests(error: Error): void }) => void): void }
}

interface PartitionData {
  readonly partition: number
  readonly highWatermark: string
  readonly abortedTransactions: readonly AbortedTransaction[] | null
  /** Patch raw-batches. */
  readonly messages: readonly FetchedBatch[]
}

export const READ_COMMITTED = 1

/** A connection of its own with the settings of `kafka`; kafkajs gives it only to its consumers and producers. */
export const openCluster = (kafka: Kafka): KafkaCluster => {
  const symbol = Object.getOwnPropertySymbols(kafka).find(
    ({ description }) => description === 'private:Kafka:createCluster',
  )
  if (symbol === undefined) throw new BugError('KAFKAJS_INTERNALS', 'This Kafka object was not made by createKafka')
  const create = (kafka as unknown as Record<symbol, (options: object) => KafkaCluster>)[symbol]
  if (create === undefined) throw new BugError('KAFKAJS_INTERNALS', 'kafkajs has no createCluster')
  return create({ allowAutoTopicCreation: false, isolationLevel: READ_COMMITTED, metadataMaxAge: METADATA_MAX_AGE_MS })
}

const METADATA_MAX_AGE_MS = 60_000

/**
 * Disconnects without waiting for answers: whoever waits for one gets `reason`. `disconnect` alone waits for the end of
 * a long poll.
 */
export const hangUp = async (cluster: KafkaCluster, reason: Error): Promise<void> => {
  for (const { connectionPool } of Object.values(cluster.brokerPool.brokers)) {
    connectionPool.map((connection) => connection.rejectRequests(reason))
  }
  await cluster.disconnect()
}
