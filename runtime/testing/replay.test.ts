import t from 'tap'
import type { Processor } from '../processor.ts'
import { deliveries, LATE_MS, orders, sendOrders } from './example.ts'
import { type TestDriver, testDriver } from './test-driver.ts'

/** A task that lost its changelog, or whose processor has another version, makes its memory anew and redoes nothing. */
const NAME = sendOrders.name
const ids = (driver: TestDriver) => driver.read(deliveries).map(({ headers }) => headers.ce_id)
const first = (driver: TestDriver): string => {
  const [effect] = driver.effects()
  if (effect === undefined) throw new Error('no effect is pending')
  return effect.id
}
const place = (driver: TestDriver, key: string, boxes = 1) => driver.pipe(orders, 'OrderPlaced', key, { boxes })
const send = (driver: TestDriver) => driver.settle(first(driver), { ok: true, value: { trackingId: 'x' } })

t.test('what is done is not done again, what is pending goes on where it was', async (t) => {
  const driver = testDriver([sendOrders])
  place(driver, 'done')
  send(driver)
  place(driver, 'half', 3)
  driver.report(first(driver), 1, { n: 1 })
  driver.report(first(driver), 2, { n: 2 })
  place(driver, 'new')
  driver.pipe(orders, 'OrderPlaced', 'over', { boxes: 1 })
  driver.pipe(orders, 'OrderWithdrawn', 'over', { why: 'rain' })
  const before = { ids: ids(driver), effects: driver.effects() }

  driver.lose(NAME)
  t.equal(driver.phase(NAME), 'live')
  t.same({ ids: ids(driver), effects: driver.effects() }, before, 'no event more, and the same effects')
  driver.report(first(driver), 2, { n: 2 })
  driver.report(first(driver), 3, { n: 3 })
  t.equal(driver.read(deliveries, 'BoxSent').length, 3, 'report 2 was known')
  place(driver, 'over')
  t.notOk(
    driver.effects().some(({ key }) => key === 'over'),
    'a closed key is still closed',
  )
})

t.test('a timer that fired does not fire again; one that is to come is set', async (t) => {
  const driver = testDriver([sendOrders])
  place(driver, 'late')
  driver.advance(LATE_MS)
  place(driver, 'early')
  t.equal(driver.read(deliveries, 'OrderLate').length, 1)
  driver.lose(NAME)
  t.equal(driver.read(deliveries, 'OrderLate').length, 1)
  driver.advance(LATE_MS)
  t.same(
    driver.read(deliveries, 'OrderLate').map(({ key }) => key),
    ['late', 'early'],
  )
})

t.test('a replay that was interrupted goes on', async (t) => {
  const driver = testDriver([sendOrders])
  for (const key of ['a', 'b', 'c']) place(driver, key)
  driver.lose(NAME)
  driver.restart()
  t.equal(driver.effects().length, 3)
})

t.test('an event that was never emitted is emitted at the end, in order', async (t) => {
  const silent: Processor = {
    ...sendOrders,
    behaviour: { ...sendOrders.behaviour, closing: {} },
  }
  const driver = testDriver([silent])
  for (const key of ['a', 'b']) {
    place(driver, key)
    driver.pipe(orders, 'OrderWithdrawn', key, { why: 'rain' })
  }
  t.same(driver.read(deliveries), [])
  driver.deploy({ ...sendOrders, version: 2 })
  t.same(
    driver.read(deliveries, 'OrderLost').map(({ key }) => key),
    ['a', 'b'],
  )
})

t.test(
  'a new version folds the log again, keeps what was promised, and drops collections that it does not know',
  async (t) => {
    const driver = testDriver([sendOrders])
    place(driver, 'o-1')
    place(driver, 'o-1')
    const before = driver.effects()
    driver.deploy({ ...sendOrders, version: 2, state: { count: sendOrders.state.count as never } })
    t.same(driver.effects(), before)
    t.same(driver.state(NAME, 'o-1').count, { '': { count: 2 } })
    driver.restart()
    t.same(driver.effects(), before)
  },
)

t.test('more than a hundred things to do wait for an operator', async (t) => {
  const mute: Processor = { ...sendOrders, behaviour: { ...sendOrders.behaviour, on: {} } }
  const driver = testDriver([mute])
  for (let n = 0; n <= 100; n++) place(driver, `o-${n}`)
  driver.deploy({ ...sendOrders, version: 2 })
  t.equal(driver.phase(NAME), 'held')
  t.same(driver.remaining(NAME), { outputs: 0, effects: 101, timers: 0 })
  driver.restart()
  t.equal(driver.phase(NAME), 'held', 'also after a restart')
  place(driver, 'later')
  t.equal(driver.effects().length, 101, 'and nothing new is folded meanwhile')
  driver.release(NAME)
  t.equal(driver.phase(NAME), 'live')
  t.equal(driver.effects().length, 102)
})

t.test('start: now skips what is there', async (t) => {
  const driver = testDriver([{ ...sendOrders, behaviour: { ...sendOrders.behaviour, on: {} } }])
  place(driver, 'before')
  driver.deploy({ ...sendOrders, start: 'now' })
  driver.lose(NAME)
  t.same(driver.effects(), [])
  place(driver, 'after')
  t.match(driver.effects(), [{ key: 'after' }])
})

t.test('a key that is blocked in a replay redoes nothing when it is retried', async (t) => {
  const driver = testDriver([sendOrders], { blocking: 'keep' })
  place(driver, 'o-1')
  send(driver)
  const before = ids(driver)
  const broken: Processor = {
    ...sendOrders,
    version: 2,
    behaviour: {
      ...sendOrders.behaviour,
      on: {
        orders: {
          OrderPlaced: () => {
            throw new RangeError('broken')
          },
        },
      },
    },
  }
  driver.deploy(broken)
  t.match(driver.blocked(NAME), [{ key: 'o-1' }])
  driver.deploy({ ...sendOrders, version: 2 })
  driver.retry(NAME, 'o-1')
  t.same(driver.blocked(NAME), [])
  t.same(driver.effects(), [])
  t.same(ids(driver), before)
  t.same(driver.state(NAME, 'o-1').count, { '': { count: 1 } })
})

t.test('timers on record time fire at the same place whenever the log is read', async (t) => {
  const windowed: Processor = { ...sendOrders, recordTimers: ['late'] }
  const driver = testDriver([windowed])
  place(driver, 'o-1')
  driver.advance(LATE_MS * 2)
  t.same(driver.read(deliveries, 'OrderLate'), [], 'no record has moved the time')
  driver.pipe(orders, 'OrderNoted', 'o-2', { count: 9 })
  t.match(driver.read(deliveries, 'OrderLate'), [{ key: 'o-1' }])
  const before = ids(driver)
  driver.lose(NAME)
  t.same(ids(driver), before)
  driver.restart()
  driver.pipe(orders, 'OrderNoted', 'o-2', { count: 9 })
  t.same(ids(driver), before)
})
