import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import * as shop from '../testing/example.ts'
import { runShop } from '../testing/shop.ts'
import { openShopOnKafka, until } from '../testing/shop-on-kafka.ts'

/**
 * The engine on a real broker. A process is killed at moments that nobody chose; whatever it was doing, each order is
 * sent once, each of its boxes once and in order.
 */
const PARTITIONS = 2
const PROCESS = path.join(import.meta.dirname, '..', 'testing', 'shop-process.ts')

const open = (t: Test) => openShopOnKafka(t, { partitions: PARTITIONS })

t.test('kill -9 at any moment: each order is sent once, each box once and in order', async (t) => {
  const { suffix, place, sent, codec } = await open(t)
  const orders = 24
  const boxes = 12
  let child: ChildProcess | null = null
  const start = () => {
    child = spawn(process.execPath, [PROCESS, suffix, '15'], { stdio: ['ignore', 'inherit', 'inherit'] })
    return child
  }
  t.teardown(() => child?.kill('SIGKILL'))
  start()
  for (let n = 0; n < orders; n++) await place([`order-${n}`, boxes])
  await until('the first boxes', async () => (await sent('BoxSent')).length > 0)
  for (let death = 0; death < 5; death++) {
    await delay(200 + Math.random() * 600)
    const victim = child as unknown as ChildProcess
    victim.kill('SIGKILL')
    await once(victim, 'exit')
    start()
    const before = (await sent('BoxSent')).length
    await until(
      'progress after a death',
      async () => (await sent('BoxSent')).length > before || (await sent('OrderSent')).length === orders,
    )
  }
  await until('all orders', async () => (await sent('OrderSent')).length >= orders, 60_000)
  const boxesSent = await sent('BoxSent')
  const facts = [...boxesSent, ...(await sent('OrderSent'))]
  t.equal(facts.length, orders * (boxes + 1), 'no order twice')
  t.equal((await sent('OrderLost')).length, 0, 'none was given up')
  for (let n = 0; n < orders; n++) {
    const ofOrder = boxesSent.filter(({ key }) => key === `order-${n}`)
    const numbers = ofOrder.map(({ value }) => codec.decode(shop.BoxSentSchema, value as Buffer).n)
    t.same(
      numbers,
      Array.from({ length: boxes }, (_, i) => i + 1),
      `boxes of order ${n}`,
    )
  }
  t.equal(new Set(facts.map(({ headers }) => headers.ce_id)).size, facts.length, 'no id twice')
})

t.test('a second process takes over half of the tasks, and all of them when the first leaves', async (t) => {
  const { suffix, place, sent } = await open(t)
  const first = await runShop(suffix, { boxMs: 1 })
  await until('the first is ready', async () => first.isReady)
  const second = await runShop(suffix, { boxMs: 1 })
  t.teardown(() => second.stop())
  await until('both have a task', async () => first.report().length === 1 && second.report().length === 1)
  for (let n = 0; n < 10; n++) await place([`a-${n}`, 2])
  await until('ten orders', async () => (await sent('OrderSent')).length === 10)
  await first.stop()
  await until('the second has both', async () => second.report().length === PARTITIONS && second.isReady)
  for (let n = 0; n < 10; n++) await place([`b-${n}`, 2])
  await until('twenty orders', async () => (await sent('OrderSent')).length >= 20)
  t.equal((await sent('OrderSent')).length, 20)
})

t.test('tasks whose effects are short are shared though each of them always has one running', async (t) => {
  const { suffix, place, sent } = await open(t)
  const first = await runShop(suffix, { boxMs: 50 })
  t.teardown(() => first.stop())
  await until('the first is ready', async () => first.isReady)
  for (let n = 0; n < 60; n++) await place([`order-${n}`, 5])
  await until('parcels are on their way', async () => (await sent('OrderSent')).length > 2)
  const second = await runShop(suffix, { boxMs: 50 })
  t.teardown(() => second.stop())
  await until('both have a task', async () => first.report().length === 1 && second.report().length === 1)
  t.ok((await sent('OrderSent')).length < 60, 'while there was still something to do')
})

t.test('a process that ends gives its tasks away at once, though an effect does not heed its signal', async (t) => {
  const { suffix, place, sent } = await open(t)
  const sessionTimeoutMs = 30_000
  let begun = 0
  const deaf = () => {
    begun += 1
    return new Promise<never>(() => undefined)
  }
  const first = await runShop(suffix, { boxMs: 1, sessionTimeoutMs, send: deaf })
  await until('the first is ready', async () => first.isReady)
  const second = await runShop(suffix, { boxMs: 1, sessionTimeoutMs })
  t.teardown(() => second.stop())
  await until('both have a task', async () => first.report().length === 1 && second.report().length === 1)
  for (let n = 0; n < 10; n++) await place([`order-${n}`, 1])
  await until('the first sends a parcel', async () => begun > 0)
  const askedAtMs = performance.now()
  await first.stop()
  const stoppedMs = performance.now() - askedAtMs
  t.ok(stoppedMs < 5_000, `stopped after ${Math.round(stoppedMs)} ms`)
  await until('the second has both', async () => second.report().length === PARTITIONS && second.isReady)
  const takenOverMs = performance.now() - askedAtMs
  t.ok(takenOverMs < sessionTimeoutMs / 2, `taken over after ${Math.round(takenOverMs)} ms`)
  await until('all orders', async () => (await sent('OrderSent')).length >= 10)
  t.equal((await sent('OrderSent')).length, 10)
})
