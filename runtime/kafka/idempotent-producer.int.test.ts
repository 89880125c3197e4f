import t, { type Test } from 'tap'
import type { Kafka } from './client.ts'
import { createIdempotentProducer, type IdempotentProducer } from './idempotent-producer.ts'
import { createPartitionReader } from './partition-reader.ts'
import { API_KEYS, observedSockets } from './testing/observed-sockets.ts'
import { createTopic, realKafka, textRecord, uniqueName } from './testing/real-kafka.ts'

const kafka = realKafka()

const producerFor = (t: Test, of: Kafka = kafka): IdempotentProducer => {
  const producer = createIdempotentProducer(of)
  t.teardown(() => producer.close())
  return producer
}

/** Values of a partition by offset. */
const read = async (topic: string, partition = 0): Promise<Map<bigint, string>> => {
  const reader = await createPartitionReader(kafka)
  const values = new Map<bigint, string>()
  await reader.readToEnd(topic, partition, 0n, (records) => {
    for (const { offset, value } of records) values.set(offset, String(value))
  })
  await reader.close()
  return values
}

t.test('says for each record where it is, in the order given', async (t) => {
  const topics = [await createTopic(kafka, 'left', { partitions: 3 }), await createTopic(kafka, 'right')]
  const [left = '', right = ''] = topics
  const records = [
    textRecord(left, 'k', 'a', 2),
    textRecord(right, 'k', 'b', 0),
    textRecord(left, 'k', 'c', 0),
    textRecord(left, 'k', 'd', 2),
  ]
  const sent = await producerFor(t).send(records)
  t.same(sent, [
    { topic: left, partition: 2, offset: 0n },
    { topic: right, partition: 0, offset: 0n },
    { topic: left, partition: 0, offset: 0n },
    { topic: left, partition: 2, offset: 1n },
  ])
  t.same([...(await read(left, 2)).values()], ['a', 'd'])
})

t.test('calls that arrive together go out together, each with its own answer, in order', async (t) => {
  const topic = await createTopic(kafka, 'burst', { partitions: 2 })
  const { socketFactory, sent } = observedSockets()
  const producer = producerFor(t, realKafka({ socketFactory }))
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, n) => producer.send([textRecord(topic, `key ${n}`, `value ${n}`)])),
  )
  const log = [await read(topic, 0), await read(topic, 1)]
  for (const [n, [place]] of answers.entries()) {
    if (place !== undefined) t.equal(log[place.partition]?.get(place.offset), `value ${n}`)
  }
  t.ok(sent(API_KEYS.produce) <= 3, `${sent(API_KEYS.produce)} requests for 200 calls`)
})

t.test('a record whose answer was lost is there once, and keeps its place', async (t) => {
  const topic = await createTopic(kafka, 'lost')
  const sockets = observedSockets()
  const producer = producerFor(t, realKafka({ socketFactory: sockets.socketFactory }))
  await producer.send([textRecord(topic, 'k', 'first')])
  sockets.loseNextResponseTo(API_KEYS.produce)
  const places = await Promise.all(['doubtful', 'next'].map((value) => producer.send([textRecord(topic, 'k', value)])))
  t.equal(sockets.lost(), 1)
  t.same([...(await read(topic)).values()], ['first', 'doubtful', 'next'])
  t.same(
    places.flat().map(({ offset }) => offset),
    [1n, 2n],
  )
})

t.test('a record too large for the log is refused before anything is sent', async (t) => {
  const topic = await createTopic(kafka, 'large')
  const producer = producerFor(t)
  const records = [textRecord(topic, 'k', 'small'), textRecord(topic, 'k', 'x'.repeat(900_000))]
  await t.rejects(producer.send(records), { code: 'RECORD_TOO_LARGE', facts: { topic, key: 'k' } })
  t.equal((await read(topic)).size, 0)
})

t.test('more than one request holds is sent in parts', async (t) => {
  const topic = await createTopic(kafka, 'parts')
  const half = 'x'.repeat(500_000)
  const sent = await producerFor(t).send(['a', 'b', 'c'].map((key) => textRecord(topic, key, half)))
  t.same(
    sent.map(({ offset }) => offset),
    [0n, 1n, 2n],
  )
})

t.test('a failed send says so, and the next one starts afresh', async (t) => {
  const topic = await createTopic(kafka, 'refusing', { config: { 'max.message.bytes': '1000' } })
  const producer = producerFor(t)
  await t.rejects(producer.send([textRecord(topic, 'k', 'x'.repeat(5000))]), { code: 'SEND_FAILED', retryable: false })
  await producer.send([textRecord(topic, 'k', 'small')])
  t.same([...(await read(topic)).values()], ['small'])
})

t.test('no broker is an error that can be tried again', async (t) => {
  const producer = producerFor(t, realKafka({ brokers: ['127.0.0.1:1'], retries: 1 }))
  const failed = { code: 'SEND_FAILED', retryable: true }
  await t.rejects(producer.send([textRecord(uniqueName('nowhere'), 'k', 'v')]), failed)
  await t.rejects(producer.send([textRecord(uniqueName('nowhere'), 'k', 'v')]), failed, 'each time')
})

t.test('a closed producer sends what it has accepted, and no more', async (t) => {
  const topic = await createTopic(kafka, 'closed')
  const producer = createIdempotentProducer(kafka)
  const accepted = producer.send([textRecord(topic, 'k', 'accepted')])
  await producer.close()
  t.match(await accepted, [{ offset: 0n }])
  await t.rejects(producer.send([textRecord(topic, 'k', 'late')]), { code: 'PRODUCER_CLOSED' })
})
