import t from 'tap'
import { createIdempotentProducer } from '../kafka/idempotent-producer.ts'
import { createPartitionReader } from '../kafka/partition-reader.ts'
import { createTopic, realKafka, realRegistryUrl, uniqueName } from '../kafka/testing/real-kafka.ts'
import { type AvroSchema, createCodec } from './avro.ts'
import { canonicalSchema } from './canonical-schema.ts'
import { fetchSchema, registerSchemas, schemaIdRecords } from './registry.ts'
import { openSchemaDirectory } from './schema-directory.ts'

const url = realRegistryUrl()

const versionsOf =
  (name: string) =>
  (fields: object[]): AvroSchema<{ id: string }> => ({
    name: `test.${name}`,
    schema: JSON.stringify({
      type: 'record',
      name,
      namespace: 'test',
      fields: [{ name: 'id', type: 'string' }, ...fields],
    }),
  })
const freshName = (): string => uniqueName('Event').replace('-', '')

t.test('a schema keeps its id in any layout, and can be fetched by it', async (t) => {
  const schema = versionsOf(freshName())([])
  const first = await registerSchemas(url, [schema])
  const again = await registerSchemas(url, [{ ...schema, schema: JSON.stringify(JSON.parse(schema.schema), null, 2) }])
  t.same(again, first)
  t.equal(canonicalSchema(await fetchSchema(url, first.get(schema.name) ?? 0)), canonicalSchema(schema.schema))
})

t.test('a version that another cannot read is refused, naming the subject', async (t) => {
  const version = versionsOf(freshName())
  await registerSchemas(url, [version([])])
  await registerSchemas(url, [version([{ name: 'note', type: ['null', 'string'], default: null }])])
  const incompatible = version([{ name: 'must', type: 'string' }])
  await t.rejects(registerSchemas(url, [incompatible]), {
    code: 'SCHEMA_INCOMPATIBLE',
    retryable: false,
    facts: { subject: incompatible.name },
    message: /must/,
  })
})

t.test('what is not a schema is refused', async (t) => {
  const broken = {
    name: 'test.Broken',
    schema: '{"type":"record","name":"Broken","fields":[{"name":"x","type":"nope"}]}',
  }
  await t.rejects(registerSchemas(url, [broken]), { code: 'SCHEMA_INVALID', facts: { subject: 'test.Broken' } })
})

t.test('an id that nobody gave out is unknown, a registry that is away is unavailable', async (t) => {
  await t.rejects(fetchSchema(url, 2_000_000_000), { code: 'SCHEMA_UNKNOWN', retryable: true })
  await t.rejects(fetchSchema('http://127.0.0.1:1', 1), { code: 'REGISTRY_UNAVAILABLE', retryable: true })
  await t.rejects(registerSchemas('http://127.0.0.1:1', [versionsOf(freshName())([])]), {
    code: 'REGISTRY_UNAVAILABLE',
    retryable: true,
  })
})

t.test('ids on the topic are enough to read and write while the registry is away', async (t) => {
  const kafka = realKafka()
  const topic = await createTopic(kafka, 'schema-ids', { config: { 'cleanup.policy': 'compact' } })
  const producer = createIdempotentProducer(kafka)
  const reader = await createPartitionReader(kafka)
  t.teardown(() => Promise.all([producer.close(), reader.close()]))
  const away = () => fetchSchema('http://127.0.0.1:1', 1)
  const early = await openSchemaDirectory(reader, away, topic)

  const schema = versionsOf(freshName())([])
  const ids = await registerSchemas(url, [schema])
  const records = schemaIdRecords(early, [schema], ids)
  await producer.send(records.map((record) => ({ ...record, topic })))

  const late = await openSchemaDirectory(reader, away, topic)
  const bytes = createCodec(late).encode(schema, { id: 'e1' })
  t.throws(() => createCodec(early).decode(schema, bytes), { code: 'SCHEMA_UNKNOWN' })
  await early.learn(ids.get(schema.name) ?? 0)
  t.same(createCodec(early).decode(schema, bytes), { id: 'e1' }, 'the early one reads on')
  t.same(schemaIdRecords(late, [schema], ids), [], 'nothing is published twice')
  await t.rejects(early.learn(2_000_000_000), { code: 'REGISTRY_UNAVAILABLE' })
})
