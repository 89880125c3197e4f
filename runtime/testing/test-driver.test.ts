import t from 'tap'
import { effect } from '../effect-policy.ts'
import { defineProcessor, from, to } from '../processor.ts'
import { deliveries, LATE_MS, orders, ParcelSchema, ReceiptSchema, sendOrders } from './example.ts'
import { testDriver } from './test-driver.ts'

const pending = (driver: ReturnType<typeof testDriver>): string => {
  const [effect] = driver.effects()
  if (effect === undefined) throw new Error('no effect is pending')
  return effect.id
}

t.test('an event changes the state, and asks for an effect, in one step', async (t) => {
  const driver = testDriver([sendOrders])
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 2 })
  t.match(driver.effects(), [{ name: 'send', key: 'o-1', input: { boxes: 2 } }])
  t.same(driver.state('send-orders', 'o-1').count, { '': { count: 1 } })
})

t.test('reports and the outcome become facts, each caused by the event that asked for the effect', async (t) => {
  const driver = testDriver([sendOrders])
  const cause = driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 2 })
  const id = pending(driver)
  driver.report(id, 1, { n: 1 })
  driver.report(id, 2, { n: 2 })
  driver.settle(id, { ok: true, value: { trackingId: 'x' } })
  const facts = driver.read(deliveries)
  t.same(
    facts.map(({ type }) => type),
    ['BoxSent', 'BoxSent', 'OrderSent'],
  )
  t.ok(facts.every(({ headers }) => headers.causationid === cause))
  t.equal(new Set(facts.map(({ headers }) => headers.ce_id)).size, 3, 'each fact has an id of its own')
  t.same(driver.effects(), [])
})

t.test('a trace goes on through effects and timers, over a restart', async (t) => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const driver = testDriver([sendOrders])
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 }, { traceparent })
  driver.restart()
  driver.report(pending(driver), 1, { n: 1 })
  driver.advance(LATE_MS)
  driver.settle(pending(driver), { ok: true, value: { trackingId: 'x' } })
  const facts = driver.read(deliveries)
  t.ok(facts.length >= 3, 'of a report, the timer and the outcome')
  t.same(new Set(facts.map(({ headers }) => headers.traceparent)), new Set([traceparent]))
})

t.test('the run of an effect is a span: what it makes happen has it for its cause, whoever says it', async (t) => {
  const [trace, cause] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331']
  const run = (): readonly (string | undefined)[] => {
    const driver = testDriver([sendOrders])
    const traceparent = `00-${trace}-${cause}-01`
    driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 }, { id: 'order', traceparent })
    driver.crash(pending(driver))
    driver.report(pending(driver), 1, { n: 1 })
    driver.crash(pending(driver))
    driver.settle(pending(driver), { ok: true, value: { trackingId: 'x' } })
    return driver.read(deliveries).map(({ headers }) => headers.traceparent)
  }
  const [reported, settled] = run()
  t.match(reported, new RegExp(`^00-${trace}-(?!${cause})[0-9a-f]{16}-01$`))
  t.match(settled, new RegExp(`^00-${trace}-(?!${cause})[0-9a-f]{16}-01$`))
  t.not(reported, settled, 'of the first run, and of the second')
  t.same(run(), [reported, settled])
})

t.test('a garbled traceparent does not go on', async (t) => {
  const driver = testDriver([sendOrders])
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 }, { traceparent: 'x'.repeat(1_000) })
  driver.advance(LATE_MS)
  t.same(
    driver.read(deliveries).map(({ headers }) => headers.traceparent),
    [undefined],
  )
})

t.test('a report that is journaled already is dropped, one that leaves a gap is refused', async (t) => {
  const driver = testDriver([sendOrders])
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 2 })
  const id = pending(driver)
  driver.report(id, 1, { n: 1 })
  driver.report(id, 1, { n: 1 })
  t.equal(driver.read(deliveries, 'BoxSent').length, 1)
  t.throws(() => driver.report(id, 3, { n: 3 }), { code: 'REPORT_GAP' })
  t.equal(driver.read(deliveries, 'BoxSent').length, 1, 'the refused report left nothing behind')
})

t.test('a retryable failure waits for its back-off and settles when no attempt is left', async (t) => {
  const driver = testDriver([sendOrders])
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
  const id = pending(driver)
  const failure = { code: 'ROAD_CLOSED', detail: '', retryable: true }
  driver.fail(id, failure)
  driver.fail(id, failure)
  t.equal(driver.effects().length, 1)
  driver.fail(id, failure)
  t.same(
    driver.read(deliveries, 'OrderLost').map(({ data }) => data),
    [{ code: 'ROAD_CLOSED' }],
  )
})

t.test('a failure that is not retryable settles at once', async (t) => {
  const driver = testDriver([sendOrders])
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
  driver.fail(pending(driver), { code: 'NO_ADDRESS', detail: '', retryable: false })
  t.same(
    driver.read(deliveries, 'OrderLost').map(({ data }) => data),
    [{ code: 'NO_ADDRESS' }],
  )
})

t.test('everything survives a restart: state, effects with their progress, timers, the position', async (t) => {
  const driver = testDriver([sendOrders])
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 2 })
  const id = pending(driver)
  driver.report(id, 1, { n: 1 })
  driver.restart()
  t.equal(pending(driver), id)
  t.same(driver.readsOf(id).get('box'), [['1', { n: 1 }]])
  driver.report(id, 1, { n: 1 })
  t.equal(driver.read(deliveries, 'BoxSent').length, 1, 'report 1 was journaled before the restart')
  driver.advance(LATE_MS)
  t.same(
    driver.read(deliveries, 'OrderLate').map(({ data }) => data),
    [{ count: 1 }],
  )
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
  t.same(driver.state('send-orders', 'o-1').count, { '': { count: 2 } }, 'the first order was not folded again')
})

t.test('an input that kills its process five times in succession settles as CRASHED', async (t) => {
  const driver = testDriver([sendOrders])
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
  const id = pending(driver)
  for (let death = 1; death <= 4; death++) driver.crash(id)
  t.equal(driver.effects().length, 1)
  driver.crash(id)
  t.same(driver.effects(), [])
  t.same(
    driver.read(deliveries, 'OrderLost').map(({ data }) => data),
    [{ code: 'CRASHED' }],
  )
})

t.test('progress between two deaths acquits the input', async (t) => {
  const driver = testDriver([sendOrders])
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 9 })
  const id = pending(driver)
  for (let box = 1; box <= 8; box++) {
    driver.crash(id)
    driver.report(id, box, { n: box })
  }
  t.equal(driver.effects().length, 1, 'eight deaths, but each with a report since')
})

t.test('the closing event cancels the effects and timers of its key and drops its state', async (t) => {
  const driver = testDriver([sendOrders])
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
  driver.pipe(orders, 'OrderPlaced', 'o-2', { boxes: 1 })
  driver.pipe(orders, 'OrderWithdrawn', 'o-1', { why: 'rain' })
  t.match(driver.effects(), [{ key: 'o-2' }])
  t.same(driver.state('send-orders', 'o-1').count, {})
  t.same(
    driver.read(deliveries).map(({ type, key }) => [type, key]),
    [['OrderLost', 'o-1']],
  )
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
  driver.advance(LATE_MS)
  t.same(
    driver.read(deliveries, 'OrderLate').map(({ key }) => key),
    ['o-2'],
    'what comes after the end is ignored',
  )
})

t.test('what is declared as still handled after the end is handled, and nothing else', async (t) => {
  const driver = testDriver([{ ...sendOrders, afterClose: [from(orders, ['OrderNoted'])] }])
  driver.pipe(orders, 'OrderWithdrawn', 'o-1', { why: 'rain' })
  driver.restart()
  driver.pipe(orders, 'OrderNoted', 'o-1', { count: 7 })
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
  t.same(driver.state('send-orders', 'o-1').count, { '': { count: 7 } })
  t.same(driver.effects(), [])
})

t.test('the marker of a closed key is forgotten after 30 days, in a task that never restarts', async (t) => {
  const DAY_MS = 24 * 60 * 60 * 1000
  const driver = testDriver([sendOrders])
  const markers = () => driver.changelog('send-orders').filter(({ key }) => key.startsWith('c')).length
  driver.pipe(orders, 'OrderWithdrawn', 'o-1', { why: 'rain' })
  driver.advance(30 * DAY_MS)
  t.equal(markers(), 1)
  driver.advance(DAY_MS)
  t.equal(markers(), 0)
})

t.test('a handler that throws leaves nothing behind and says where it was', async (t) => {
  const driver = testDriver([sendOrders])
  driver.pipe(orders, 'OrderNoted', 'o-1', { count: 7 })
  t.throws(() => driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: -1 }), {
    code: 'HANDLER_FAILED',
    facts: { processor: 'send-orders', key: 'o-1', topic: 'orders', offset: '1' },
  })
  t.same(driver.state('send-orders', 'o-1').count, { '': { count: 7 } })
  t.same(driver.effects(), [])
})

t.test('the same work done again gives the same ids', async (t) => {
  const run = () => {
    const driver = testDriver([sendOrders])
    driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
    const effectId = pending(driver)
    driver.report(effectId, 1, { n: 1 })
    return [effectId, ...driver.read(deliveries).map(({ headers }) => headers.ce_id)]
  }
  t.same(run(), run())
})

t.test('what a handler writes for the log is there once, whatever is done again', async (t) => {
  const chatty = defineProcessor(
    {
      name: 'chatty',
      reads: [from(orders, ['OrderPlaced', 'OrderNoted'])],
      writes: [to(deliveries, ['OrderSent', 'OrderLate'])],
      effects: { send: effect({ input: ParcelSchema, outcome: ReceiptSchema }) },
      timers: ['late'],
    },
    {
      on: {
        orders: {
          OrderPlaced: (ctx, { boxes }) => {
            ctx.log.info({ boxes }, 'order placed')
            if (boxes < 0) throw new RangeError('an order of less than nothing')
            ctx.perform.send({ boxes })
            ctx.schedule('late', ctx.now + LATE_MS)
          },
          OrderNoted: (ctx) => ctx.log.debug({}, 'order noted'),
        },
      },
      settled: {
        send: (ctx, { boxes }, outcome) => {
          ctx.log.warn({ ok: outcome.ok }, 'order sent')
          ctx.emit.OrderSent({ boxes, trackingId: '' })
        },
      },
      due: {
        late: (ctx) => {
          ctx.log.error({}, 'order late')
          ctx.emit.OrderLate({ count: 1 })
        },
      },
    },
  )
  const driver = testDriver([chatty], { blocking: 'keep' })
  const eventId = driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
  driver.pipe(orders, 'OrderPlaced', 'failed', { boxes: -1 })
  const noted = driver.pipe(orders, 'OrderNoted', 'o-1', { count: 1 })
  driver.settle(driver.effects()[0]?.id ?? '', { ok: true, value: { trackingId: 'x' } })
  driver.advance(LATE_MS)
  const lines = [
    { key: 'o-1', eventId, level: 'info', facts: { boxes: 1 }, message: 'order placed' },
    { key: 'o-1', eventId: noted, level: 'debug', facts: {}, message: 'order noted' },
    { key: 'o-1', eventId, level: 'warn', facts: { ok: true }, message: 'order sent' },
    { key: 'o-1', eventId, level: 'error', facts: {}, message: 'order late' },
  ]
  t.same(driver.logged('chatty'), lines)
  driver.retry('chatty', 'failed')
  driver.restart()
  driver.lose('chatty')
  t.same(driver.logged('chatty'), lines, 'nothing of a step that failed, nothing by a replay')
})
