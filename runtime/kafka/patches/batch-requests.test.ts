import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { BatchBuilder, type BatchRecord } from '../record-batch.ts'
import { batchRequests, type CreateRequest, type ProduceV3 } from './batch-requests.ts'
import { freshKafkajs } from './fresh-kafkajs.ts'
import type { KafkajsPatch } from './modules.ts'

const NOW_MS = 1_767_225_600_000
const LATEST = 'protocol/requests/produce/v7/request.js'

interface Batch {
  readonly topic: string
  readonly partition: number
  readonly firstSequence: number
  readonly messages: readonly BatchRecord[]
}
interface Sent {
  readonly transactionalId: string | undefined
  readonly producerId: string
  readonly clientId: string
  readonly batches: readonly Batch[]
}

/** The bytes of a Produce request as they would go to the socket. */
const bytesOf = async (patches: readonly KafkajsPatch[], sent: Sent, wrap: (batch: Batch) => unknown) => {
  const modules = freshKafkajs(patches)
  const { transactionalId, producerId, clientId, batches } = sent
  const request = modules.load<ProduceV3>(LATEST)({
    acks: -1,
    timeout: 4000,
    ...(transactionalId !== undefined && { transactionalId }),
    producerId: BigInt(producerId),
    producerEpoch: 2,
    topicData: batches.map((batch) => ({
      topic: batch.topic,
      partitions: [{ partition: batch.partition, firstSequence: batch.firstSequence, messages: wrap(batch) }],
    })),
  })
  const createRequest = modules.load<CreateRequest>('protocol/request.js')
  return (await createRequest({ correlationId: 42, clientId, request })).buffer
}

const built = ({ messages }: Batch): BatchBuilder => {
  const builder = new BatchBuilder()
  for (const message of messages) builder.add(message, NOW_MS)
  return builder
}

const field = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 100 }),
  fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
)
// One time for all: stock counts from the smallest timestamp of a batch, taken as text; we from the first.
const message: fc.Arbitrary<BatchRecord> = fc.record(
  {
    key: fc.option(field),
    value: fc.option(field),
    headers: fc.dictionary(fc.string({ maxLength: 60 }), field, { noNullPrototype: true }),
    timestamp: fc.constant(String(NOW_MS)),
  },
  { noNullPrototype: true },
)
const sent: fc.Arbitrary<Sent> = fc.record({
  transactionalId: fc.option(fc.string({ unit: 'binary', minLength: 1 }), { nil: undefined }),
  producerId: fc.bigInt({ min: 0n, max: 2n ** 62n }).map(String),
  clientId: fc.string({ unit: 'binary' }),
  batches: fc.array(
    fc.record({
      topic: fc.string({ unit: 'binary', minLength: 1 }),
      partition: fc.nat(100),
      firstSequence: fc.nat(2 ** 31 - 1),
      messages: fc.array(message, { minLength: 1, maxLength: 8 }),
    }),
    { maxLength: 4 },
  ),
})

t.test('a Produce request has the bytes that stock would send, checksums included', async (t) => {
  await fc.assert(
    fc.asyncProperty(sent, async (one) => {
      const stock = await bytesOf([], one, ({ messages }) => messages)
      assert.deepEqual(await bytesOf([batchRequests], one, built), stock)
    }),
    { numRuns: 40 },
  )
  t.pass()
})

t.test('every other request is framed as before', async (t) => {
  const frame = async (patches: readonly KafkajsPatch[]) => {
    const modules = freshKafkajs(patches)
    const metadata = modules.load<(of: object) => Parameters<CreateRequest>[0]['request']>(
      'protocol/requests/metadata/v5/request.js',
    )
    const request = metadata({ topics: ['täglich', 'b'], allowAutoTopicCreation: false })
    return (await modules.load<CreateRequest>('protocol/request.js')({ correlationId: 7, clientId: 'me', request }))
      .buffer
  }
  t.same(await frame([batchRequests]), await frame([]))
})

t.test('messages that are no batch are refused', async (t) => {
  const one = { topic: 't', partition: 0, firstSequence: 0, messages: [{ key: 'k', value: 'v' }] }
  const request = { transactionalId: undefined, producerId: '1', clientId: 'c', batches: [one] }
  await t.rejects(
    bytesOf([batchRequests], request, ({ messages }) => messages),
    { code: 'BATCH_MISSING' },
  )
})
