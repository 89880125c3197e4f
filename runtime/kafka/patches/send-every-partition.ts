import { BatchBuilder, type BatchRecord } from '../record-batch.ts'
import type { KafkajsPatch } from './modules.ts'

interface Message extends BatchRecord {
  readonly partition?: number
}
/** What one request per broker can hold: a batch per partition. */
interface Round {
  readonly batches: ReadonlyMap<string, ReadonlyMap<number, BatchBuilder>>
  readonly done: Map<string, ProducedPartition | undefined>
}

interface PartitionData {
  readonly partition: number
  readonly messages: BatchBuilder
  firstSequence?: number
}
interface TopicData {
  readonly topic: string
  readonly partitions: PartitionData[]
}
interface ProducedPartition {
  readonly topicName: string
  readonly partition: number
  readonly errorCode: number
  readonly baseOffset?: string
}
interface ProduceResponse {
  readonly topics: readonly { topicName: string; partitions: readonly Omit<ProducedPartition, 'topicName'>[] }[]
}

interface Broker {
  produce(request: object): Promise<ProduceResponse | null>
}
export interface SendCluster {
  refreshMetadataIfNecessary(): Promise<void>
  refreshMetadata(): Promise<void>
  addMultipleTargetTopics(topics: string[]): Promise<void>
  findTopicPartitionMetadata(topic: string): { partitionId: number }[]
  findLeaderForPartitions(topic: string, partitions: number[]): Record<string, number[]>
  findBroker(node: { nodeId: string }): Promise<Broker>
  isConnected(): boolean
  connect(): Promise<void>
  removeBroker(address: { host: string; port: number }): void
}
interface EosManager {
  isTransactional(): boolean
  addPartitionsToTransaction(topicData: TopicData[]): Promise<void>
  getSequence(topic: string, partition: number): number
  updateSequence(topic: string, partition: number, increment: number): void
  getTransactionalId(): string
  getProducerId(): number
  getProducerEpoch(): number
  acquireBrokerLock(broker: Broker): Promise<void>
  releaseBrokerLock(broker: Broker): Promise<void> | void
}
type Bail = (error: unknown) => void
export interface SendContext {
  readonly logger: { error(message: string, facts?: object): void; debug(message: string, facts?: object): void }
  readonly cluster: SendCluster
  readonly partitioner: (of: { topic: string; partitionMetadata: unknown[]; message: Message }) => number
  readonly eosManager: EosManager
  readonly retrier: <T>(attempt: (bail: Bail, retryCount: number, retryTime: number) => Promise<T>) => Promise<T>
}
export interface SendRequest {
  readonly acks: number
  readonly timeout?: number
  readonly compression?: number
  readonly topicMessages: readonly { readonly topic: string; readonly messages: readonly Message[] }[]
}
export type CreateSendMessages = (context: SendContext) => (request: SendRequest) => Promise<ProducedPartition[]>

interface KafkajsFailure {
  readonly name: string
  readonly message: string
  readonly type?: string
  readonly retriable?: boolean
  readonly host: string
  readonly port: number
}

/** Failures after which the metadata is read again before the next attempt. */
const STALE_TYPES = ['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE', 'NOT_LEADER_FOR_PARTITION']
const STALE_NAMES = ['KafkaJSMetadataNotLoaded', 'KafkaJSConnectionError', 'KafkaJSConnectionClosedError']

/**
 * Three defects of one function, the one that turns messages into Produce requests and repeats them.
 *
 * 1. Stock awaits its brokers with `Promise.all`: when one fails it starts again while the others are still in flight,
 *    sends their records a second time with other sequence numbers, and appends them twice.
 * 2. Stock remembers success per *broker*. When the leader of a failed partition moves to a broker that has already
 *    answered, its records are not sent and `send()` resolves all the same: 12 of 5,736 acknowledged records were missing
 *    after a broker was killed. Success belongs to the partition; and a record keeps the partition that was chosen first.
 * 3. Stock passes over records whose explicit partition it has not heard of, because the topic was given more partitions,
 *    or was made anew, since it last asked: `send()` resolves, and so does the commit around it. Here it asks again.
 *
 * By the way, records are written into the batches of their partitions in one pass (record-batch.ts; stock copies the array
 * for each message). What does not fit into one batch of a partition goes out in a second round, when the first is done.
 */
export const sendEveryPartition: KafkajsPatch = {
  name: 'send-every-partition',
  apply: (modules) => {
    const { KafkaJSMetadataNotLoaded } =
      modules.load<Record<'KafkaJSMetadataNotLoaded', new (message: string) => Error>>('errors.js')
    const metadata: Metadata = {
      of: ({ cluster }, topic) => {
        const partitionMetadata = cluster.findTopicPartitionMetadata(topic)
        if (partitionMetadata.length === 0) throw new KafkaJSMetadataNotLoaded(`No metadata of topic ${topic}`)
        return partitionMetadata
      },
      require: ({ cluster }, topic, partitions) => {
        const known = new Set(cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId))
        const unknown = partitions.filter((partition) => !known.has(partition))
        if (unknown.length > 0) throw new KafkaJSMetadataNotLoaded(`No metadata of ${topic}/${unknown.join()}`)
      },
    }
    modules.replace('producer/sendMessages.js', createSendMessages(metadata))
  },
}

interface Metadata {
  /** Throws an error that is worth another attempt, with newer metadata, when the topic is not known. */
  of(context: SendContext, topic: string): unknown[]
  /** The same for partitions. */
  require(context: SendContext, topic: string, partitions: readonly number[]): void
}

const createSendMessages =
  (metadata: Metadata): CreateSendMessages =>
  (context) =>
  async (request) => {
    const { cluster, retrier } = context
    let rounds: readonly Round[] | undefined
    try {
      return await retrier(async (bail, retryCount, retryTime) => {
        await cluster.addMultipleTargetTopics(request.topicMessages.map(({ topic }) => topic))
        try {
          await cluster.refreshMetadataIfNecessary()
          rounds ??= roundsOf(context, request, metadata)
          for (const round of rounds) {
            for (const [topic, batchOf] of round.batches) metadata.require(context, topic, [...batchOf.keys()])
          }
          for (const round of rounds) await produceAll(context, request, unsent(cluster, round), round.done)
          return rounds.flatMap(({ done }) => [...done.values()].filter((produced) => produced !== undefined))
        } catch (error) {
          await prepareNextAttempt(context, error as KafkajsFailure, bail, { retryCount, retryTime })
          throw error
        }
      })
    } finally {
      // Requests were copied, and no attempt follows.
      for (const { batches } of rounds ?? [])
        for (const ofTopic of batches.values()) for (const batch of ofTopic.values()) batch.release()
    }
  }

/** The records in the batches of their partitions; a partition whose batch is full goes on in the next round. */
const roundsOf = (context: SendContext, { topicMessages }: SendRequest, metadata: Metadata): readonly Round[] => {
  const rounds: { batches: Map<string, Map<number, BatchBuilder>>; done: Round['done'] }[] = []
  for (const { topic, messages } of topicMessages) {
    const partitionMetadata = metadata.of(context, topic)
    const partitionOf = (message: Message) => context.partitioner({ topic, partitionMetadata, message })
    for (const [partition, batches] of batchesOf(messages, partitionOf)) {
      for (const [n, batch] of batches.entries()) {
        rounds[n] ??= { batches: new Map(), done: new Map() }
        const ofTopic = rounds[n].batches.get(topic) ?? new Map<number, BatchBuilder>()
        rounds[n].batches.set(topic, ofTopic.set(partition, batch))
      }
    }
  }
  return rounds
}

const batchesOf = (
  messages: readonly Message[],
  partitionOf: (message: Message) => number,
): ReadonlyMap<number, readonly BatchBuilder[]> => {
  const batches = new Map<number, BatchBuilder[]>()
  const nowMs = Date.now()
  for (const message of messages) {
    const partition = partitionOf(message)
    const ofPartition = batches.get(partition)
    if (ofPartition?.at(-1)?.add(message, nowMs) === true) continue
    const batch = new BatchBuilder()
    batch.add(message, nowMs)
    if (ofPartition === undefined) batches.set(partition, [batch])
    else ofPartition.push(batch)
  }
  return batches
}

const partitionKey = (topic: string, partition: number): string => `${topic}/${partition}`

/** What is still to be sent, by the broker that leads it now. */
const unsent = (cluster: SendCluster, { batches, done }: Round): Map<string, TopicData[]> => {
  const perNode = new Map<string, TopicData[]>()
  for (const [topic, batchOf] of batches) {
    const todo = [...batchOf.keys()].filter((partition) => !done.has(partitionKey(topic, partition)))
    for (const [nodeId, partitions] of Object.entries(cluster.findLeaderForPartitions(topic, todo))) {
      const topicData = perNode.get(nodeId) ?? []
      topicData.push({
        topic,
        partitions: partitions.flatMap((partition) => {
          const messages = batchOf.get(Number(partition))
          return messages === undefined ? [] : [{ partition, messages }]
        }),
      })
      perNode.set(nodeId, topicData)
    }
  }
  return perNode
}

/** One Produce request per broker; returns or throws only when every one of them has been answered. */
const produceAll = async (
  { cluster, eosManager }: SendContext,
  request: SendRequest,
  perNode: ReadonlyMap<string, TopicData[]>,
  done: Map<string, ProducedPartition | undefined>,
): Promise<void> => {
  const results = await Promise.allSettled(
    [...perNode].map(async ([nodeId, topicData]) => {
      const broker = await cluster.findBroker({ nodeId })
      await eosManager.acquireBrokerLock(broker)
      try {
        const response = await produce(eosManager, broker, request, topicData)
        const produced = responsesOf(response)
        for (const { topic, partitions } of topicData) {
          for (const { partition } of partitions) {
            const key = partitionKey(topic, partition)
            done.set(key, produced.get(key))
          }
        }
      } finally {
        await eosManager.releaseBrokerLock(broker)
      }
    }),
  )
  const failures = results
    .filter((result) => result.status === 'rejected')
    .map(({ reason }) => reason as KafkajsFailure)
  for (const { name, host, port } of failures) {
    if (name === 'KafkaJSConnectionClosedError') cluster.removeBroker({ host, port })
  }
  const worst = failures.find(({ retriable }) => !retriable) ?? failures[0]
  if (worst !== undefined) throw worst
}

/** A failed request gives its sequence numbers back: the same records must go out again under the same numbers. */
const produce = async (
  eosManager: EosManager,
  broker: Broker,
  { acks, timeout, compression }: SendRequest,
  topicData: TopicData[],
): Promise<ProduceResponse | null> => {
  const transactional = eosManager.isTransactional()
  if (transactional) await eosManager.addPartitionsToTransaction(topicData)
  for (const { topic, partitions } of topicData) {
    for (const data of partitions) {
      data.firstSequence = eosManager.getSequence(topic, data.partition)
      eosManager.updateSequence(topic, data.partition, data.messages.length)
    }
  }
  try {
    return await broker.produce({
      transactionalId: transactional ? eosManager.getTransactionalId() : undefined,
      producerId: eosManager.getProducerId(),
      producerEpoch: eosManager.getProducerEpoch(),
      acks,
      timeout,
      compression,
      topicData,
    })
  } catch (error) {
    for (const { topic, partitions } of topicData) {
      for (const { partition, messages } of partitions) eosManager.updateSequence(topic, partition, -messages.length)
    }
    throw error
  }
}

/** Empty when no acknowledgement was asked for. */
const responsesOf = (response: ProduceResponse | null): Map<string, ProducedPartition> => {
  const produced = new Map<string, ProducedPartition>()
  for (const { topicName, partitions } of response?.topics ?? []) {
    for (const data of partitions) produced.set(partitionKey(topicName, data.partition), { topicName, ...data })
  }
  return produced
}

const prepareNextAttempt = async (
  { cluster, logger }: SendContext,
  error: KafkajsFailure,
  bail: Bail,
  facts: object,
): Promise<void> => {
  if (!cluster.isConnected()) {
    await cluster.connect()
    await cluster.refreshMetadata()
  } else if (isStale(error)) {
    logger.error(`Failed to send messages: ${error.message}`, facts)
    await cluster.refreshMetadata()
  } else if (!error.retriable) {
    bail(error)
  }
}

const isStale = ({ type, name, retriable }: KafkajsFailure): boolean =>
  STALE_TYPES.includes(type ?? '') ||
  STALE_NAMES.includes(name) ||
  (name === 'KafkaJSProtocolError' && retriable === true)
