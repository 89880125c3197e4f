import t from 'tap'
import { type ErasedBehaviour, from, type Processor } from '../processor.ts'
import {
  type BoxSent,
  type Count,
  deliveries,
  type OrderLost,
  orders,
  type Parcel,
  type Receipt,
  sendOrders,
} from '../testing/example.ts'
import { runnerBed } from '../testing/runner-bed.ts'
import type { EffectRun } from './executors.ts'

/** What a task does in which order, and what stops it. */
const sending =
  (begin: (run: EffectRun<BoxSent>) => void = () => undefined) =>
  () => ({
    send: async (_parcel: Parcel, run: EffectRun<BoxSent>): Promise<Receipt> => {
      begin(run)
      return { trackingId: run.effectId }
    },
  })

t.test('the next batch is folded while one is being committed, and nothing of it leaves before', async (t) => {
  const bed = await runnerBed(sending())
  const goOn = bed.hold('endTransaction')
  bed.place('o-1', 0)
  await bed.pass(1_000)
  bed.place('o-2', 0)
  await bed.pass(1_000)
  t.equal(bed.runner.position('orders'), 2n)
  t.same([bed.requests('endTransaction'), bed.committed()], [1, 0])
  goOn()
  await bed.pass(1_000)
  t.equal(bed.committed(), 2)
  t.same([bed.facts('o-1'), bed.facts('o-2')], [['OrderSent'], ['OrderSent']])
})

type Context = {
  readonly state: {
    readonly box: { put(box: BoxSent, id: string): void }
    readonly count: { get(): Count | undefined; put(count: Count): void }
  }
  readonly emit: { OrderLate(count: Count): void; OrderLost(lost: OrderLost): void }
}
const handling = (on: {
  readonly [topic: string]: { readonly [event: string]: (ctx: Context, event: Count) => void }
}): Processor => ({ ...sendOrders, behaviour: { ...sendOrders.behaviour, on: on as ErasedBehaviour['on'] } })

/** Notes are kept where the effect can read them. */
const noting = handling({
  orders: {
    ...sendOrders.behaviour.on.orders,
    OrderNoted: (ctx, { count }) => ctx.state.box.put({ n: count }, 'noted'),
  },
})

t.test('an effect reads what is committed with it, not what is folded meanwhile', async (t) => {
  const read: unknown[] = []
  const bed = await runnerBed(
    sending((run) => read.push(run.read<BoxSent>('box'))),
    { processor: noting },
  )
  const goOn = bed.hold('endTransaction')
  bed.pipe(orders, 'OrderNoted', 'o-1', { count: 7 })
  bed.place('o-1', 0)
  await bed.pass(1_000)
  bed.pipe(orders, 'OrderNoted', 'o-1', { count: 8 })
  await bed.pass(1_000)
  t.equal(bed.runner.position('orders'), 3n, 'the second note is folded')
  goOn()
  await bed.pass(1_000)
  t.same(read, [[['noted', { n: 7 }]]])
})

/** An order is late, or lost when nobody had opened the shop before. */
const bootstrapping: Processor = {
  ...handling({
    orders: {
      OrderPlaced: (ctx) => {
        const opened = ctx.state.count.get()
        if (opened === undefined) ctx.emit.OrderLost({ code: 'NOT_OPENED' })
        else ctx.emit.OrderLate(opened)
      },
    },
    deliveries: {
      ShopOpened: (ctx, opened) => {
        if (opened.count < 0) throw new RangeError('opened less than never')
        ctx.state.count.put(opened)
      },
    },
  }),
  reads: [from(orders, ['OrderPlaced']), from(deliveries, ['ShopOpened'], { bootstrap: true })],
}

t.test('a bootstrap input is read to its end before any record of another', async (t) => {
  const bed = await runnerBed(() => ({}), { processor: bootstrapping })
  const open = bed.hold('initProducer')
  bed.place('o-1', 0)
  await bed.pass(1_000)
  bed.pipe(deliveries, 'ShopOpened', 'o-1', { count: 7 })
  open()
  await bed.pass(1_000)
  t.same(bed.facts('o-1'), ['ShopOpened', 'OrderLate'])
})

t.test('a bootstrap input waits until there is room for what fails of it', async (t) => {
  const bed = await runnerBed(() => ({}), { processor: bootstrapping })
  const open = bed.hold('initProducer')
  bed.place('o-1', 0)
  await bed.pass(1_000)
  const note = { note: 'x'.repeat(1024 * 1024) }
  for (let n = 0; n < 10; n++) bed.pipe(deliveries, 'ShopOpened', 'bad', { count: -1 }, note)
  bed.pipe(deliveries, 'ShopOpened', 'o-1', { count: 7 })
  open()
  await bed.pass(10_000)
  t.equal(bed.runner.state, 'full')
  t.match(bed.blocked(), [{ key: 'bad', queued: 8 }], 'of a mebibyte each, as many as it has room for')
  t.same(bed.facts('o-1'), ['ShopOpened'], 'and nothing of another input before that')
  for (let n = 0; n < 3; n++) {
    bed.ask('SKIP', 'bad')
    await bed.pass(10_000)
  }
  t.equal(bed.runner.state, 'running')
  t.match(bed.blocked(), [{ key: 'bad', queued: 7 }])
  t.same(bed.facts('o-1'), ['ShopOpened', 'OrderLate'])
})

t.test('a task that is to stop reads no bootstrap input to its end', async (t) => {
  const opened: number[] = []
  let stop = (): unknown => undefined
  const counting: Processor = {
    ...bootstrapping,
    behaviour: {
      ...bootstrapping.behaviour,
      on: {
        ...bootstrapping.behaviour.on,
        deliveries: {
          ShopOpened: (_ctx, event) => {
            const { count } = event as Count
            opened.push(count)
            if (count === 700) stop()
          },
        },
      },
    },
  }
  const bed = await runnerBed(() => ({}), { processor: counting })
  const open = bed.hold('initProducer')
  bed.place('o-1', 0)
  await bed.pass(1_000)
  const all = Array.from({ length: 3_000 }, (_, n) => n)
  for (const count of all) bed.pipe(deliveries, 'ShopOpened', 'shop', { count })
  stop = () => void bed.runner.close()
  open()
  await bed.pass(10_000)
  t.equal(bed.runner.state, 'closed')
  t.equal(opened.length, 701)
  bed.restart()
  await bed.pass(10_000)
  t.same(opened, all, 'the next owner goes on behind the last batch, which the end has committed')
  t.same(bed.facts('o-1'), ['OrderLost'])
})

t.test('a task without room for what waits behind failures takes nothing more until there is some', async (t) => {
  const bed = await runnerBed(sending())
  const note = { note: 'x'.repeat(1024 * 1024) }
  for (let n = 0; n < 10; n++) bed.pipe(orders, 'OrderPlaced', 'bad', { boxes: -1 }, note)
  bed.place('fine', 0)
  await bed.pass(10_000)
  t.equal(bed.runner.state, 'full')
  t.equal(bed.committed(), 8, 'of a mebibyte each, as many as it has room for')
  t.same(bed.facts('fine'), [])
  for (let n = 0; n < 3; n++) {
    bed.ask('SKIP', 'bad')
    await bed.pass(10_000)
  }
  t.equal(bed.runner.state, 'running')
  t.same(bed.facts('fine'), ['OrderSent'])
})

t.test('so does one that replays its inputs', { timeout: 20_000 }, async (t) => {
  const bed = await runnerBed(sending())
  const note = { note: 'x'.repeat(1024 * 1024) }
  for (let n = 0; n < 10; n++) bed.pipe(orders, 'OrderPlaced', 'bad', { boxes: -1 }, note)
  bed.place('fine', 0)
  bed.forget()
  bed.restart()
  await bed.pass(10_000)
  t.equal(bed.runner.state, 'full')
  for (let n = 0; n < 3; n++) {
    bed.ask('SKIP', 'bad')
    await bed.pass(10_000)
  }
  t.equal(bed.runner.state, 'running')
  t.same(bed.facts('fine'), ['OrderSent'])
})

t.test('what the broker does not allow stops the task, and is named', async (t) => {
  const refusals = [
    ['initProducer', 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED'],
    ['produce', 'TOPIC_AUTHORIZATION_FAILED'],
    ['fetch', 'TOPIC_AUTHORIZATION_FAILED'],
  ] as const
  for (const [request, refusal] of refusals) {
    const bed = await runnerBed(sending())
    bed.refuse(request, refusal)
    bed.place('o-1', 0)
    await bed.pass(60_000)
    t.match(bed.runner, { state: 'failed', failure: { code: 'KAFKA_UNAUTHORIZED', facts: { kafkaError: refusal } } })
    t.equal(bed.requests(request), 1, 'and is not tried again')
  }
})

t.test('what an output topic has forgotten is not emitted again by a replay', async (t) => {
  const bed = await runnerBed(sending())
  bed.pipe(orders, 'OrderWithdrawn', 'o-1', { why: 'rain' })
  await bed.pass(1_000)
  t.same(bed.facts('o-1'), ['OrderLost'])
  bed.log.truncate('deliveries', 0)
  bed.pipe(orders, 'OrderWithdrawn', 'o-2', { why: 'rain' })
  await bed.pass(1_000)
  bed.log.truncate('send-orders-state', 0)
  bed.restart()
  await bed.pass(1_000)
  t.equal(bed.runner.state, 'running')
  t.same([bed.facts('o-1'), bed.facts('o-2')], [[], ['OrderLost']])
})
