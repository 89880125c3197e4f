import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { BadInputError } from '../../platform/errors.ts'
import { type AvroSchema, createCodec } from './avro.ts'
import { memoryDirectory } from './schema-directory.ts'

interface Parcel {
  readonly id: string
  readonly atMs: number
  readonly weight: number | null
  readonly size: 'SMALL' | 'LARGE'
  readonly seal: Buffer
  readonly stops: readonly { readonly place: string; readonly minutes: number }[]
  readonly labels: Readonly<Record<string, string>>
  readonly fragile: boolean
}

const record = <T>(name: string, fields: object[]): AvroSchema<T> => ({
  name: `test.${name}`,
  schema: JSON.stringify({ type: 'record', name, namespace: 'test', fields }),
})

const parcelFields = [
  { name: 'id', type: 'string' },
  { name: 'atMs', type: { type: 'long', logicalType: 'timestamp-millis' } },
  { name: 'weight', type: ['null', 'double'], default: null },
  { name: 'size', type: { type: 'enum', name: 'Size', symbols: ['SMALL', 'LARGE'], default: 'SMALL' } },
  { name: 'seal', type: 'bytes' },
  {
    name: 'stops',
    type: {
      type: 'array',
      items: {
        type: 'record',
        name: 'Stop',
        fields: [
          { name: 'place', type: 'string' },
          { name: 'minutes', type: 'int' },
        ],
      },
    },
  },
  { name: 'labels', type: { type: 'map', values: 'string' } },
  { name: 'fragile', type: 'boolean' },
]
const Parcel = record<Parcel>('Parcel', parcelFields)

const parcel: Parcel = {
  id: 'p1',
  atMs: Date.UTC(2026, 0, 1),
  weight: null,
  size: 'LARGE',
  seal: Buffer.from([1, 2, 3]),
  stops: [{ place: 'Zürich', minutes: 5 }],
  labels: { to: 'Bern' },
  fragile: true,
}

const open = () => {
  const directory = memoryDirectory()
  return { directory, codec: createCodec(directory) }
}

t.test('a value comes back as it was, as plain objects', async (t) => {
  const { codec } = open()
  const bytes = codec.encode(Parcel, parcel)
  const decoded = codec.decode(Parcel, bytes)
  assert.deepStrictEqual(decoded, parcel)
  assert.deepStrictEqual(structuredClone(decoded).stops, parcel.stops)
  t.same([...bytes.subarray(0, 5)], [0, 0, 0, 0, 1], 'Confluent wire format: zero, id')
  t.equal(codec.schemaId(bytes), 1)
  t.equal(codec.writerName(bytes), 'test.Parcel')
  t.ok(codec.knows(1))
  t.notOk(codec.knows(2))
})

/** avsc's own limit: the two numbers nearest to 2^53 are refused. */
const MOST = Number.MAX_SAFE_INTEGER - 1

const parcels: fc.Arbitrary<Parcel> = fc.record(
  {
    id: fc.string({ unit: 'grapheme' }),
    atMs: fc.integer({ min: -MOST, max: MOST }),
    weight: fc.option(fc.double({ noNaN: true })),
    size: fc.constantFrom('SMALL' as const, 'LARGE' as const),
    seal: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    stops: fc.array(fc.record({ place: fc.string(), minutes: fc.integer() }, { noNullPrototype: true })),
    labels: fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true }),
    fragile: fc.boolean(),
  },
  { noNullPrototype: true },
)

t.test('any value comes back as it was', async () => {
  const { codec } = open()
  fc.assert(
    fc.property(parcels, (value) => {
      assert.deepStrictEqual(codec.decode(Parcel, codec.encode(Parcel, value)), value)
    }),
  )
})

t.test('what was encoded stays as it is, however much is encoded after it', async (t) => {
  const { codec } = open()
  const values = Array.from({ length: 2_000 }, (_, n) => ({ ...parcel, id: 'x'.repeat(n % 300), weight: n }))
  const encoded = values.map((value) => codec.encode(Parcel, value))
  t.throws(() => codec.encode(Parcel, { ...parcel, weight: 'heavy' } as never), { code: 'ENCODE_INVALID' })
  assert.deepStrictEqual(
    encoded.map((bytes) => codec.decode(Parcel, bytes)),
    values,
  )
})

t.test('a decoded field of bytes keeps nothing else', async (t) => {
  const { codec } = open()
  const bytes = codec.encode(Parcel, { ...parcel, seal: Buffer.from('seal') })
  const { seal } = codec.decode(Parcel, bytes)
  bytes.fill(0)
  t.equal(String(seal), 'seal')
})

t.test('a value larger than a slab is encoded whole', async (t) => {
  const { codec } = open()
  const large = { ...parcel, id: 'x'.repeat(300_000) }
  t.equal(codec.decode(Parcel, codec.encode(Parcel, large)).id, large.id)
  t.equal(codec.decode(Parcel, codec.encode(Parcel, parcel)).id, 'p1', 'and the next one too')
})

t.test('what does not fit the schema is refused, with every field that is wrong', async (t) => {
  const { codec } = open()
  const wrong = { ...parcel, id: 5, stops: [{ place: 'Bern', minutes: 1.5 }] } as unknown as Parcel
  t.throws(() => codec.encode(Parcel, wrong), {
    code: 'ENCODE_INVALID',
    message: /id is the number 5, expected string.*stops\.0\.minutes is the number 1\.5, expected int/,
  })
  t.throws(() => codec.encode(Parcel, { ...parcel, atMs: 2 ** 53 }), { code: 'ENCODE_INVALID', message: /atMs/ })
  t.throws(() => codec.encode(Parcel, { ...parcel, size: 'HUGE' } as unknown as Parcel), { message: /size/ })
  const { fragile: _missing, ...rest } = parcel
  t.throws(() => codec.encode(Parcel, rest as Parcel), { message: /fragile is missing/ })
})

t.test('a reader sees its own version of what another version wrote', async (t) => {
  const { directory, codec } = open()
  const Old = record<{ id: string; gone: string[] }>('Parcel', [
    { name: 'id', type: 'string' },
    { name: 'gone', type: { type: 'array', items: 'string' } },
  ])
  const New = record<{ id: string; note: string | null }>('Parcel', [
    { name: 'id', type: 'string' },
    { name: 'note', type: ['null', 'string'], default: null },
  ])
  const bytes = codec.encode(Old, { id: 'p1', gone: ['a', 'b'] })
  assert.deepStrictEqual(codec.decode(New, bytes), { id: 'p1', note: null })
  t.equal(codec.writerName(bytes), 'test.Parcel')
  t.not(directory.idOf(Old), directory.idOf(New))
})

t.test('an enum symbol that a reader does not know becomes its default', async (t) => {
  const { codec } = open()
  const sizes = (symbols: string[]) =>
    record<{ size: string }>('Box', [{ name: 'size', type: { type: 'enum', name: 'Size', symbols, default: 'SMALL' } }])
  const bytes = codec.encode(sizes(['SMALL', 'LARGE', 'HUGE']), { size: 'HUGE' })
  t.equal(codec.decode(sizes(['SMALL', 'LARGE']), bytes).size, 'SMALL')
})

t.test('a schema that has not been learned is worth another try', async (t) => {
  const bytes = open().codec.encode(Parcel, parcel)
  const { codec } = open()
  t.throws(() => codec.decode(Parcel, bytes), { code: 'SCHEMA_UNKNOWN', retryable: true, facts: { schemaId: 1 } })
  t.equal(codec.writerName(bytes), undefined)
})

t.test('another record is not this one', async (t) => {
  const { codec } = open()
  const Other = record<{ id: string }>('Other', [{ name: 'id', type: 'string' }])
  const bytes = codec.encode(Other, { id: 'o1' })
  t.throws(() => codec.decode(Parcel, bytes), { code: 'UNDECODABLE', retryable: false })
})

t.test('cut or padded bytes are undecodable', async (t) => {
  const { codec } = open()
  const bytes = codec.encode(Parcel, parcel)
  t.throws(() => codec.decode(Parcel, bytes.subarray(0, -1)), { code: 'UNDECODABLE' })
  t.throws(() => codec.decode(Parcel, Buffer.concat([bytes, Buffer.from([0])])), { code: 'UNDECODABLE' })
  t.throws(() => codec.decode(Parcel, Buffer.from('{"json": true}')), { code: 'UNDECODABLE', message: /no schema id/ })
})

t.test('a few bytes that claim billions of entries are refused at once', async (t) => {
  const { codec } = open()
  const List = record<{ items: string[] }>('List', [{ name: 'items', type: { type: 'array', items: 'string' } }])
  const Empty = record<object>('List', [])
  const Lists = record<{ lists: string[][] }>('Lists', [
    { name: 'lists', type: { type: 'array', items: { type: 'array', items: 'string' } } },
  ])
  const Table = record<{ cells: Record<string, string> }>('Table', [
    { name: 'cells', type: { type: 'map', values: 'string' } },
  ])
  const header = codec.encode(List, { items: [] }).subarray(0, 5)
  const headerOf = <T>(schema: AvroSchema<T>, value: T) => codec.encode(schema, value).subarray(0, 5)
  const billions = Buffer.from([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]) // zigzag of 2^44
  const negative = Buffer.from([0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x01])
  for (const body of [billions, negative]) {
    for (const [schema, head] of [
      [List, header],
      [Lists, headerOf(Lists, { lists: [] })],
      [Table, headerOf(Table, { cells: {} })],
      [Empty, header], // a reader that skips the field
    ] as const) {
      t.throws(() => codec.decode(schema as AvroSchema<unknown>, Buffer.concat([head, body])), { code: 'UNDECODABLE' })
    }
  }
})

t.test('any bytes are a value or undecodable, within a moment', async () => {
  const { codec } = open()
  const head = codec.encode(Parcel, parcel).subarray(0, 5)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        codec.decode(Parcel, Buffer.concat([head, bytes]))
      } catch (error) {
        assert.ok(error instanceof BadInputError && error.code === 'UNDECODABLE')
      }
    }),
    { numRuns: 2000, interruptAfterTimeLimit: 20_000, markInterruptAsFailure: true },
  )
})

t.test('a long that is not exact is refused when it is read, too', async (t) => {
  const { codec } = open()
  const Long = record<{ n: number }>('Long', [{ name: 'n', type: 'long' }])
  const head = codec.encode(Long, { n: 0 }).subarray(0, 5)
  const beyond = Buffer.from([0x82, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20]) // zigzag of 2^53 + 1
  t.throws(() => codec.decode(Long, Buffer.concat([head, beyond])), { code: 'UNDECODABLE' })
})

t.test('a map key that is called like the prototype is a key', async (t) => {
  const { codec } = open()
  const labels = Object.fromEntries([['__proto__', 'x']])
  const decoded = codec.decode(Parcel, codec.encode(Parcel, { ...parcel, labels }))
  t.same(Object.keys(decoded.labels), ['__proto__'])
})
