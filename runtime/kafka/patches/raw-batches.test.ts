import t from 'tap'
import type { FetchedBatch } from '../fetched-records.ts'
import { batchBytes } from '../testing/log-bytes.ts'
import { freshKafkajs } from './fresh-kafkajs.ts'
import { type DecodeMessages, rawBatches } from './raw-batches.ts'

interface Encoder {
  readonly buffer: Buffer
  writeBytes(bytes: Buffer): Encoder
}

const modules = freshKafkajs([rawBatches])
const EncoderClass = modules.load<new () => Encoder>('protocol/encoder.js')
const DecoderClass = modules.load<new (bytes: Buffer) => Parameters<DecodeMessages>[0]>('protocol/decoder.js')
const decode = modules.load<DecodeMessages>('protocol/requests/fetch/v4/decodeMessages.js')

const decoded = (recordSet: Buffer): Promise<FetchedBatch[]> =>
  decode(new DecoderClass(new EncoderClass().writeBytes(recordSet).buffer))

const batch = (firstOffset: number, count: number): Buffer =>
  batchBytes({ firstOffset, records: Array.from({ length: count }, (_, n) => ({ key: `k${n}`, timestamp: '1000' })) })

t.test('every batch of a fetch, with what it says of itself', async (t) => {
  const both = await decoded(Buffer.concat([batch(10, 3), batch(13, 2)]))
  t.match(both, [
    { firstOffset: 10, nextOffset: 13, count: 3, firstTimestampMs: 1000, maxTimestampMs: 1000, producerId: -1n },
    { firstOffset: 13, nextOffset: 15, count: 2 },
  ])
})

t.test('a last batch that is cut waits for the next fetch, wherever it is cut', async (t) => {
  const [first, second] = [batch(10, 3), batch(13, 2)]
  for (let missing = 1; missing <= second.length; missing++) {
    const found = await decoded(Buffer.concat([first, second.subarray(0, -missing)]))
    if (found.length !== 1) t.fail(`${missing} bytes missing: ${found.length} batches`)
  }
})

t.test('an empty fetch has none', async (t) => t.same(await decoded(Buffer.alloc(0)), []))

t.test('a compressed batch is decompressed', async (t) => {
  const { RecordBatch } = modules.load<{ RecordBatch(fields: object): Promise<Encoder> }>(
    'protocol/recordBatch/v0/index.js',
  )
  const Record = modules.load<(fields: object) => object>('protocol/recordBatch/record/v0/index.js')
  const GZIP = 1
  const records = [Record({ key: 'k', value: 'v'.repeat(1000) })]
  const { buffer } = await RecordBatch({ compression: GZIP, firstTimestamp: 1, maxTimestamp: 1, records })
  const [found] = await decoded(buffer)
  t.ok(found?.bytes.includes('v'.repeat(1000)))
})

t.test('another format is an error, not an empty fetch', async (t) => {
  const old = batch(10, 1)
  old[16] = 1
  await t.rejects(decoded(old), { code: 'BATCH_CORRUPT' })
})
