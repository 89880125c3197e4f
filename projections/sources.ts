/** What projections read from and write to, opened from the configuration. For composition roots: main.ts and cli/. */
import { type Config, SETTINGS } from '../platform/config.ts'
import { isRetryable } from '../platform/errors.ts'
import type { Logger } from '../platform/log.ts'
import { createDatabase, type Database } from '../prisma/client.ts'
import { createCodec } from '../runtime/codec/avro.ts'
import { fetchSchema } from '../runtime/codec/registry.ts'
import { openSchemaDirectory, type SchemaDirectory } from '../runtime/codec/schema-directory.ts'
import { createKafka } from '../runtime/kafka/client.ts'
import { eventTopicSpec } from '../runtime/kafka/event-topic.ts'
import { createPartitionReader, type PartitionReader } from '../runtime/kafka/partition-reader.ts'
import { requireTopics } from '../runtime/kafka/topics.ts'
import type { Topic } from '../schemas/topics.ts'
import type { DecodeValue } from './engine/event-decoder.ts'
import { projections } from './index.ts'

export interface ProjectionSources {
  readonly db: Database
  readonly reader: PartitionReader
  readonly decode: DecodeValue
  partitionsOf(topic: Topic): number
  close(): Promise<void>
}

/** Enough for every loop to commit at once on a small machine; more would only queue in PostgreSQL. */
const CONNECTIONS = 6

/**
 * Throws UpstreamError KAFKA_UNAVAILABLE, TOPICS_UNAVAILABLE, PARTITION_UNREADABLE (retryable), ConfigError TOPICS_MISSING
 * or TOPIC_DRIFT when what is to be read is not as declared: a fact that expired would be missing in every table.
 */
export const openProjectionSources = async (
  config: Config,
  clientId: string,
  log: Logger,
): Promise<ProjectionSources> => {
  const kafka = createKafka({ brokers: config.kafkaBrokers, clientId, logger: log })
  const partitionsOf = ({ partitions }: Topic) => (partitions === 'one' ? 1 : config[partitions])
  await requireTopics(
    kafka,
    [...new Set<Topic>(projections.map(({ reads }) => reads))].map(specOf(config, partitionsOf)),
    log,
  )
  const reader = await createPartitionReader(kafka)
  const directory = await openSchemaDirectory(reader, (id) => fetchSchema(config.schemaRegistryUrl, id))
  const db = createDatabase({ url: config.databaseUrl, maxConnections: CONNECTIONS, log })
  return {
    db,
    reader,
    decode: createDecoder(directory),
    partitionsOf,
    async close() {
      await reader.close()
      await db.$disconnect()
    },
  }
}

const specOf = (config: Config, partitionsOf: (topic: Topic) => number) => (topic: Topic) =>
  eventTopicSpec(topic, {
    partitions: partitionsOf(topic),
    ...(topic.partitions !== 'one' && { partitionsFrom: { setting: SETTINGS[topic.partitions].env } }),
    replicationFactor: config.replicationFactor,
    replicationFrom: SETTINGS.replicationFactor.env,
  })

/** Decodes at once with what is known, and learns an unknown schema id before it tries again. */
export const createDecoder = (directory: SchemaDirectory): DecodeValue => {
  const codec = createCodec(directory)
  return async (schema, value) => {
    try {
      return codec.decode(schema, value)
    } catch (error) {
      const { schemaId } = (error as { facts?: { schemaId?: unknown } }).facts ?? {}
      if (!isRetryable(error) || typeof schemaId !== 'number') throw error
      await directory.learn(schemaId)
      return codec.decode(schema, value)
    }
  }
}
