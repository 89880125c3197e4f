import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import path from 'node:path'
import t from 'tap'
import { readConfig } from '../../platform/config.ts'
import { UpstreamError } from '../../platform/errors.ts'
import { silentLogger } from '../../platform/log.ts'
import { fetchSchema, registerSchemas, schemaIdRecords } from '../codec/registry.ts'
import { SCHEMA_IDS_TOPIC } from '../codec/schema-directory.ts'
import { createIdempotentProducer } from '../kafka/idempotent-producer.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import { realRegistryUrl } from '../kafka/testing/real-kafka.ts'
import { ensureTopics } from '../kafka/topics.ts'
import { openOperator } from '../operate/operator.ts'
import type { Processor } from '../processor.ts'
import { fromRecord, isPosition } from '../task/changelog.ts'
import { DEAD_LETTERS_TOPIC } from '../task/dead-letter.ts'
import { type Count, OrderPlacedSchema, sendOrders } from '../testing/example.ts'
import { runShop, shopCodec, shopKafka } from '../testing/shop.ts'
import { openShopOnKafka, orderOf, type ShopOnKafka, until } from '../testing/shop-on-kafka.ts'
import { openSession } from './session.ts'

/**
 * What a task meets that it cannot fold, on a real broker: each has the documented end (ARCHITECTURE.md, "Guarantees"),
 * and whatever is not concerned goes on.
 */
const PROCESS = path.join(import.meta.dirname, '..', 'testing', 'shop-process.ts')
const UNKNOWN_ID = 2_000_000_000
/** Of a changelog: brokers delete nothing from a topic that is only compacted. */
const CAN_BE_CUT = { 'cleanup.policy': 'compact,delete', 'retention.ms': '-1' }
const NOBODY = 'http://127.0.0.1:9'

/** The bytes of an order, as if another registry had given its schema this id. */
const withSchemaId = (order: ReturnType<typeof orderOf>, schemaId: number) => {
  const value = Buffer.from(order.value)
  value.writeInt32BE(schemaId, 1)
  return { ...order, value }
}

/** Sends the orders of one key with a tracking id of so many characters. */
const verbose = (processor: Processor, key: string, characters: number): Processor => ({
  ...processor,
  behaviour: {
    ...processor.behaviour,
    settled: {
      send: (ctx, parcel) => {
        const isVerbose = (ctx as { readonly key: string }).key === key
        const value = { trackingId: 'x'.repeat(isVerbose ? characters : 1) }
        processor.behaviour.settled.send?.(ctx, parcel, { ok: true, value })
      },
    },
  },
})

type Admin = ReturnType<ShopOnKafka['kafka']['admin']>

const withAdmin = async <T>({ kafka }: ShopOnKafka, act: (admin: Admin) => Promise<T>): Promise<T> => {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await act(admin)
  } finally {
    await admin.disconnect()
  }
}

/** Deletes what a topic holds but for so many offsets, as an operator or retention does. */
const deleteRecords = (shop: ShopOnKafka, topic: string, kept: bigint): Promise<void> =>
  withAdmin(shop, async (admin) => {
    const ends = await admin.fetchTopicOffsets(topic)
    const partitions = ends.map(({ partition, high }) => ({ partition, offset: String(BigInt(high) - kept) }))
    await admin.deleteTopicRecords({ topic, partitions })
  })

/** What the changelog holds, of all partitions. */
const changelogOf = async ({ reader, changelog, partitions }: ShopOnKafka): Promise<readonly LogRecord[]> => {
  const all: LogRecord[] = []
  for (let partition = 0; partition < partitions; partition++) {
    const { beginning } = await reader.offsets(changelog, partition)
    await reader.readToEnd(changelog, partition, beginning, (records) => void all.push(...records))
  }
  return all
}

/** How many orders of each key the state says were placed. */
const countsOf = (changelog: readonly LogRecord[]): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const { key, value } of changelog) {
    const entry = fromRecord({ key: key ?? '', value }, shopCodec(), sendOrders.state)
    if (entry.kind !== 'state' || entry.change.collection !== 'count') continue
    if (entry.change.value === undefined) counts.delete(entry.change.key)
    else counts.set(entry.change.key, (entry.change.value as Count).count)
  }
  return counts
}

/** An address where nobody answers until it is opened; then the server behind it does. */
const openGateTo = async (target: string) => {
  const { port, hostname, pathname } = new URL(target)
  const gate = createServer((socket) => {
    const behind = connect(Number(port), hostname)
    socket.pipe(behind).pipe(socket)
    for (const [one, other] of [
      [socket, behind],
      [behind, socket],
    ] as const)
      one.on('error', () => other.destroy())
  })
  const listen = async (at: number): Promise<number> => {
    gate.listen(at, '127.0.0.1')
    await once(gate, 'listening')
    return (gate.address() as AddressInfo).port
  }
  const own = await listen(0)
  gate.close()
  await once(gate, 'close')
  return {
    url: `http://127.0.0.1:${own}${pathname}`,
    open: () => listen(own),
    close: () => void gate.close(),
  }
}

t.test('a handler that throws: its key waits, the others do not', async (t) => {
  const shop = await openShopOnKafka(t, { partitions: 1 })
  const running = await runShop(shop.suffix, { boxMs: 1 })
  t.teardown(() => running.stop())
  await shop.place(['poison', -1], ['poison', 2], ['fine', 1])
  await until('the fine order', async () => (await shop.sent('OrderSent')).length === 1)
  t.match(running.report(), [{ state: 'running', blocked: 1, failure: null }])
  t.ok(running.isReady)
})

t.test('an input as large as the topic takes, on which its handler fails: the key waits, over a restart', async (t) => {
  const shop = await openShopOnKafka(t, { partitions: 1 })
  const order = orderOf(shop, 'poison', -1)
  // Larger than we write ourselves: another producer.
  const foreign = shop.kafka.producer()
  await foreign.connect()
  const headers = { ...order.headers, 'x-note': 'x'.repeat(1_040_000) }
  await foreign.send({ topic: order.topic, messages: [{ key: order.key, value: order.value, headers }] })
  await foreign.disconnect()
  await shop.place(['fine', 1])
  const first = await runShop(shop.suffix, { boxMs: 1 })
  await until('the fine order', async () => (await shop.sent('OrderSent')).length === 1)
  await first.stop()
  const second = await runShop(shop.suffix, { boxMs: 1 })
  t.teardown(() => second.stop())
  await shop.place(['finer', 1])
  await until('another', async () => (await shop.sent('OrderSent')).length === 2)
  t.match(second.report(), [{ state: 'running', blocked: 1, failure: null }])
})

t.test('bytes that nobody can read: the key waits', async (t) => {
  const shop = await openShopOnKafka(t, { partitions: 1 })
  const running = await runShop(shop.suffix, { boxMs: 1 })
  t.teardown(() => running.stop())
  const order = orderOf(shop, 'garbled', 1)
  await shop.producer.send([{ ...order, value: order.value.subarray(0, 5) }, orderOf(shop, 'fine', 1)])
  await until('the fine order', async () => (await shop.sent('OrderSent')).length === 1)
  t.match(running.report(), [{ blocked: 1 }])
})

t.test('bytes that nobody can read, on a door: a dead letter, once, and the key goes on', async (t) => {
  const shop = await openShopOnKafka(t, { partitions: 1 })
  const reads = shop.processor.reads.map((edge) => ({ ...edge, topic: { ...edge.topic, door: true } }))
  const processor = { ...shop.processor, reads }
  const order = orderOf(shop, 'garbled', 1)
  const bytes = order.value.subarray(0, 5)
  const deadLetters = async () => {
    const all: LogRecord[] = []
    await shop.reader.readToEnd(DEAD_LETTERS_TOPIC, 0, 0n, (records) => void all.push(...records))
    return all.filter(({ headers }) => headers['dlq-topic'] === shop.topics.orders)
  }
  for (const run of [1, 2]) {
    const running = await runShop(shop.suffix, { boxMs: 1, processor })
    if (run === 1) await shop.producer.send([{ ...order, value: bytes }, orderOf(shop, 'garbled', 1)])
    else await shop.place(['garbled', 1])
    await until('the order behind it', async () => (await shop.sent('OrderSent')).length === run)
    t.match(running.report(), [{ blocked: 0, state: 'running' }])
    await running.stop()
    t.match(await deadLetters(), [
      {
        key: 'garbled',
        value: bytes,
        headers: { ...order.headers, 'dlq-partition': '0', 'dlq-offset': '0', 'dlq-error-code': 'UNDECODABLE_RECORD' },
      },
    ])
    t.equal((await deadLetters()).length, 1)
  }
})

t.test('a schema that an answering registry does not know: after a while the key waits', async (t) => {
  const shop = await openShopOnKafka(t, { partitions: 1 })
  let asked = 0
  const running = await runShop(shop.suffix, {
    boxMs: 1,
    fetchSchema: async (schemaId) => {
      asked += 1
      throw new UpstreamError('SCHEMA_UNKNOWN', `The registry knows no schema ${schemaId}`, { facts: { schemaId } })
    },
  })
  t.teardown(() => running.stop())
  await shop.producer.send([withSchemaId(orderOf(shop, 'foreign', 1), UNKNOWN_ID), orderOf(shop, 'fine', 1)])
  await until('the fine order', async () => (await shop.sent('OrderSent')).length === 1)
  t.match(running.report(), [{ blocked: 1 }])
  t.ok(asked > 1, 'it was asked for more than once')
})

t.test('the registry away: the task waits, and goes on when it is back', async (t) => {
  const shop = await openShopOnKafka(t, { partitions: 1 })
  const schemaId = (await registerSchemas(realRegistryUrl(), [OrderPlacedSchema])).get(OrderPlacedSchema.name) ?? 0
  const door = await openGateTo(realRegistryUrl())
  t.teardown(() => door.close())
  const running = await runShop(shop.suffix, { boxMs: 1, fetchSchema: (id) => fetchSchema(door.url, id) })
  t.teardown(() => running.stop())
  const foreign = withSchemaId(orderOf(shop, 'foreign', 1), schemaId)
  // Without a header it is the schema alone that says whether the task wants the record.
  const bare = { ...withSchemaId(orderOf(shop, 'bare', 1), schemaId), headers: {} }
  await shop.producer.send([bare, foreign, orderOf(shop, 'fine', 1)])
  await until('the task waits', () => running.report().some(({ state }) => state === 'waiting'))
  t.same(await shop.sent('OrderSent'), [])
  t.match(running.report(), [{ blocked: 0 }])
  await door.open()
  await until('all orders', async () => (await shop.sent('OrderSent')).length === 3)
  t.match(running.report(), [{ blocked: 0 }])
  t.same(
    (await shop.sent('OrderSent')).map(({ key }) => key),
    ['bare', 'foreign', 'fine'],
  )
})

t.test('a session opens without a registry: what was registered once is in schema-ids', async (t) => {
  const { kafkaBrokers } = readConfig()
  const kafka = shopKafka('no-registry')
  await ensureTopics(kafka, [
    { name: SCHEMA_IDS_TOPIC, partitions: 1, replicationFactor: 1, config: { 'cleanup.policy': 'compact' } },
  ])
  const settings = { brokers: kafkaBrokers, clientId: 'no-registry', log: silentLogger }
  const first = await openSession({ ...settings, registryUrl: realRegistryUrl() })
  t.teardown(() => first.close())
  const records = schemaIdRecords(
    first.directory,
    [OrderPlacedSchema],
    await registerSchemas(realRegistryUrl(), [OrderPlacedSchema]),
  )
  const producer = createIdempotentProducer(kafka)
  t.teardown(() => producer.close())
  if (records.length > 0) await producer.send(records)

  const { codec, learn, close } = await openSession({ ...settings, registryUrl: NOBODY })
  t.teardown(() => close())
  const bytes = codec.encode(OrderPlacedSchema, { boxes: 3 })
  t.equal(
    codec.schemaId(bytes),
    (await registerSchemas(realRegistryUrl(), [OrderPlacedSchema])).get('shop.OrderPlaced'),
  )
  t.same(codec.decode(OrderPlacedSchema, bytes), { boxes: 3 })
  await t.rejects(learn(2_000_000_000), { code: 'REGISTRY_UNAVAILABLE', retryable: true })
})

t.test('an event that no record can hold: the key waits', async (t) => {
  const shop = await openShopOnKafka(t, { partitions: 1 })
  const processor = verbose(shop.processor, 'huge', 1_000_000)
  const running = await runShop(shop.suffix, { boxMs: 1, processor })
  t.teardown(() => running.stop())
  await shop.place(['huge', 1], ['fine', 1])
  await until('the fine order', async () => (await shop.sent('OrderSent')).length === 1)
  await until('the key is blocked', () => running.report().some(({ blocked }) => blocked === 1))
})

/** Of four orders and a later one, `large` is blocked, and the event of each other is there. */
const oneWaits = async (
  shop: ShopOnKafka,
  { report }: Pick<Awaited<ReturnType<typeof runShop>>, 'report'>,
  event: 'OrderSent' | 'OrderLost',
): Promise<void> => {
  await shop.place(...['a', 'large', 'b', 'c'].map((key) => [key, 1] as const))
  await until('the others', async () => (await shop.sent(event)).length === 3)
  await until('the key is blocked', () => report().some(({ blocked }) => blocked === 1))
  await shop.place(['d', 1])
  await until('one more', async () => (await shop.sent(event)).length === 4)
}

t.test('an event that the topic refuses: the one input is found, and its key waits', async (t) => {
  const shop = await openShopOnKafka(t, { partitions: 1, deliveriesConfig: { 'max.message.bytes': '4000' } })
  const processor = verbose(shop.processor, 'large', 5_000)
  const running = await runShop(shop.suffix, { boxMs: 1, processor })
  t.teardown(() => running.stop())
  await oneWaits(shop, running, 'OrderSent')
})

/** Orders become late at once; of one it says more than the topic takes. */
const soonLate = (processor: Processor, key: string, characters: number): Processor => {
  const { behaviour } = processor
  interface Late {
    readonly key: string
    readonly now: number
    schedule(timer: string, atMs: number): void
    readonly emit: { OrderLost(event: object): void }
  }
  const placed = (ctx: unknown): void => (ctx as Late).schedule('late', (ctx as Late).now + 200)
  return {
    ...processor,
    behaviour: {
      ...behaviour,
      on: Object.fromEntries(
        Object.entries(behaviour.on).map(([topic, of]) => [topic, { ...of, OrderPlaced: placed }]),
      ),
      due: {
        late: (ctx) => {
          const late = ctx as Late
          late.emit.OrderLost({ code: 'x'.repeat(late.key === key ? characters : 1) })
        },
      },
    },
  }
}

t.test(
  'an event of a timer that the topic refuses: the timer is found, its key waits, and the others fire',
  async (t) => {
    const shop = await openShopOnKafka(t, { partitions: 1, deliveriesConfig: { 'max.message.bytes': '4000' } })
    const processor = soonLate(shop.processor, 'large', 5_000)
    const running = await runShop(shop.suffix, { boxMs: 1, processor })
    t.teardown(() => running.stop())
    await oneWaits(shop, running, 'OrderLost')
    t.match(running.report(), [{ state: 'running', failure: null }])
  },
)

t.test('an input that kills its process: five deaths, then it is given up, and the others are not', async (t) => {
  const shop = await openShopOnKafka(t, { partitions: 1 })
  await shop.place(['killer', 13], ['fine', 2])
  let deaths = 0
  let isOver = false
  let child: ChildProcess | null = null
  const keepRunning = async () => {
    while (!isOver) {
      child = spawn(process.execPath, [PROCESS, shop.suffix, '1', '13'], { stdio: 'ignore' })
      const [, signal] = await once(child, 'exit')
      if (signal === 'SIGKILL' && !isOver) deaths += 1
    }
  }
  const running = keepRunning()
  t.teardown(async () => {
    isOver = true
    child?.kill('SIGKILL')
    await running
  })
  await until('it is given up', async () => (await shop.sent('OrderLost')).length === 1, 200_000)
  await until('the fine order', async () => (await shop.sent('OrderSent')).length === 1)
  t.equal(deaths, 5)
  t.match(await shop.sent('OrderLost'), [{ key: 'killer' }])
})

t.test('a processor that is new on a topic with history: does what nobody has done, and nothing again', async (t) => {
  const shop = await openShopOnKafka(t, { partitions: 2, positions: false, changelogConfig: CAN_BE_CUT })
  const orders = (from: number) => Array.from({ length: 4 }, (_, n) => [`order-${from + n}`, 2] as const)
  await shop.place(...orders(0))
  const first = await runShop(shop.suffix, { boxMs: 1 })
  await until('four orders', async () => (await shop.sent('OrderSent')).length === 4)
  await first.stop()
  await deleteRecords(shop, shop.changelog, 0n)
  await shop.place(...orders(4))
  const running = await runShop(shop.suffix, { boxMs: 1 })
  t.teardown(() => running.stop())
  await until('all orders', async () => (await shop.sent('OrderSent')).length >= 8)
  await until(
    'nothing is left to do',
    () => running.isReady && running.report().every(({ effects }) => effects.length === 0),
  )
  const sent = [...(await shop.sent('OrderSent')), ...(await shop.sent('BoxSent'))]
  t.equal(sent.length, 8 + 16)
  t.equal(new Set(sent.map(({ headers }) => headers.ce_id)).size, sent.length)
  t.same(
    countsOf(await changelogOf(shop)),
    new Map(
      orders(0)
        .concat(orders(4))
        .map(([key]) => [key, 1]),
    ),
  )
})

t.test('a changelog with a gap before its position: a replay, and the state is whole', async (t) => {
  const shop = await openShopOnKafka(t, { partitions: 1, changelogConfig: CAN_BE_CUT })
  const before = await runShop(shop.suffix, { boxMs: 1 })
  for (const key of ['a', 'b', 'c', 'c']) {
    await shop.place([key, 1])
    const count = (await shop.sent('OrderSent')).length
    await until('the order', async () => (await shop.sent('OrderSent')).length > count)
  }
  await before.stop()
  const position = (await changelogOf(shop)).findLast(({ key }) => isPosition({ key: key ?? '', value: null }))
  const [{ high = '0' } = {}] = await withAdmin(shop, (admin) => admin.fetchTopicOffsets(shop.changelog))
  await deleteRecords(shop, shop.changelog, BigInt(high) - (position?.offset ?? 0n))
  t.ok(
    (await changelogOf(shop)).some(({ offset }) => offset === position?.offset),
    'it has its position',
  )
  t.notOk(countsOf(await changelogOf(shop)).has('a'), 'and has lost what is before it')

  const after = await runShop(shop.suffix, { boxMs: 1 })
  t.teardown(() => after.stop())
  await shop.place(['a', 1])
  await until('the new order', async () => (await shop.sent('OrderSent')).length >= 5)
  t.same(
    countsOf(await changelogOf(shop)),
    new Map([
      ['a', 2],
      ['b', 1],
      ['c', 2],
    ]),
  )
  t.equal((await shop.sent('OrderSent')).length, 5)
  t.equal((await shop.sent('BoxSent')).length, 5)
})

t.test('a changelog that lost entries: a replay, and nothing is sent again', async (t) => {
  const shop = await openShopOnKafka(t, { partitions: 2, changelogConfig: CAN_BE_CUT })
  const before = await runShop(shop.suffix, { boxMs: 1 })
  await shop.place(...Array.from({ length: 8 }, (_, n) => [`order-${n}`, 2] as const))
  await until('all orders', async () => (await shop.sent('OrderSent')).length === 8)
  await before.stop()
  await deleteRecords(shop, shop.changelog, 1n)

  const after = await runShop(shop.suffix, { boxMs: 1 })
  await shop.place(['new', 2])
  await until('the new order', async () => (await shop.sent('OrderSent')).length >= 9)
  await until('both tasks are ready', () => after.isReady)
  await after.stop()
  t.equal((await shop.sent('OrderSent')).length, 9)
  t.equal((await shop.sent('BoxSent')).length, 18)
  const again = await runShop(shop.suffix, { boxMs: 1 })
  t.teardown(() => again.stop())
  await until('the next opening finds a changelog that is whole', () => again.isReady)
})

t.test('an input that no longer holds the position: the task stops and says so, until it is reset', async (t) => {
  const shop = await openShopOnKafka(t, { partitions: 1 })
  const before = await runShop(shop.suffix, { boxMs: 1 })
  await shop.place(['known', 1])
  await until('the known order', async () => (await shop.sent('OrderSent')).length === 1)
  await before.stop()
  await shop.place(['lost', 1], ['kept', 1])
  await deleteRecords(shop, shop.topics.orders, 1n)

  const stopped = await runShop(shop.suffix, { boxMs: 1 })
  await until('the task has stopped', () => stopped.report().some(({ state }) => state === 'failed'))
  t.match(stopped.report(), [{ state: 'failed', failure: /POSITION_LOST/ }])
  t.notOk(stopped.isReady)
  await stopped.stop()
  t.equal((await shop.sent('OrderSent')).length, 1, 'it has not gone on behind the hole')

  await openOperator({ ...shop, appId: `shop-${shop.suffix}` }).reset(shop.processor)
  const after = await runShop(shop.suffix, { boxMs: 1 })
  t.teardown(() => after.stop())
  await until('the kept order', async () => (await shop.sent('OrderSent')).length >= 2)
  t.same(
    (await shop.sent('OrderSent')).map(({ key }) => key),
    ['known', 'kept'],
  )
  await until('the task is ready', () => after.isReady)
})
