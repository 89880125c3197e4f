import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { type AbortedTransaction, committedRecords, type FetchedBatch, type FetchedRecord } from './fetched-records.ts'
import type { LogRecord } from './log-records.ts'
import { freshKafkajs } from './patches/fresh-kafkajs.ts'
import { type DecodeMessages, rawBatches } from './patches/raw-batches.ts'
import type { BatchRecord } from './record-batch.ts'
import { batchBytes, markerBytes } from './testing/log-bytes.ts'

interface Decoder {
  offset: number
}
interface StockRecord {
  readonly offset: string
  readonly timestamp: string
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, Buffer | Buffer[]>>
}
const stock = freshKafkajs([])
const DecoderClass = stock.load<new (bytes: Buffer) => Decoder>('protocol/decoder.js')
const stockBatch = stock.load<(decoder: Decoder) => Promise<{ records: StockRecord[] }>>(
  'protocol/recordBatch/v0/decoder.js',
)
const decode = freshKafkajs([rawBatches]).load<DecodeMessages>('protocol/requests/fetch/v4/decodeMessages.js')

const SOURCE = { topic: 'topic', partition: 3, fromOffset: 0n }
const fetched = (...batches: readonly Buffer[]): Promise<FetchedBatch[]> => {
  const size = Buffer.alloc(4)
  const bytes = Buffer.concat(batches)
  size.writeInt32BE(bytes.length)
  const decoder = new DecoderClass(Buffer.concat([size, bytes])) as unknown as Parameters<DecodeMessages>[0]
  return decode(decoder)
}

const field = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.uint8Array({ maxLength: 9000 }).map((array) => Buffer.from(array)),
)
const records: fc.Arbitrary<BatchRecord[]> = fc.array(
  fc.record(
    {
      key: fc.option(field),
      value: fc.option(field),
      headers: fc.dictionary(
        fc.string({ unit: 'binary', maxLength: 80 }).map((name) => `x-${name}`),
        fc.oneof(field, fc.array(field, { minLength: 2, maxLength: 3 })),
        { maxKeys: 8, noNullPrototype: true },
      ),
      timestamp: fc.integer({ min: 0, max: 2 ** 48 }).map(String),
    },
    { noNullPrototype: true },
  ),
  { minLength: 1, maxLength: 12 },
)

const lastText = (value: Buffer | Buffer[]): string => String(Array.isArray(value) ? value.at(-1) : value)

t.test("every record reads as kafkajs' own decoder reads it", async (t) => {
  await fc.assert(
    fc.asyncProperty(records, fc.nat(2 ** 50), async (all, firstOffset) => {
      const bytes = batchBytes({ firstOffset, records: all })
      const expected = (await stockBatch(new DecoderClass(bytes))).records
      const { records: read, nextOffset } = committedRecords(SOURCE, await fetched(bytes), [])
      assert.equal(nextOffset, BigInt(firstOffset + all.length))
      assert.equal(read.length, expected.length)
      for (const [n, record] of read.entries()) {
        const { offset, timestamp, key, value, headers } = expected[n] as StockRecord
        const texts = Object.fromEntries(Object.entries(headers).map(([name, of]) => [name, lastText(of)]))
        assert.deepEqual(
          { ...parts(record), offset: String(record.offset) },
          {
            ...SOURCE,
            fromOffset: undefined,
            offset,
            timestampMs: Number(timestamp),
            key: key && String(key),
            value,
            headers: texts,
          },
        )
        for (const [name, text] of Object.entries(texts)) {
          // A name is looked for by its bytes, so only ASCII names can be.
          if (Buffer.byteLength(name) === name.length) assert.equal((record as FetchedRecord).header(name), text)
        }
        assert.equal((record as FetchedRecord).header('ce_absent'), undefined)
      }
    }),
    { numRuns: 200 },
  )
  t.pass()
})

const parts = ({ topic, partition, timestampMs, key, value, headers }: LogRecord) => ({
  topic,
  partition,
  fromOffset: undefined,
  timestampMs,
  key,
  value,
  headers,
})

t.test('a topic with LogAppendTime has one time for all records of a batch', async (t) => {
  const records = [{ timestamp: '1000' }, { timestamp: '2000' }]
  const read = committedRecords(
    SOURCE,
    await fetched(batchBytes({ firstOffset: 0, records, logAppendTimeMs: 5000 })),
    [],
  )
  t.same(
    read.records.map(({ timestampMs }) => timestampMs),
    [5000, 5000],
  )
})

const offsetsOf = (records: readonly LogRecord[]): number[] => records.map(({ offset }) => Number(offset))

t.test(
  'what lies before the wanted offset is left out, and the position moves past what compaction removed',
  async (t) => {
    const [whole] = await fetched(batchBytes({ firstOffset: 100, records: [{ key: 'a' }, { key: 'b' }, { key: 'c' }] }))
    const from = (fromOffset: bigint, batch: FetchedBatch | undefined) =>
      committedRecords({ ...SOURCE, fromOffset }, batch === undefined ? [] : [batch], [])
    t.same(offsetsOf(from(101n, whole).records), [101, 102])
    t.equal(from(101n, whole).nextOffset, 103n)
    const compacted = { ...(whole as FetchedBatch), nextOffset: 600 }
    t.same(from(103n, compacted), { records: [], nextOffset: 600n }, 'one fetch passes the removed tail of a batch')
    t.same(from(100n, { ...compacted, count: 0 }), { records: [], nextOffset: 600n }, 'and a batch without survivors')
    t.same(from(100n, undefined), { records: [], nextOffset: 100n }, 'an empty fetch stays where it is')
    t.equal(from(700n, compacted).nextOffset, 700n, 'an old batch does not lead back')
  },
)

t.test('a batch that is not one is an error', async (t) => {
  const [batch] = await fetched(batchBytes({ firstOffset: 7, records: [{ key: 'a', value: 'b' }] }))
  const broken = { ...(batch as FetchedBatch), count: 1000 }
  t.throws(() => committedRecords(SOURCE, [broken], []), { code: 'BATCH_CORRUPT', retryable: true })
})

/** A log of batches of one record; what is still open at the end is beyond the last stable offset: aborted. */
const writeLog = (steps: readonly { readonly producer: number; readonly act: string; readonly key: Buffer }[]) => {
  const log: Buffer[] = []
  const open = new Map<number, number[]>()
  const transactions: (AbortedTransaction & { endsAt: number })[] = []
  const committed: number[] = []
  const end = (producerId: number, commit: boolean): void => {
    const offsets = open.get(producerId)
    const firstOffset = offsets?.[0]
    if (offsets === undefined || firstOffset === undefined) return
    if (commit) committed.push(...offsets)
    else transactions.push({ producerId: String(producerId), firstOffset: String(firstOffset), endsAt: log.length })
    log.push(markerBytes(log.length, producerId, commit))
    open.delete(producerId)
  }
  for (const { producer, act, key } of steps) {
    if (act === 'write') {
      open.set(producer, [...(open.get(producer) ?? []), log.length])
      log.push(batchBytes({ firstOffset: log.length, records: [{ key }], producerId: producer, transactional: true }))
    } else if (act === 'plain') {
      committed.push(log.length)
      log.push(batchBytes({ firstOffset: log.length, records: [{ key }] }))
    } else end(producer, act === 'commit')
  }
  for (const producer of [...open.keys()]) end(producer, false)
  return { log, transactions, committed: committed.sort((a, b) => a - b) }
}

t.test('exactly the committed records of any interleaving are seen, from any start', async (t) => {
  const step = fc.record({
    producer: fc.integer({ min: 1, max: 4 }),
    act: fc.constantFrom('write', 'plain', 'commit', 'abort'),
    key: fc.constantFrom(Buffer.from('k'), Buffer.from([0, 0, 0, 0])), // the second looks like an abort marker
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), fc.nat(70), async (steps, start) => {
      const { log, transactions, committed } = writeLog(steps)
      const from = Math.min(start, log.length)
      // As the broker lists them: sorted by marker, those that end at or after the start.
      const listed = transactions.filter(({ endsAt }) => endsAt >= from)
      const batches = await fetched(...log.slice(from))
      const read = committedRecords({ ...SOURCE, fromOffset: BigInt(from) }, batches, listed)
      assert.deepEqual(
        offsetsOf(read.records),
        committed.filter((offset) => offset >= from),
      )
      assert.equal(read.nextOffset, BigInt(log.length))
    }),
    { numRuns: 200 },
  )
  t.pass()
})
