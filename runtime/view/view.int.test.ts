import t, { type Test } from 'tap'
import { UpstreamError } from '../../platform/errors.ts'
import { silentLogger } from '../../platform/log.ts'
import { SCHEMA_PATIENCE_MS } from '../run/schema-patience.ts'
import { BoxSentSchema, orders } from '../testing/example.ts'
import { openShopOnKafka, orderOf, until } from '../testing/shop-on-kafka.ts'
import { defineView, openView } from './view.ts'

/** A lookup table from a topic on a real broker. */
const UNKNOWN_ID = 4_711

const open = async (t: Test) => {
  const shop = await openShopOnKafka(t, { partitions: 2 })
  const declaration = defineView({
    topic: { ...orders, name: shop.topics.orders },
    fold: {
      OrderPlaced: (before: number | undefined, { boxes }) => (before ?? 0) + boxes,
      OrderWithdrawn: () => undefined,
    },
  })
  const learned: number[] = []
  let nowMs = 0
  const clock = { monotonicMs: () => nowMs }
  const learn = async (schemaId: number) => {
    learned.push(schemaId)
    nowMs += SCHEMA_PATIENCE_MS
    throw new UpstreamError('SCHEMA_UNKNOWN', `The registry knows no schema ${schemaId}`, { facts: { schemaId } })
  }
  const view = () => openView(declaration, { reader: shop.reader, codec: shop.codec, learn, log: silentLogger, clock })
  const withdraw = (key: string) => {
    const schema = orders.events.OrderWithdrawn
    const headers = { ce_type: schema.name }
    return { topic: shop.topics.orders, key, value: shop.codec.encode(schema, { why: 'rain' }), headers }
  }
  return { ...shop, view, withdraw, learned }
}

t.test('holds everything that was committed when it was opened, and follows', async (t) => {
  const { view, place, producer, withdraw } = await open(t)
  await place(['a', 1], ['b', 2], ['a', 3], ['ab', 5])
  const table = await view()
  t.teardown(() => table.close())
  t.same(table.entries(), [
    ['a', 4],
    ['ab', 5],
    ['b', 2],
  ])
  t.same(
    table.entries('a').map(([key]) => key),
    ['a', 'ab'],
  )
  t.equal(table.get('nobody'), undefined)

  await place(['a', 10])
  await until('the next order', () => table.get('a') === 14)
  await producer.send([withdraw('a')])
  await until('it is withdrawn', () => table.get('a') === undefined)
  t.equal(table.size, 2)
})

t.test('a tombstone removes its key; an event that it does not fold changes nothing', async (t) => {
  const { view, place, producer, topics, codec } = await open(t)
  await place(['a', 1], ['b', 1])
  const foreign = { topic: topics.orders, key: 'b', value: codec.encode(BoxSentSchema, { n: 1 }), headers: {} }
  await producer.send([{ topic: topics.orders, key: 'a', value: null, headers: {} }, foreign])
  const table = await view()
  t.same(table.entries(), [['b', 1]])
  t.equal(table.state, 'following')
  await table.close()
  t.equal(table.state, 'closed')
})

t.test('what it cannot read ends it, with the reason; what it has is still there', async (t) => {
  const shop = await open(t)
  await shop.place(['a', 1])
  const table = await shop.view()
  t.teardown(() => table.close())
  const order = orderOf(shop, 'a', 1)
  const value = Buffer.from(order.value)
  value.writeInt32BE(UNKNOWN_ID, 1)
  await shop.producer.send([{ ...order, value }])
  await until('it fails', () => table.state === 'failed')
  t.match(table.failure, { code: 'VIEW_FAILED', message: /4711/ })
  t.same(shop.learned, [UNKNOWN_ID, UNKNOWN_ID])
  t.equal(table.get('a'), 1)
})

t.test('who writes can wait for what was written, and closing ends the waiting at once', async (t) => {
  const { view, producer, topics, ...shop } = await open(t)
  const table = await view()
  const [sent] = await producer.send([orderOf({ topics, ...shop }, 'mine', 7)])
  await table.until(() => table.position(sent?.partition ?? 0) > (sent?.offset ?? 0n))
  t.equal(table.get('mine'), 7)
  t.equal(await table.lag(), 0)
  const waiting = table.until(() => false)
  await table.close()
  await t.rejects(waiting, { code: 'VIEW_CLOSED' })
})
