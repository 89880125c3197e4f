import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { freshKafkajs } from './patches/fresh-kafkajs.ts'
import { BatchBuilder, type BatchRecord, MAX_BATCH_BYTES } from './record-batch.ts'

interface StockDecoder {
  offset: number
}
interface StockRecord {
  readonly offset: string
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, unknown>>
  readonly batchContext: Readonly<Record<string, unknown>>
}
const stock = freshKafkajs([])
const Decoder = stock.load<new (bytes: Buffer) => StockDecoder>('protocol/decoder.js')
const decodeBatch = stock.load<(decoder: StockDecoder) => Promise<{ records: StockRecord[] }>>(
  'protocol/recordBatch/v0/decoder.js',
)

const NOW_MS = 1_767_225_600_000
const OWNER = { producerId: '4711', producerEpoch: 3, firstSequence: 17, transactional: true }

const bytes = fc.uint8Array({ maxLength: 9000 }).map((array) => Buffer.from(array))
/** Around the lengths at which a varint takes one byte more. */
const edge = fc.constantFrom(0, 1, 46, 47, 48, 49, 62, 63, 64, 8100, 8150, 8191, 8192, 8193).map((n) => 'y'.repeat(n))
const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 80 }), edge)
const field = fc.oneof(text, bytes)
/** A name that occurs twice arrives as an array. Stock takes `valueOf` and the like for names that it has seen. */
const headers = fc.dictionary(
  fc.string({ unit: 'grapheme', maxLength: 60 }).map((name) => `x-${name}`),
  fc.oneof(field, fc.array(field, { minLength: 2, maxLength: 3 })),
  { maxKeys: 8, noNullPrototype: true },
)
/** What a record has in common with the one before it is copied. */
const envelope = fc.record(
  {
    'x-version': fc.constant('1.0'),
    'x-type': fc.constantFrom('a', 'b'),
    'x-bytes': fc.constantFrom(Buffer.from('a'), ['a', 'b']),
    'x-id': fc.string(),
    'x-source': fc.constantFrom('/s', '/ß'),
  },
  { requiredKeys: ['x-version', 'x-id'], noNullPrototype: true },
)
const records: fc.Arbitrary<BatchRecord[]> = fc.array(
  fc.record(
    {
      key: fc.option(field),
      value: fc.option(field),
      headers: fc.oneof(headers, { arbitrary: envelope, weight: 3 }),
      timestamp: fc.oneof(fc.constant(NOW_MS), fc.integer({ min: 0, max: 2 ** 48 })).map(String),
    },
    { noNullPrototype: true },
  ),
  { minLength: 1, maxLength: 12 },
)

const builderOf = (all: readonly BatchRecord[]): BatchBuilder => {
  const builder = new BatchBuilder()
  for (const record of all) builder.add(record, NOW_MS)
  return builder
}
const asBytes = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(asBytes)
  return typeof value === 'string' ? Buffer.from(value) : (value ?? null)
}

t.test("kafkajs' own decoder reads what was written", async (t) => {
  await fc.assert(
    fc.asyncProperty(records, async (all) => {
      const sealed = builderOf(all).seal(OWNER)
      const { records: read } = await decodeBatch(new Decoder(Buffer.from(sealed)))
      assert.equal(read.length, all.length)
      for (const [n, record] of read.entries()) {
        const wrote = all[n] as BatchRecord
        assert.equal(record.offset, String(n))
        assert.equal(record.timestamp, wrote.timestamp)
        assert.deepEqual(record.key, asBytes(wrote.key))
        assert.deepEqual(record.value, asBytes(wrote.value))
        const wroteHeaders = Object.entries(wrote.headers ?? {}).map(([name, value]) => [name, asBytes(value)])
        assert.deepEqual({ ...record.headers }, Object.fromEntries(wroteHeaders))
      }
      const { producerId, producerEpoch, firstSequence, inTransaction, maxTimestamp } = read[0]?.batchContext ?? {}
      assert.deepEqual({ producerId, producerEpoch, firstSequence, transactional: inTransaction }, OWNER)
      assert.equal(maxTimestamp, String(Math.max(...all.map(({ timestamp }) => Number(timestamp)))))
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('a record without key, value, headers and time of its own', async (t) => {
  const { records: read } = await decodeBatch(new Decoder(Buffer.from(builderOf([{}]).seal(OWNER))))
  t.match(read, [{ key: null, value: null, timestamp: String(NOW_MS) }])
})

t.test('may be sealed again, for another attempt', async (t) => {
  const builder = builderOf([{ key: 'a', value: 'b' }])
  const first = Buffer.from(builder.seal(OWNER))
  builder.seal({ ...OWNER, firstSequence: 99, producerEpoch: 4 })
  t.same(builder.seal(OWNER), first)
})

t.test('takes what fits, refuses what does not and is as it was, and holds one record of any size', async (t) => {
  await fc.assert(
    fc.asyncProperty(records, fc.nat(5_000), async (all, room) => {
      const builder = new BatchBuilder()
      assert.ok(builder.add({ value: Buffer.alloc(MAX_BATCH_BYTES - 100 - room) }, NOW_MS))
      const taken = all.filter((record) => {
        const sizeBytes = builder.sizeBytes
        if (builder.add(record, NOW_MS)) return true
        assert.equal(builder.sizeBytes, sizeBytes)
        return false
      })
      assert.ok(builder.sizeBytes <= MAX_BATCH_BYTES)
      const { records: read } = await decodeBatch(new Decoder(Buffer.from(builder.seal(OWNER))))
      assert.deepEqual(
        read.slice(1).map(({ value }) => value),
        taken.map(({ value }) => asBytes(value)),
      )
      assert.equal(
        read[0]?.batchContext.maxTimestamp,
        String(Math.max(NOW_MS, ...taken.map((one) => Number(one.timestamp)))),
      )
    }),
    { numRuns: 50 },
  )
  t.ok(new BatchBuilder().add({ value: Buffer.alloc(2 * MAX_BATCH_BYTES) }, NOW_MS))
})

t.test('bytes that were released are another batch afterwards', async (t) => {
  const first = builderOf([{ key: 'a', value: 'x'.repeat(5_000) }])
  first.release()
  const second = builderOf([{ key: 'b' }])
  const { records: read } = await decodeBatch(new Decoder(Buffer.from(second.seal(OWNER))))
  t.match(read, [{ key: Buffer.from('b'), value: null }])
  t.equal(first.length, 0)
})

t.test('an encoder that takes messages refuses it', async (t) => {
  const produce = stock.load<(request: object) => { encode(): Promise<unknown> }>(
    'protocol/requests/produce/v3/request.js',
  )
  const messages = builderOf([{ key: 'a' }])
  const request = produce({
    acks: -1,
    timeout: 1,
    topicData: [{ topic: 't', partitions: [{ partition: 0, messages }] }],
  })
  await t.rejects(request.encode(), { code: 'BATCH_MISROUTED' })
})
