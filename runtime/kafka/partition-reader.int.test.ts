import t, { type Test } from 'tap'
import type { Kafka } from './client.ts'
import type { LogRecord } from './log-records.ts'
import { createPartitionReader, type PartitionReader } from './partition-reader.ts'
import { observedSockets } from './testing/observed-sockets.ts'
import { append, createTopic, realKafka, uniqueName, until } from './testing/real-kafka.ts'

const kafka = realKafka()

const readerFor = async (t: Test, of: Kafka = kafka): Promise<PartitionReader> => {
  const reader = await createPartitionReader(of)
  t.teardown(() => reader.close())
  return reader
}

const readAll = async (
  reader: PartitionReader,
  topic: string,
  from = 0n,
): Promise<{ values: string[]; next: bigint }> => {
  const values: string[] = []
  const next = await reader.readToEnd(topic, 0, from, (records) => {
    values.push(...records.map(({ value }) => String(value)))
  })
  return { values, next }
}

/** Writes the values and aborts them: a second writer with the same id ends the transaction of the first. */
const appendAborted = async (topic: string, values: readonly string[]): Promise<void> => {
  const producer = kafka.producer({ transactionalId: uniqueName('aborted'), maxInFlightRequests: 1 })
  await producer.connect()
  const transaction = await producer.transaction()
  await transaction.send({ topic, messages: values.map((value) => ({ key: value, value, partition: 0 })) })
  await transaction.abort()
  await producer.disconnect()
}

t.test('reads every committed record and no aborted one, in order', async (t) => {
  const topic = await createTopic(kafka, 'reader')
  const reader = await readerFor(t)
  await append(kafka, topic, ['a', 'b'])
  await appendAborted(topic, ['x', 'y'])
  await append(kafka, topic, ['c'])
  await appendAborted(topic, ['z'])
  const { values, next } = await readAll(reader, topic)
  t.same(values, ['a', 'b', 'c'])
  const { beginning, end } = await reader.offsets(topic, 0)
  t.equal(beginning, 0n)
  t.equal(next, end, 'the end includes the markers after the last record')
})

t.test('reads none of the aborted records of interleaved transactions, whatever the size of a fetch', async (t) => {
  const topic = await createTopic(kafka, 'interleaved')
  const committed = await appendInterleaved(topic)
  const { values } = await readAll(await readerFor(t), topic)
  t.same(values.toSorted(), committed.toSorted())
})

/** Four producers write to one partition at the same time; each second transaction of each is aborted. */
const appendInterleaved = async (topic: string): Promise<string[]> => {
  const committed: string[] = []
  await Promise.all(
    Array.from({ length: 4 }, async (_, p) => {
      const producer = kafka.producer({ transactionalId: uniqueName('interleaved'), maxInFlightRequests: 1 })
      await producer.connect()
      for (let n = 0; n < 12; n += 1) {
        const transaction = await producer.transaction()
        const values = Array.from({ length: 3 }, (_, i) => `producer ${p} transaction ${n} record ${i}`)
        for (const value of values) await transaction.send({ topic, messages: [{ key: value, value, partition: 0 }] })
        if ((n + p) % 2 === 0) await transaction.abort()
        else {
          await transaction.commit()
          committed.push(...values)
        }
      }
      await producer.disconnect()
    }),
  )
  return committed
}

t.test('a topic that ends in markers only ends', async (t) => {
  const topic = await createTopic(kafka, 'markers')
  await appendAborted(topic, ['x'])
  const { values, next } = await readAll(await readerFor(t), topic)
  t.same(values, [])
  t.equal(next, 2n)
})

t.test('does not wait for an open transaction', async (t) => {
  const topic = await createTopic(kafka, 'open')
  await append(kafka, topic, ['before'])
  const producer = kafka.producer({ transactionalId: uniqueName('open'), maxInFlightRequests: 1 })
  await producer.connect()
  t.teardown(() => producer.disconnect())
  const transaction = await producer.transaction()
  await transaction.send({ topic, messages: [{ key: 'open', value: 'open' }] })
  const { values, next } = await readAll(await readerFor(t), topic)
  t.same(values, ['before'])
  t.equal(next, 1n)
  await transaction.abort()
})

t.test('goes on where it stopped', async (t) => {
  const topic = await createTopic(kafka, 'resumed')
  const reader = await readerFor(t)
  await append(kafka, topic, ['a', 'b'])
  const { next } = await readAll(reader, topic)
  t.same(await readAll(reader, topic, next), { values: [], next })
  await append(kafka, topic, ['c'])
  t.same(await readAll(reader, topic, next), { values: ['c'], next: next + 1n })
})

t.test('many reads share one reader', async (t) => {
  const topic = await createTopic(kafka, 'shared')
  const values = Array.from({ length: 2000 }, (_, n) => `value ${n}`)
  await append(kafka, topic, values)
  const reader = await readerFor(t)
  const reads = await Promise.all(Array.from({ length: 4 }, () => readAll(reader, topic)))
  for (const read of reads) t.same(read.values, values)
})

t.test('never skips over a hole in the log', async (t) => {
  const topic = await createTopic(kafka, 'hole')
  await append(kafka, topic, ['a', 'b', 'c'])
  const admin = kafka.admin()
  await admin.connect()
  await admin.fetchTopicOffsets(topic) // deleteTopicRecords does not load the metadata it needs
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '2' }] })
  await admin.disconnect()
  const reader = await readerFor(t)
  t.equal((await reader.offsets(topic, 0)).beginning, 2n)
  await t.rejects(readAll(reader, topic), { code: 'OFFSET_OUT_OF_RANGE', retryable: false })
  t.same((await readAll(reader, topic, 2n)).values, ['c'])
})

t.test('a partition that does not exist is an error after a while', async (t) => {
  const reader = await createPartitionReader(kafka, { patienceMs: 300 })
  t.teardown(() => reader.close())
  await t.rejects(reader.offsets(uniqueName('missing'), 0), { code: 'PARTITION_UNREADABLE', retryable: true })
})

t.test('no broker is an error that can be tried again', async (t) => {
  const nowhere = realKafka({ brokers: ['127.0.0.1:1'], retries: 2 })
  await t.rejects(createPartitionReader(nowhere), { code: 'KAFKA_UNAVAILABLE', retryable: true })
})

t.test('a handler that throws ends the read with its error', async (t) => {
  const topic = await createTopic(kafka, 'throws')
  await append(kafka, topic, ['a'])
  const reader = await readerFor(t)
  const failing = reader.readToEnd(topic, 0, 0n, async () => {
    throw new Error('the disk is full')
  })
  await t.rejects(failing, { message: 'the disk is full' })
})

t.test('a tail follows the log until it is told to stop', async (t) => {
  const topic = await createTopic(kafka, 'tail')
  await append(kafka, topic, ['a'])
  const stop = new AbortController()
  const seen: LogRecord[] = []
  const following = (async () => {
    for await (const { records } of (await readerFor(t)).tail(topic, 0, 0n, stop.signal)) seen.push(...records)
  })()
  await until(t, 'the first record is seen', () => seen.length === 1)
  await append(kafka, topic, ['b'])
  await until(t, 'the second record is seen', () => seen.length === 2)
  stop.abort()
  await following
  t.match(seen, [
    { topic, partition: 0, offset: 0n, key: 'a' },
    { topic, partition: 0, offset: 1n, key: 'b' },
  ])
})

/** A reader of a topic with one record, whose broker goes away; what it costs to reach it again is far more than `soon`. */
const readerOfLostBroker = async (t: Test) => {
  const sockets = observedSockets()
  const topic = await createTopic(kafka, 'lost')
  await append(kafka, topic, ['a'])
  const reader = await readerFor(t, realKafka({ socketFactory: sockets.socketFactory }))
  const lose = async () => {
    sockets.cut()
    await until(t, 'it is asked for again', () => sockets.refused() > 2)
  }
  return { topic, reader, lose }
}
const SOON_MS = 1_000

const tookMs = async (work: Promise<unknown>): Promise<number> => {
  const startedAt = performance.now()
  await work
  return performance.now() - startedAt
}

t.test('a tail ends at once also while its broker is away', async (t) => {
  const { topic, reader, lose } = await readerOfLostBroker(t)
  const stop = new AbortController()
  const seen: LogRecord[] = []
  const following = (async () => {
    for await (const { records } of reader.tail(topic, 0, 0n, stop.signal)) seen.push(...records)
  })()
  await until(t, 'the first record is seen', () => seen.length === 1)
  await lose()
  stop.abort()
  const ms = await tookMs(following)
  t.ok(ms < SOON_MS, `after ${ms} ms`)
})

t.test('a tail that is still looking for its broker ends at once', async (t) => {
  const { topic, reader, lose } = await readerOfLostBroker(t)
  const losing = lose()
  const stop = new AbortController()
  const following = (async () => {
    for await (const _ of reader.tail(topic, 0, 0n, stop.signal)) t.fail('nothing can be read')
  })()
  await losing
  stop.abort()
  const ms = await tookMs(following)
  t.ok(ms < SOON_MS, `after ${ms} ms`)
})

t.test('closing ends what waits for a broker that is away', async (t) => {
  const { topic, reader, lose } = await readerOfLostBroker(t)
  const losing = lose()
  const asking = t.rejects(reader.offsets(topic, 0), { code: 'READER_CLOSED' })
  await losing
  const ms = await tookMs(Promise.all([reader.close(), asking]))
  t.ok(ms < SOON_MS, `after ${ms} ms`)
})
