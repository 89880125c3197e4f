import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { envelopeHeaders } from '../codec/envelope.ts'
import { createIdempotentProducer } from '../kafka/idempotent-producer.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import { partitionOfKey } from '../kafka/murmur2.ts'
import { createPartitionReader } from '../kafka/partition-reader.ts'
import { ensureTopics } from '../kafka/topics.ts'
import type { OperatorRequest } from '../state/generated.ts'
import { toRecord } from '../task/changelog.ts'
import { DEAD_LETTERS_TOPIC } from '../task/dead-letter.ts'
import * as shop from '../testing/example.ts'
import { openShop, runShop, type Shop, shopKafka } from '../testing/shop.ts'
import { initialPositions } from './initial-positions.ts'
import { changelogOf } from './kafka-task-log.ts'

/**
 * The engine on a real broker. A process is killed at moments that nobody chose; whatever it was doing, each order is
 * sent once, each of its boxes once and in order.
 */
const PARTITIONS = 2
const PROCESS = path.join(import.meta.dirname, '..', 'testing', 'shop-process.ts')

const prepare = async (t: Test, options: { readonly positions?: boolean } = {}) => {
  const suffix = randomUUID().slice(0, 8)
  const opened = openShop(suffix)
  const kafka = shopKafka(`test-${suffix}`)
  const { orders, deliveries } = opened.topics
  const spec = (name: string, config: Record<string, string>) => ({
    name,
    partitions: PARTITIONS,
    replicationFactor: 1,
    config,
  })
  await ensureTopics(kafka, [
    spec(orders, {}),
    spec(deliveries, {}),
    spec(changelogOf(opened.processor), { 'cleanup.policy': 'compact,delete', 'retention.ms': '-1' }),
    { name: DEAD_LETTERS_TOPIC, partitions: 1, replicationFactor: 1, config: {} },
  ])
  const reader = await createPartitionReader(kafka)
  const producer = createIdempotentProducer(kafka)
  t.teardown(async () => {
    await producer.close()
    await reader.close()
  })
  if (options.positions !== false) {
    await producer.send(await initialPositions([opened.processor], () => PARTITIONS, reader, opened.codec))
  }
  const place = (key: string, boxes: number) => producer.send([order(opened, key, boxes)])
  const delivered = async (): Promise<LogRecord[]> => {
    const all: LogRecord[] = []
    for (let partition = 0; partition < PARTITIONS; partition++) {
      await reader.readToEnd(deliveries, partition, 0n, (records) => void all.push(...records))
    }
    return all
  }
  const changelog = changelogOf(opened.processor)
  const ask = async (command: OperatorRequest['command'], key: string) => {
    const request = { kind: 'request', requestId: randomUUID(), value: { command, key, atMs: Date.now() } } as const
    const record = toRecord(request, opened.codec, {})
    const partition = partitionOfKey(key, PARTITIONS)
    await producer.send([{ topic: changelog, partition, key: record.key, value: record.value, headers: {} }])
  }
  const truncateChangelog = async () => {
    const admin = kafka.admin()
    await admin.connect()
    const partitions = await Promise.all(
      Array.from({ length: PARTITIONS }, async (_, partition) => {
        const { end } = await reader.offsets(changelog, partition)
        return { partition, offset: String(end - 1n) }
      }),
    )
    await admin.fetchTopicOffsets(changelog) // or it has no metadata of the topic
    await admin.deleteTopicRecords({ topic: changelog, partitions })
    await admin.disconnect()
  }
  return { ...opened, suffix, place, delivered, ask, truncateChangelog }
}

const order = ({ topics, codec }: Shop, key: string, boxes: number) => {
  const schema = shop.OrderPlacedSchema
  const headers = envelopeHeaders({
    id: randomUUID(),
    type: schema.name,
    source: '/test',
    timeMs: Date.now(),
    causationId: null,
    traceparent: null,
  })
  return { topic: topics.orders, key, value: codec.encode(schema, { boxes }), headers }
}

const until = async (what: string, condition: () => Promise<boolean>, timeoutMs = 40_000): Promise<void> => {
  const end = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await delay(50)
  }
}

const ofType = (records: readonly LogRecord[], type: string): readonly LogRecord[] =>
  records.filter(({ headers }) => headers.ce_type === `shop.${type}`)

t.test('kill -9 at any moment: each order is sent once, each box once and in order', async (t) => {
  const { suffix, place, delivered, codec } = await prepare(t)
  const orders = 24
  const boxes = 12
  let child: ChildProcess | null = null
  const start = () => {
    child = spawn(process.execPath, [PROCESS, suffix, '15'], { stdio: ['ignore', 'inherit', 'inherit'] })
    return child
  }
  t.teardown(() => child?.kill('SIGKILL'))
  start()
  for (let n = 0; n < orders; n++) await place(`order-${n}`, boxes)
  await until('the first boxes', async () => ofType(await delivered(), 'BoxSent').length > 0)
  for (let death = 0; death < 5; death++) {
    await delay(200 + Math.random() * 600)
    const victim = child as unknown as ChildProcess
    victim.kill('SIGKILL')
    await once(victim, 'exit')
    start()
    const before = ofType(await delivered(), 'BoxSent').length
    await until(
      'progress after a death',
      async () =>
        ofType(await delivered(), 'BoxSent').length > before ||
        ofType(await delivered(), 'OrderSent').length === orders,
    )
  }
  await until('all orders', async () => ofType(await delivered(), 'OrderSent').length >= orders, 60_000)
  const facts = await delivered()
  t.equal(ofType(facts, 'OrderSent').length, orders, 'no order twice')
  t.equal(ofType(facts, 'OrderLost').length, 0, 'none was given up')
  for (let n = 0; n < orders; n++) {
    const sent = ofType(facts, 'BoxSent').filter(({ key }) => key === `order-${n}`)
    const numbers = sent.map(({ value }) => codec.decode(shop.BoxSentSchema, value as Buffer).n)
    t.same(
      numbers,
      Array.from({ length: boxes }, (_, i) => i + 1),
      `boxes of order ${n}`,
    )
  }
  t.equal(new Set(facts.map(({ headers }) => headers.ce_id)).size, facts.length, 'no id twice')
})

t.test('a second process takes over half of the tasks, and all of them when the first leaves', async (t) => {
  const { suffix, place, delivered } = await prepare(t)
  const first = await runShop(suffix, 1)
  await until('the first is ready', async () => first.isReady)
  const second = await runShop(suffix, 1)
  t.teardown(() => second.stop())
  await until('both have a task', async () => first.report().length === 1 && second.report().length === 1)
  for (let n = 0; n < 10; n++) await place(`a-${n}`, 2)
  await until('ten orders', async () => ofType(await delivered(), 'OrderSent').length === 10)
  await first.stop()
  await until('the second has both', async () => second.report().length === PARTITIONS && second.isReady)
  for (let n = 0; n < 10; n++) await place(`b-${n}`, 2)
  await until('twenty orders', async () => ofType(await delivered(), 'OrderSent').length >= 20)
  t.equal(ofType(await delivered(), 'OrderSent').length, 20)
})

t.test('tasks whose effects are short are shared though each of them always has one running', async (t) => {
  const { suffix, place, delivered } = await prepare(t)
  const first = await runShop(suffix, 50)
  t.teardown(() => first.stop())
  await until('the first is ready', async () => first.isReady)
  for (let n = 0; n < 60; n++) await place(`order-${n}`, 5)
  await until('parcels are on their way', async () => ofType(await delivered(), 'OrderSent').length > 2)
  const second = await runShop(suffix, 50)
  t.teardown(() => second.stop())
  await until('both have a task', async () => first.report().length === 1 && second.report().length === 1)
  t.ok(ofType(await delivered(), 'OrderSent').length < 60, 'while there was still something to do')
})

t.test('a handler that throws blocks its key, and an operator has it go on', async (t) => {
  const { suffix, place, delivered, ask } = await prepare(t)
  const running = await runShop(suffix, 1)
  t.teardown(() => running.stop())
  await place('poison', -1)
  await until('the key is blocked', async () => running.report().some(({ blocked }) => blocked === 1))
  t.ok(running.isReady, 'nobody else waits')
  await place('poison', 2)
  for (let n = 0; n < 8; n++) await place(`fine-${n}`, 1)
  await until('the other orders', async () => ofType(await delivered(), 'OrderSent').length === 8)
  await ask('SKIP', 'poison')
  await until('the order behind', async () => ofType(await delivered(), 'OrderSent').length === 9)
  t.ok(running.report().every(({ blocked }) => blocked === 0))
})

t.test('a processor that is new on a topic with history folds it from the beginning', async (t) => {
  const { suffix, place, delivered } = await prepare(t, { positions: false })
  for (let n = 0; n < 8; n++) await place(`order-${n}`, 1)
  const running = await runShop(suffix, 1)
  t.teardown(() => running.stop())
  await until('all orders', async () => ofType(await delivered(), 'OrderSent').length === 8)
})

t.test('a processor that lost entries of its changelog replays, and sends nothing again', async (t) => {
  const { suffix, place, delivered, truncateChangelog } = await prepare(t)
  const before = await runShop(suffix, 1)
  for (let n = 0; n < 8; n++) await place(`order-${n}`, 2)
  await until('all orders', async () => ofType(await delivered(), 'OrderSent').length === 8)
  await before.stop()
  await truncateChangelog()
  const after = await runShop(suffix, 1)
  t.teardown(() => after.stop())
  await place('new', 2)
  await until('the new order', async () => ofType(await delivered(), 'OrderSent').length >= 9)
  await until('both tasks are ready', async () => after.isReady)
  const facts = await delivered()
  t.equal(ofType(facts, 'OrderSent').length, 9)
  t.equal(ofType(facts, 'BoxSent').length, 18)
  await after.stop()
  const again = await runShop(suffix, 1)
  await until('ready', async () => again.isReady)
  t.ok(
    again.report().every(({ state }) => state === 'dormant' || state === 'running'),
    'the next opening finds a changelog that is whole',
  )
  await again.stop()
})
