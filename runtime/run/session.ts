import type { Logger } from '../../platform/log.ts'
import { type Codec, createCodec } from '../codec/avro.ts'
import { fetchSchema } from '../codec/registry.ts'
import { openSchemaDirectory, type SchemaDirectory } from '../codec/schema-directory.ts'
import { createKafka, type Kafka } from '../kafka/client.ts'
import { createPartitionReader, type PartitionReader } from '../kafka/partition-reader.ts'

/** What a process needs to read and write events: a client, a reader, and a codec that knows every registered schema. */
export interface Session {
  readonly kafka: Kafka
  readonly reader: PartitionReader
  readonly codec: Codec
  readonly directory: SchemaDirectory
  /** Resolves once the codec knows the id. Throws UpstreamError (retryable) while the registry is away. */
  readonly learn: (schemaId: number) => Promise<void>
  close(): Promise<void>
}

export interface SessionSettings {
  readonly brokers: readonly string[]
  readonly registryUrl: string
  readonly clientId: string
  readonly log: Logger
}

/** Connects and reads `schema-ids`. Throws UpstreamError KAFKA_UNAVAILABLE, PARTITION_UNREADABLE (retryable); nothing is open then. */
export const openSession = async ({ brokers, registryUrl, clientId, log }: SessionSettings): Promise<Session> => {
  const kafka = createKafka({ brokers, clientId, logger: log })
  const reader = await createPartitionReader(kafka)
  const directory = await openSchemaDirectory(reader, (id) => fetchSchema(registryUrl, id)).catch(async (error) => {
    await reader.close()
    throw error
  })
  return {
    kafka,
    reader,
    directory,
    codec: createCodec(directory),
    learn: (schemaId) => directory.learn(schemaId),
    close: () => reader.close(),
  }
}
