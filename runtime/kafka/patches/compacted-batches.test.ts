import t from 'tap'
import { compactedBatches, type DecodeMessages } from './compacted-batches.ts'
import { freshKafkajs } from './fresh-kafkajs.ts'
import type { KafkajsPatch } from './modules.ts'

interface Encoder {
  readonly buffer: Buffer
  writeBytes(bytes: Buffer): Encoder
}
interface Batch {
  readonly messages: { offset: string }[]
  isEmptyDueToFiltering(): boolean
  lastOffset(): string
}

/** A consumer's view of one fetch whose record set is these batches of surviving offsets. */
const fetcher = (patches: readonly KafkajsPatch[]) => {
  const modules = freshKafkajs(patches)
  const { RecordBatch } = modules.load<{ RecordBatch(fields: object): Promise<Encoder> }>(
    'protocol/recordBatch/v0/index.js',
  )
  const Record = modules.load<(fields: object) => object>('protocol/recordBatch/record/v0/index.js')
  const EncoderClass = modules.load<new () => Encoder>('protocol/encoder.js')
  const DecoderClass = modules.load<new (bytes: Buffer) => Parameters<DecodeMessages>[0]>('protocol/decoder.js')
  const Long = modules.load<{ fromValue(value: number): object }>('utils/long.js')
  const decode = modules.load<DecodeMessages>('protocol/requests/fetch/v4/decodeMessages.js')
  const BatchClass = modules.load<new (topic: string, from: string, data: object) => Batch>('consumer/batch.js')

  const encode = async (firstOffset: number, lastOffsetDelta: number, offsets: number[]): Promise<Buffer> => {
    const { buffer } = await RecordBatch({
      firstOffset: Long.fromValue(firstOffset),
      attributes: 0,
      partitionLeaderEpoch: 0,
      lastOffsetDelta,
      firstTimestamp: 1,
      maxTimestamp: 1,
      producerId: 1,
      producerEpoch: 0,
      firstSequence: 0,
      compression: 0,
      records: offsets.map((offset) =>
        Record({ offsetDelta: offset - firstOffset, timestampDelta: 0, key: 'k', value: 'v', headers: {} }),
      ),
    })
    buffer.writeBigInt64BE(BigInt(firstOffset), 0) // the encoder leaves it to the broker
    return buffer
  }
  const fetch = async (from: number, batches: Buffer[]): Promise<Batch> => {
    const wire = new EncoderClass().writeBytes(Buffer.concat(batches)).buffer
    const messages = await decode(new DecoderClass(wire))
    return new BatchClass('topic', String(from), {
      partition: 0,
      highWatermark: '10000',
      abortedTransactions: [],
      messages,
    })
  }
  /** How many fetches it takes to get past one batch, at most 1000. */
  const fetchesPast = async (from: number, last: number, batch: Buffer): Promise<number> => {
    let offset = from
    for (let fetches = 1; fetches <= 1000; fetches += 1) {
      const fetched = await fetch(offset, [batch])
      if (!fetched.isEmptyDueToFiltering()) return Number.POSITIVE_INFINITY
      offset = Number(fetched.lastOffset()) + 1
      if (offset > last) return fetches
    }
    return Number.POSITIVE_INFINITY
  }
  return { encode, fetch, fetchesPast }
}

t.test('one fetch passes the compacted tail of a batch', async (t) => {
  const patched = fetcher([compactedBatches])
  t.equal(await patched.fetchesPast(151, 599, await patched.encode(100, 499, [150])), 1)

  const stock = fetcher([])
  t.equal(await stock.fetchesPast(151, 599, await stock.encode(100, 499, [150])), 449, 'stock asks once per offset')
})

t.test('a batch without any survivor is passed', async (t) => {
  const patched = fetcher([compactedBatches])
  t.equal(await patched.fetchesPast(100, 109, await patched.encode(100, 9, [])), 1)

  const stock = fetcher([])
  t.equal(
    await stock.fetchesPast(100, 109, await stock.encode(100, 9, [])),
    Number.POSITIVE_INFINITY,
    'stock stands still',
  )
})

t.test('whole batches come through unchanged, a cut one waits for the next fetch', async (t) => {
  const { encode, fetch } = fetcher([compactedBatches])
  const [first, second] = [await encode(10, 2, [10, 11, 12]), await encode(13, 1, [13, 14])]
  const whole = await fetch(10, [first, second])
  t.same(
    whole.messages.map(({ offset }) => Number(offset)),
    [10, 11, 12, 13, 14],
  )
  t.equal(whole.lastOffset(), '14')
  const cut = await fetch(10, [first, second.subarray(0, -3)])
  t.same(
    cut.messages.map(({ offset }) => Number(offset)),
    [10, 11, 12],
  )
  t.equal(cut.lastOffset(), '12')
})

t.test('an empty fetch stays where it is', async (t) => {
  const { fetch } = fetcher([compactedBatches])
  const empty = await fetch(10, [])
  t.notOk(empty.isEmptyDueToFiltering())
})
