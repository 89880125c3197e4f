import t from 'tap'
import { UpstreamError } from '../../platform/errors.ts'
import type { AvroSchema } from './avro.ts'
import { canonicalSchema } from './canonical-schema.ts'
import { schemaIdRecords } from './registry.ts'
import { addSchemaIds, createDirectory, memoryDirectory } from './schema-directory.ts'

const schemaOf = (name: string, fields: object[] = []): AvroSchema<unknown> => ({
  name: `test.${name}`,
  schema: JSON.stringify({ type: 'record', name, namespace: 'test', fields }),
})
const relaid = ({ name, schema }: AvroSchema<unknown>): AvroSchema<unknown> => {
  const { fields, ...rest } = JSON.parse(schema)
  return { name, schema: JSON.stringify({ fields, ...rest }, null, 2) }
}

const A = schemaOf('A', [{ name: 'x', type: 'string', doc: 'x' }])
const B = schemaOf('B')
const nowhere = () => Promise.reject(new UpstreamError('SCHEMA_UNKNOWN', 'nowhere'))

t.test('two layouts of one schema are one schema, two schemas are not', async (t) => {
  t.equal(canonicalSchema(A.schema), canonicalSchema(relaid(A).schema))
  t.not(canonicalSchema(A.schema), canonicalSchema(B.schema))
  const otherDefault = schemaOf('A', [{ name: 'x', type: 'string', doc: 'x', default: '' }])
  t.not(canonicalSchema(A.schema), canonicalSchema(otherDefault.schema), 'a default is part of it')
})

t.test('knows what it was told, both ways and in any layout', async (t) => {
  const directory = createDirectory(nowhere)
  directory.add(7, A.schema)
  t.equal(directory.idOf(relaid(A)), 7)
  t.equal(directory.schemaOf(7), canonicalSchema(A.schema))
  t.equal(directory.schemaOf(8), undefined)
  t.throws(() => directory.idOf(B), { code: 'SCHEMA_NOT_REGISTERED', message: /test\.B.*migrate/ })
})

t.test('takes ids from the topic and ignores tombstones', async (t) => {
  const directory = createDirectory(nowhere)
  const record = { topic: 'schema-ids', partition: 0, offset: 0n, timestampMs: 0, headers: {} }
  addSchemaIds(directory, [
    { ...record, key: '1', value: Buffer.from(A.schema) },
    { ...record, key: '2', value: null },
  ])
  t.equal(directory.idOf(A), 1)
  t.equal(directory.schemaOf(2), undefined)
})

t.test('an id is asked for once, however many want it, and again only after a failure', async (t) => {
  const asked: number[] = []
  let away = true
  const directory = createDirectory(async (id) => {
    asked.push(id)
    if (away) throw new UpstreamError('REGISTRY_UNAVAILABLE', 'away')
    return A.schema
  })
  await t.rejects(Promise.all([directory.learn(1), directory.learn(1)]), { code: 'REGISTRY_UNAVAILABLE' })
  t.same(asked, [1])
  away = false
  await Promise.all([directory.learn(1), directory.learn(1)])
  await directory.learn(1)
  t.same(asked, [1, 1])
  t.equal(directory.idOf(A), 1)
})

t.test('the memory directory gives each schema an id of its own', async (t) => {
  const directory = memoryDirectory()
  t.equal(directory.idOf(A), 1)
  t.equal(directory.idOf(B), 2)
  t.equal(directory.idOf(relaid(A)), 1)
  await t.rejects(directory.learn(3), { code: 'SCHEMA_UNKNOWN' })
})

t.test('only ids that the topic lacks are written', async (t) => {
  const held = createDirectory(nowhere)
  held.add(1, relaid(A).schema)
  const records = schemaIdRecords(
    held,
    [A, B],
    new Map([
      ['test.A', 1],
      ['test.B', 2],
    ]),
  )
  t.match(records, [{ topic: 'schema-ids', key: '2', value: Buffer.from(canonicalSchema(B.schema)) }])
})

t.test('a registry that is not the one of this log is refused', async (t) => {
  const held = createDirectory(nowhere)
  held.add(1, A.schema)
  t.throws(() => schemaIdRecords(held, [B], new Map([['test.B', 1]])), {
    code: 'REGISTRY_MISMATCH',
    facts: { schema: 'test.B', schemaId: 1 },
  })
})
