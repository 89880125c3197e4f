import t from 'tap'
import type { OutputRecord } from '../kafka/log-records.ts'
import { defineProcessor, from, type Processor, to } from '../processor.ts'
import { SEPARATOR } from '../task/changelog.ts'
import { DEAD_LETTERS_TOPIC } from '../task/dead-letter.ts'
import { type BoxSent, deliveries, LATE_MS, orders, type Parcel, type Receipt, sendOrders } from '../testing/example.ts'
import { runnerBed } from '../testing/runner-bed.ts'
import type { SimulatedProcess } from '../testing/simulation/simulated-process.ts'
import type { EffectRun } from './executors.ts'

/**
 * What a broker refuses, whoever writes it and however often: too large for its topic, against a policy. Whatever step it
 * comes of, that step is found, its key waits with the reason, and everybody else goes on.
 */
const MINUTE_MS = 60_000

const sending = () => ({
  send: async ({ boxes }: Parcel, run: EffectRun<BoxSent>): Promise<Receipt> => {
    for (let n = run.resumeFrom + 1; n <= boxes; n++) await run.report(n, { n })
    return { trackingId: run.effectId }
  },
})

/** Parcels that are never sent. */
const neverSending = (process: SimulatedProcess) => ({
  send: async (): Promise<Receipt> => {
    await process.sleep(1_000 * MINUTE_MS)
    return { trackingId: '' }
  },
})

const isFact = (type: string, key: string) => (record: OutputRecord) =>
  record.topic === 'deliveries' && record.headers.ce_type === `shop.${type}` && record.key === key

/** What is emitted of such a step is refused; everything is taken again, and the operator has it tried again. */
const REJECTED = { key: 'bad', code: 'COMMIT_REJECTED' }

t.test('of a record, a report, an outcome: the key waits, the others go on', async (t) => {
  for (const type of ['BoxSent', 'OrderSent', 'OrderLost']) {
    const bed = await runnerBed(type === 'OrderLost' ? neverSending : sending)
    bed.reject(isFact(type, 'bad'))
    for (const key of ['good', 'bad', 'fine']) bed.place(key, 1)
    await bed.pass(1_000)
    if (type === 'OrderLost') bed.pipe(orders, 'OrderWithdrawn', 'bad', { why: 'it is over' })
    await bed.pass(MINUTE_MS / 2)
    t.match(bed.blocked(), [REJECTED], type)
    bed.place('later', 0)
    if (type !== 'OrderLost') {
      await bed.pass(1_000)
      t.same(
        ['good', 'fine', 'later'].map((key) => bed.facts(key).at(-1)),
        ['OrderSent', 'OrderSent', 'OrderSent'],
      )
    }
    bed.reject(null)
    bed.ask('RETRY', 'bad')
    await bed.pass(5_000)
    t.same(bed.blocked(), [])
    t.equal(bed.facts('bad').at(-1), type === 'BoxSent' ? 'OrderSent' : type)
  }
})

t.test('of a timer: the key waits, other timers fire, and it fires when it is retried', async (t) => {
  const bed = await runnerBed(neverSending)
  bed.reject(isFact('OrderLate', 'bad'))
  for (const key of ['a', 'bad', 'c']) bed.place(key, 1)
  await bed.pass(LATE_MS + MINUTE_MS)
  t.same(bed.runner.failure, null)
  t.match(bed.blocked(), [{ ...REJECTED, queued: 1 }])
  t.same([bed.facts('a'), bed.facts('bad'), bed.facts('c')], [['OrderLate'], [], ['OrderLate']])
  bed.ask('RETRY', 'bad')
  await bed.pass(MINUTE_MS)
  t.match(bed.blocked(), [REJECTED], 'as long as the broker refuses it, it waits')
  bed.restart()
  await bed.pass(MINUTE_MS)
  t.match(bed.blocked(), [REJECTED])
  bed.reject(null)
  bed.ask('RETRY', 'bad')
  await bed.pass(5_000)
  t.same([bed.blocked(), bed.facts('bad')], [[], ['OrderLate']])
})

t.test('of a timer: it may be skipped', async (t) => {
  const bed = await runnerBed(neverSending)
  bed.reject(isFact('OrderLate', 'bad'))
  bed.place('bad', 1)
  await bed.pass(LATE_MS + MINUTE_MS)
  bed.ask('SKIP', 'bad')
  await bed.pass(5_000)
  t.same([bed.blocked(), bed.facts('bad'), bed.runner.state], [[], [], 'running'])
})

t.test('of one of several that wait with a key: the first of them that is refused keeps the rest', async (t) => {
  const bed = await runnerBed(neverSending)
  bed.place('bad', 1)
  await bed.pass(1_000)
  bed.place('bad', -1)
  bed.pipe(orders, 'OrderNoted', 'bad', { count: 1 })
  bed.pipe(orders, 'OrderWithdrawn', 'bad', { why: 'too much' })
  bed.pipe(orders, 'OrderNoted', 'bad', { count: 2 })
  await bed.pass(1_000)
  t.match(bed.blocked(), [{ code: 'HANDLER_FAILED', queued: 4 }])
  bed.reject(isFact('OrderLost', 'bad'))
  bed.ask('SKIP', 'bad')
  await bed.pass(MINUTE_MS)
  t.match(bed.blocked(), [{ ...REJECTED, queued: 2 }])
  bed.place('other', 0)
  await bed.pass(1_000)
  t.equal(bed.runner.failure, null)
  bed.reject(null)
  bed.ask('RETRY', 'bad')
  await bed.pass(5_000)
  t.same([bed.blocked(), bed.facts('bad')], [[], ['OrderLost']])
})

const letters = (bed: Awaited<ReturnType<typeof runnerBed>>) => bed.log.readAll(DEAD_LETTERS_TOPIC)
const isLetter = ({ topic }: OutputRecord): boolean => topic === DEAD_LETTERS_TOPIC

t.test('of a record without a key: its letter says where it is', async (t) => {
  const bed = await runnerBed(sending)
  bed.reject((record) => isLetter(record) && record.value !== null)
  bed.place('a', 0)
  bed.placeKeyless(3)
  bed.place('b', 0)
  await bed.pass(MINUTE_MS)
  t.same([bed.runner.failure, bed.blocked()], [null, []])
  t.same([bed.facts('a'), bed.facts('b')], [['OrderSent'], ['OrderSent']])
  t.match(letters(bed), [
    {
      value: null,
      headers: { 'dlq-topic': 'orders', 'dlq-partition': '0', 'dlq-offset': '1', 'dlq-error-code': 'COMMIT_REJECTED' },
    },
  ])
  t.ok(Number(letters(bed)[0]?.headers['dlq-omitted']) > 0)
  t.equal(bed.committed(), 3)
})

t.test('of a record without a key, and of every letter: the task stops, and says at which record', async (t) => {
  const bed = await runnerBed(sending)
  bed.reject(isLetter)
  bed.place('a', 0)
  bed.placeKeyless(3)
  bed.place('b', 0)
  await bed.pass(MINUTE_MS)
  t.match(bed.runner.failure, { code: 'COMMIT_REJECTED', facts: { step: 'orders/0/1' } })
  t.same(bed.facts('a'), ['OrderSent'])
  bed.reject(null)
  bed.restart()
  await bed.pass(5_000)
  t.same(bed.facts('b'), ['OrderSent'], 'it goes on when that is mended')
  t.equal(letters(bed).length, 1)
})

t.test('of the letter of a record that is skipped: it says where the record is', async (t) => {
  const bed = await runnerBed(sending)
  bed.place('bad', -1)
  bed.place('bad', 0)
  await bed.pass(1_000)
  bed.reject((record) => isLetter(record) && record.value !== null)
  bed.ask('SKIP', 'bad')
  await bed.pass(MINUTE_MS)
  t.match(letters(bed), [{ key: 'bad', value: null, headers: { 'dlq-offset': '0', 'dlq-omitted': /^\d+$/ } }])
  t.same([bed.blocked(), bed.facts('bad')], [[], ['OrderSent']])
})

t.test('of the entries themselves: the task stops, and says at which step', async (t) => {
  const bed = await runnerBed(sending)
  const isOfBad = (key: string) => ['s', 'q'].includes(key.charAt(0)) && key.split(SEPARATOR)[1] === 'bad'
  bed.reject(({ topic, key }) => topic === 'send-orders-state' && isOfBad(key))
  for (const key of ['a', 'bad', 'b']) bed.place(key, 0)
  await bed.pass(MINUTE_MS)
  t.match(bed.runner.failure, { code: 'COMMIT_REJECTED', facts: { step: 'orders/0/1' } })
})

/** Says that it is there. */
const announcing: Processor = {
  ...sendOrders,
  behaviour: {
    ...sendOrders.behaviour,
    opened: (ctx) =>
      (ctx as { emit: { OrderLate: (event: object, to: object) => void } }).emit.OrderLate(
        { count: 0 },
        { key: 'shop' },
      ),
  },
}

t.test('of the hook that opens a task: the task stops, for nothing may be done before it', async (t) => {
  const bed = await runnerBed(sending, { processor: announcing })
  bed.reject(isFact('OrderLate', 'shop'))
  bed.place('a', 0)
  await bed.pass(MINUTE_MS)
  t.match(bed.runner.failure, { code: 'COMMIT_REJECTED', facts: { step: 'hook/opened' } })
  t.same(bed.facts('a'), [])
  bed.reject(null)
  bed.restart()
  await bed.pass(5_000)
  t.same([bed.facts('shop'), bed.facts('a')], [['OrderLate'], ['OrderSent']])
})

/** Says at once that it has lost every order. */
const losing = defineProcessor(
  { name: 'send-orders', reads: [from(orders, ['OrderPlaced'])], writes: [to(deliveries, ['OrderLost'])] },
  { on: { orders: { OrderPlaced: (ctx, { boxes }) => ctx.emit.OrderLost({ code: String(boxes) }) } } },
)

t.test('of what a replay has held back: the key waits with it, and the rest is done', async (t) => {
  const isSecond = (record: OutputRecord) => isFact('OrderLost', 'bad')(record) && record.value?.includes('2') === true
  const opened = async () => {
    const bed = await runnerBed(() => ({}), { processor: losing, isNew: true })
    for (const [key, boxes] of [
      ['a', 1],
      ['bad', 1],
      ['bad', 2],
      ['bad', 3],
      ['c', 1],
    ] as const)
      bed.place(key, boxes)
    bed.reject(isSecond)
    await bed.pass(MINUTE_MS)
    t.same([bed.runner.failure, bed.runner.state], [null, 'running'])
    t.match(bed.blocked(), [{ ...REJECTED, queued: 2 }])
    t.same(
      ['a', 'bad', 'c'].map((key) => bed.facts(key).length),
      [1, 1, 1],
    )
    bed.place('bad', 4)
    bed.place('d', 1)
    await bed.pass(1_000)
    t.same([bed.facts('bad').length, bed.facts('d').length], [1, 1])
    return bed
  }
  const codes = (bed: Awaited<ReturnType<typeof opened>>) =>
    bed.log
      .readAll('deliveries')
      .filter(({ key }) => key === 'bad')
      .map(({ value }) => String(value).at(-1))

  const retried = await opened()
  retried.restart()
  await retried.pass(1_000)
  retried.ask('RETRY', 'bad')
  await retried.pass(MINUTE_MS)
  t.match(retried.blocked(), [REJECTED], 'the broker still refuses it')
  retried.reject(null)
  retried.ask('RETRY', 'bad')
  await retried.pass(5_000)
  t.same([retried.blocked(), codes(retried)], [[], ['1', '2', '3', '4']])

  const skipped = await opened()
  skipped.ask('SKIP', 'bad')
  await skipped.pass(5_000)
  t.same([skipped.blocked(), codes(skipped)], [[], ['1', '3', '4']])
  t.match(letters(skipped), [
    { key: 'bad', headers: { 'dlq-topic': 'deliveries', 'dlq-error-code': 'SKIPPED_COMMIT_REJECTED' } },
  ])
})
