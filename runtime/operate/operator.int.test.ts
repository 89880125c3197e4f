import t, { type Test } from 'tap'
import { runShop } from '../testing/shop.ts'
import { openShopOnKafka, until } from '../testing/shop-on-kafka.ts'
import { type DeadLetter, deadLetterAt, readDeadLetters, redrive } from './dead-letters.ts'
import { openOperator } from './operator.ts'

/** An operator at work on a real broker, while processors run and while they do not. */
const open = async (t: Test) => {
  const shop = await openShopOnKafka(t, { partitions: 1, positions: false })
  return { ...shop, operator: openOperator({ ...shop, appId: `shop-${shop.suffix}`, patienceMs: 8_000 }) }
}

t.test('a blocked key is shown, retried in vain, and freed by skipping; the record is a dead letter', async (t) => {
  const { suffix, processor, operator, reader, producer, place, sent } = await open(t)
  const running = await runShop(suffix, { boxMs: 1 })
  t.teardown(() => running.stop())
  await place(['poison', -1], ['poison', 1], ['fine', 1])
  await until('the fine order', async () => (await sent('OrderSent')).length === 1)
  t.match(await operator.tasks(processor), [{ task: 0, state: 'live', blockedKeys: 1 }])
  t.match(await operator.blocked(processor), [{ key: 'poison', code: 'HANDLER_FAILED', queued: 2 }])
  const { queue } = await operator.blockedKey(processor, 'poison')
  t.match(
    queue.map(({ input }) => input),
    [
      { kind: 'RECORD', offset: 0 },
      { kind: 'RECORD', offset: 1 },
    ],
  )
  t.match(await operator.unblock(processor, 'poison', 'RETRY'), { code: 'HANDLER_FAILED' })
  t.equal(await operator.unblock(processor, 'poison', 'SKIP'), null)
  await until('the order behind it', async () => (await sent('OrderSent')).length === 2)
  await t.rejects(operator.unblock(processor, 'poison', 'RETRY'), { code: 'KEY_NOT_BLOCKED' })

  const letters: DeadLetter[] = []
  await readDeadLetters(reader, (letter) => letters.push(letter), processor.name)
  t.match(letters, [{ key: 'poison', code: 'SKIPPED_HANDLER_FAILED', headers: { ce_type: 'shop.OrderPlaced' } }])
  const letter = await deadLetterAt(reader, letters[0]?.offset ?? -1n)
  await t.rejects(redrive(producer, letter, new Set()), { code: 'NOT_A_DOOR' })
  await redrive(producer, letter, new Set([letter.topic]))
  await until('it is refused again', async () => (await operator.blocked(processor)).length === 1)
  await t.rejects(deadLetterAt(reader, 1_000_000n), { code: 'DEAD_LETTER_UNKNOWN' })
})

t.test('what is asked while nobody runs is done when somebody does', async (t) => {
  const { suffix, processor, operator, place, sent } = await open(t)
  const first = await runShop(suffix, { boxMs: 1 })
  await place(['poison', -1], ['poison', 1])
  await until('the key is blocked', async () => (await operator.blocked(processor)).length === 1)
  await first.stop()
  await t.rejects(operator.unblock(processor, 'poison', 'SKIP'), { code: 'NOT_ANSWERED', retryable: true })
  const second = await runShop(suffix, { boxMs: 1 })
  t.teardown(() => second.stop())
  await until('the order behind it', async () => (await sent('OrderSent')).length === 1)
  t.same(await operator.blocked(processor), [])
})

t.test('what a task passes over is not behind it', async (t) => {
  const { suffix, processor, operator, producer, place, sent } = await open(t)
  const running = await runShop(suffix, { boxMs: 1 })
  t.teardown(() => running.stop())
  await place(['a', 1])
  await until('the order', async () => (await sent('OrderSent')).length === 1)
  const topic = `orders-${suffix}`
  const foreign = { topic, key: 'b', value: Buffer.from([0]), headers: { ce_type: 'nobody.Asks' } }
  await producer.send([foreign, foreign, foreign])
  await until('no lag', async () => (await operator.tasks(processor)).every(({ lag }) => lag[topic] === 0))
})

t.test('a processor is planned, reset and replayed, and sends nothing again', async (t) => {
  const { suffix, processor, operator, place, sent } = await open(t)
  const first = await runShop(suffix, { boxMs: 1 })
  await place(['a', 1], ['b', 2])
  await until('both orders', async () => (await sent('OrderSent')).length === 2)
  await t.rejects(operator.reset(processor), { code: 'PROCESSOR_RUNNING' })
  await first.stop()
  await place(['c', 1])
  t.match(await operator.plan(processor), { records: 3, effects: 1, effectsByName: { send: 1 }, outputs: 0 })
  t.ok((await operator.reset(processor)) > 0)
  t.match(await operator.tasks(processor), [{ state: 'new', lag: { [`orders-${suffix}`]: 3 } }])
  const second = await runShop(suffix, { boxMs: 1 })
  t.teardown(() => second.stop())
  await until('the third order', async () => (await sent('OrderSent')).length >= 3)
  await until('the task lives', async () => (await operator.tasks(processor)).every(({ state }) => state === 'live'))
  t.equal((await sent('OrderSent')).length, 3)
})

t.test('more than a hundred things to do wait until they are released', async (t) => {
  const { suffix, processor, operator, place, sent } = await open(t)
  await place(...Array.from({ length: 101 }, (_, n) => [`order-${n}`, 1] as const))
  const running = await runShop(suffix, { boxMs: 1 })
  t.teardown(() => running.stop())
  await until('it is held', async () => running.report().some(({ state }) => state === 'held'))
  t.notOk(running.isReady)
  t.match(running.report(), [{ held: { outputs: 0, effects: 101, timers: 0 } }])
  await until('it is written', async () => (await operator.tasks(processor)).every(({ state }) => state === 'held'))
  t.match(await operator.tasks(processor), [{ state: 'held', pendingEffects: 101 }])
  t.equal(await operator.release(processor), 1)
  await until('all orders', async () => (await sent('OrderSent')).length === 101)
  t.ok(running.isReady)
})
