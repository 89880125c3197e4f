import type { Logger } from '../../platform/log.ts'
import { type AvroSchema, createCodec } from '../codec/avro.ts'
import { fetchSchema, registerSchemas, schemaIdRecords } from '../codec/registry.ts'
import { restoreRegistry } from '../codec/restore-registry.ts'
import { openSchemaDirectory } from '../codec/schema-directory.ts'
import type { Kafka } from '../kafka/client.ts'
import { createIdempotentProducer } from '../kafka/idempotent-producer.ts'
import { createPartitionReader } from '../kafka/partition-reader.ts'
import { ensureTopics, type TopicSpec } from '../kafka/topics.ts'
import type { Processor } from '../processor.ts'
import { initialPositions } from './initial-positions.ts'

export interface Preparation {
  readonly kafka: Kafka
  readonly registryUrl: string
  readonly processors: readonly Processor[]
  /** All that they need: those of their events, and the engine's (`engineTopics`). */
  readonly topics: readonly TopicSpec[]
  /** Every record type that may be on one of the topics (`schemasOf`). */
  readonly schemas: readonly AvroSchema<unknown>[]
  readonly log: Logger
}

/**
 * Topics, schemas, schema ids, first positions: what Kafka must hold before `run`. Doing it again changes nothing. Throws
 * ConfigError TOPIC_DRIFT, SCHEMA_INCOMPATIBLE, SCHEMA_INVALID, REGISTRY_MISMATCH or REGISTRY_NOT_RESTORED when what is
 * there differs, with how to mend it: nothing is mended silently. A registry that lost its store is filled again.
 * UpstreamError TOPICS_UNAVAILABLE, REGISTRY_UNAVAILABLE … (retryable).
 */
export const prepare = async (preparation: Preparation): Promise<void> => {
  const { kafka, topics, log } = preparation
  const created = await ensureTopics(kafka, topics, log)
  log.info({ created: created.length }, 'topics checked')
  await prepareRecords(preparation)
}

const prepareRecords = async (preparation: Preparation): Promise<void> => {
  const { kafka, registryUrl, processors, topics, schemas, log } = preparation
  const reader = await createPartitionReader(kafka)
  const producer = createIdempotentProducer(kafka)
  try {
    const directory = await openSchemaDirectory(reader, (id) => fetchSchema(registryUrl, id))
    const restored = await restoreRegistry(registryUrl, directory.all())
    if (restored > 0) log.warn({ restored }, 'registry had lost its schemas: they were restored from schema-ids')
    const ids = await registerSchemas(registryUrl, schemas)
    const unknown = schemaIdRecords(directory, schemas, ids)
    if (unknown.length > 0) await producer.send(unknown)
    for (const { key, value } of unknown) directory.add(Number(key), String(value))
    log.info({ schemas: schemas.length, added: unknown.length }, 'schemas registered')
    const counts = new Map(topics.map(({ name, partitions }) => [name, partitions]))
    const partitionsOf = (topic: string) => counts.get(topic) ?? 1
    const positions = await initialPositions(processors, partitionsOf, reader, createCodec(directory))
    if (positions.length > 0) await producer.send(positions)
    log.info({ written: positions.length }, 'first positions written')
  } finally {
    await producer.close()
    await reader.close()
  }
}
