import t, { type Test } from 'tap'
import { readConfig } from '../../platform/config.ts'
import type { Kafka } from './client.ts'
import { createPartitionReader } from './partition-reader.ts'
import { API_KEYS, observedSockets } from './testing/observed-sockets.ts'
import { createTopic, realKafka, textRecord, uniqueName } from './testing/real-kafka.ts'
import { openTransactionalWriter, type TransactionalWriter } from './transactional-writer.ts'

const kafka = realKafka()

const committed = async (topic: string, partition = 0): Promise<string[]> => {
  const reader = await createPartitionReader(kafka)
  const values: string[] = []
  await reader.readToEnd(topic, partition, 0n, (records) => {
    values.push(...records.map(({ value }) => String(value)))
  })
  await reader.close()
  return values
}

const writerFor = async (t: Test, id: string, of: Kafka = kafka): Promise<TransactionalWriter> => {
  const writer = await openTransactionalWriter(of, id)
  t.teardown(() => writer.close())
  return writer
}

t.test('what is committed together is seen together, over topics and partitions', async (t) => {
  const [first, second] = [await createTopic(kafka, 'out', { partitions: 2 }), await createTopic(kafka, 'state')]
  const writer = await writerFor(t, uniqueName('task'))
  await writer.commit([textRecord(first, 'k', 'a', 0), textRecord(first, 'k', 'b', 1), textRecord(second, 'k', 'c')])
  await writer.commit([textRecord(first, 'k', 'd', 0)])
  await writer.commit([])
  t.same(await committed(first, 0), ['a', 'd'])
  t.same(await committed(first, 1), ['b'])
  t.same(await committed(second), ['c'])
})

t.test('a key keeps its partition, headers and tombstones come through', async (t) => {
  const topic = await createTopic(kafka, 'keys', { partitions: 4 })
  const writer = await writerFor(t, uniqueName('task'))
  await writer.commit([
    { topic, key: 'foobar', value: Buffer.from('1'), headers: { ce_type: 'Ünïcode' } },
    { topic, key: 'foobar', value: null, headers: {} },
  ])
  const reader = await createPartitionReader(kafka)
  t.teardown(() => reader.close())
  // murmur2('foobar') = -790332482, without its sign 1357151166, of 4 partitions the third
  await reader.readToEnd(topic, 2, 0n, (records) => {
    t.match(records, [
      { key: 'foobar', value: Buffer.from('1'), headers: { ce_type: 'Ünïcode' } },
      { key: 'foobar', value: null, headers: {} },
    ])
  })
})

t.test('a transaction larger than one request is one transaction', async (t) => {
  const topic = await createTopic(kafka, 'large')
  const writer = await writerFor(t, uniqueName('task'))
  const half = 'x'.repeat(500_000)
  await writer.commit(['a', 'b', 'c', 'd'].map((key) => textRecord(topic, key, half)))
  t.equal((await committed(topic)).length, 4)
})

t.test('opening takes the id over: the old owner is fenced and its open transaction is gone', async (t) => {
  const topic = await createTopic(kafka, 'fence')
  const id = uniqueName('task')
  const old = await writerFor(t, id)
  await old.commit([textRecord(topic, 'k', 'before')])
  const current = await writerFor(t, id)
  await t.rejects(old.commit([textRecord(topic, 'k', 'zombie')]), { code: 'FENCED', retryable: false })
  await t.rejects(
    old.commit([textRecord(topic, 'k', 'zombie')]),
    { code: 'WRITER_MISUSED' },
    'a dead writer stays dead',
  )
  await current.commit([textRecord(topic, 'k', 'after')])
  t.same(await committed(topic), ['before', 'after'])
})

t.test('one commit at a time', async (t) => {
  const topic = await createTopic(kafka, 'overlap')
  const writer = await writerFor(t, uniqueName('task'))
  const first = writer.commit([textRecord(topic, 'k', 'first')])
  await t.rejects(writer.commit([textRecord(topic, 'k', 'second')]), { code: 'WRITER_MISUSED' })
  await first
  t.same(await committed(topic), ['first'])
})

t.test('a record that the broker refuses is not retryable', async (t) => {
  const topic = await createTopic(kafka, 'refused', { config: { 'max.message.bytes': '1000' } })
  const writer = await writerFor(t, uniqueName('task'))
  await t.rejects(writer.commit([textRecord(topic, 'k', 'x'.repeat(5000))]), {
    code: 'COMMIT_FAILED',
    retryable: false,
    facts: { kafkaError: 'MESSAGE_TOO_LARGE' },
  })
})

for (const [lost, apiKey, expected] of [
  ['Produce', API_KEYS.produce, ['first', 'again']],
  ['EndTxn', API_KEYS.endTxn, ['first', 'doubtful', 'again']],
] as const) {
  t.test(`after a lost ${lost} response a new writer and a fresh read know the truth`, async (t) => {
    const topic = await createTopic(kafka, 'lost')
    const id = uniqueName('task')
    const sockets = observedSockets()
    const writer = await writerFor(t, id, realKafka({ socketFactory: sockets.socketFactory }))
    await writer.commit([textRecord(topic, 'k', 'first')])
    sockets.loseNextResponseTo(apiKey)
    await t.rejects(writer.commit([textRecord(topic, 'k', 'doubtful')]), { code: 'COMMIT_FAILED', retryable: true })
    t.equal(sockets.lost(), 1)

    const next = await writerFor(t, id)
    const truth = await committed(topic)
    await next.commit([textRecord(topic, 'k', 'again')])
    t.same(truth, expected.slice(0, -1), 'readable before the new writer has written anything')
    t.same(await committed(topic), expected)
  })
}

t.test('an unreachable broker is an error that can be tried again', async (t) => {
  const nowhere = realKafka({ brokers: ['127.0.0.1:1'], retries: 2 })
  await t.rejects(openTransactionalWriter(nowhere, uniqueName('task')), { code: 'WRITER_UNAVAILABLE', retryable: true })
})

t.ok(readConfig().kafkaBrokers.length > 0, 'these tests ran against a real broker')
