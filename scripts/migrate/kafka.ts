import type { Config } from '../../platform/config.ts'
import type { Logger } from '../../platform/log.ts'
import { schemasOf } from '../../processors/schemas.ts'
import { topicSpecs } from '../../processors/topics.ts'
import { createCodec } from '../../runtime/codec/avro.ts'
import { fetchSchema, registerSchemas, schemaIdRecords } from '../../runtime/codec/registry.ts'
import { openSchemaDirectory } from '../../runtime/codec/schema-directory.ts'
import { createKafka, type Kafka } from '../../runtime/kafka/client.ts'
import { createIdempotentProducer } from '../../runtime/kafka/idempotent-producer.ts'
import { createPartitionReader } from '../../runtime/kafka/partition-reader.ts'
import { ensureTopics } from '../../runtime/kafka/topics.ts'
import { initialPositions } from '../../runtime/run/initial-positions.ts'
import type { Topology } from '../../runtime/topology.ts'

/**
 * Topics, schemas, schema ids, first positions: what Kafka must hold before a process starts. Doing it again changes
 * nothing. A topic or a schema that is there but differs is an error that says how to mend it, never mended silently.
 */
export const migrateKafka = async (config: Config, topology: Topology, log: Logger): Promise<void> => {
  const kafka = createKafka({ brokers: config.kafkaBrokers, clientId: `${config.appId}-migrate`, logger: log })
  const created = await ensureTopics(kafka, topicSpecs(config, topology.processors))
  log.info({ created: created.length }, 'topics checked')
  await migrateSchemas(config, kafka, topology, log)
}

const migrateSchemas = async (config: Config, kafka: Kafka, topology: Topology, log: Logger): Promise<void> => {
  const url = config.schemaRegistryUrl
  const schemas = schemasOf(topology.processors)
  const reader = await createPartitionReader(kafka)
  const producer = createIdempotentProducer(kafka)
  try {
    const directory = await openSchemaDirectory(reader, (id) => fetchSchema(url, id))
    const ids = await registerSchemas(url, schemas)
    const unknown = schemaIdRecords(directory, schemas, ids)
    if (unknown.length > 0) await producer.send(unknown)
    for (const { key, value } of unknown) directory.add(Number(key), String(value))
    log.info({ schemas: schemas.length, added: unknown.length }, 'schemas registered')
    const counts = new Map(topicSpecs(config, topology.processors).map(({ name, partitions }) => [name, partitions]))
    const positions = await initialPositions(
      topology.processors,
      (topic) => counts.get(topic) ?? 1,
      reader,
      createCodec(directory),
    )
    if (positions.length > 0) await producer.send(positions)
    log.info({ written: positions.length }, 'first positions written')
  } finally {
    await producer.close()
    await reader.close()
  }
}
