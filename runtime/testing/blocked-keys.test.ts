import t from 'tap'
import { createCodec } from '../codec/avro.ts'
import { memoryDirectory } from '../codec/schema-directory.ts'
import { CRASH_LIMIT } from '../effect-policy.ts'
import { MAX_RECORD_BYTES } from '../kafka/log-records.ts'
import type { Collection, ErasedBehaviour, Processor } from '../processor.ts'
import { TaskCore } from '../task/task-core.ts'
import { type Count, deliveries, LATE_MS, OrderPlacedSchema, orders, sendOrders } from './example.ts'
import { type TestDriver, testDriver } from './test-driver.ts'

/** A handler that fails blocks its key, nobody else's, and loses nothing. */
const open = () => testDriver([sendOrders], { blocking: 'keep' })
/** The same, where anybody may write to the topic. */
const onDoor = () => {
  const door = { ...orders, door: true }
  const reads = sendOrders.reads.map((edge) => ({ ...edge, topic: door }))
  return testDriver([{ ...sendOrders, reads }], { blocking: 'keep' })
}
const BAD = { boxes: -1 }
const NAME = sendOrders.name

/** The same processor, repaired: an order of less than nothing counts like any other. */
const repaired: Processor = {
  ...sendOrders,
  behaviour: {
    ...sendOrders.behaviour,
    on: {
      orders: {
        ...sendOrders.behaviour.on.orders,
        OrderPlaced: (ctx, event) =>
          sendOrders.behaviour.on.orders?.OrderPlaced?.(ctx, { boxes: Math.abs((event as typeof BAD).boxes) }),
      },
    },
  },
}

const failingOn = (event: string, why = 'broken') => ({
  orders: {
    [event]: () => {
      throw new RangeError(why)
    },
  },
})

const failingToSettle: Processor = {
  ...sendOrders,
  behaviour: {
    ...sendOrders.behaviour,
    settled: {
      send: () => {
        throw new RangeError('no such carrier')
      },
    },
  },
}

t.test('the key waits, other keys flow, and a fix has everything folded in its order', async (t) => {
  const driver = open()
  driver.pipe(orders, 'OrderPlaced', 'bad', BAD)
  driver.pipe(orders, 'OrderNoted', 'bad', { count: 7 })
  driver.pipe(orders, 'OrderPlaced', 'good', { boxes: 1 })
  t.match(driver.blocked(NAME), [{ key: 'bad', code: 'HANDLER_FAILED', queued: 2 }])
  t.same(driver.state(NAME, 'bad').count, {}, 'nothing remains of the step that failed')
  t.match(driver.effects(), [{ key: 'good' }])

  driver.restart()
  t.match(driver.blocked(NAME), [{ key: 'bad', queued: 2 }], 'a restart alone repairs nothing')
  driver.retry(NAME, 'bad')
  t.match(driver.blocked(NAME), [{ key: 'bad', queued: 2 }], 'nor does trying again')

  driver.deploy(repaired)
  driver.retry(NAME, 'bad')
  t.same(driver.blocked(NAME), [])
  t.same(driver.state(NAME, 'bad').count, { '': { count: 7 } })
  t.match(driver.effects(), [{ key: 'good' }, { key: 'bad', input: { boxes: 1 } }])
  t.notOk(
    driver.changelog(NAME).some(({ key }) => ['b', 'q', 'o'].includes(key.charAt(0))),
    'nothing is left of the wait',
  )
})

t.test('nothing remains of a step whose promises cannot be written', async (t) => {
  const counting = (promise: ErasedBehaviour['due'][string] & {}): Processor => ({
    ...sendOrders,
    effects: { send: { ...sendOrders.effects.send, input: orders.events.OrderWithdrawn } as never },
    behaviour: {
      ...sendOrders.behaviour,
      on: {
        orders: {
          OrderPlaced: (ctx) => {
            const { count } = (ctx as { state: { count: Collection<Count> } }).state
            count.put({ count: (count.get()?.count ?? 0) + 1 })
            promise(ctx)
          },
        },
      },
    },
  })
  const ask = (ctx: unknown) =>
    (ctx as { perform: { send: (input: object) => void } }).perform.send({ why: 'x'.repeat(899_980) })
  const schedule = (ctx: unknown) =>
    (ctx as { schedule: (timer: string, atMs: number) => void }).schedule('late', Number.NaN)

  t.test('an effect with a cause that is too long', async (t) => {
    const driver = testDriver([counting(ask)], { blocking: 'keep' })
    driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 }, { id: 'c'.repeat(150_000) })
    t.match(driver.blocked(NAME), [{ code: 'RECORD_TOO_LARGE' }])
    driver.retry(NAME, 'o-1')
    t.same(driver.state(NAME, 'o-1').count, {})
    t.same(driver.effects(), [])
    driver.restart()
    t.same(driver.state(NAME, 'o-1').count, {})
  })

  t.test('a timer without a time', async (t) => {
    const driver = testDriver([counting(schedule)], { blocking: 'keep' })
    driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
    driver.retry(NAME, 'o-1')
    t.match(driver.blocked(NAME), [{ code: 'ENCODE_INVALID' }])
    t.same(driver.state(NAME, 'o-1').count, {})
  })

  t.test('what fits a record fits with what is kept beside it', async (t) => {
    const driver = testDriver([counting(ask)])
    driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
    driver.crash(driver.effects()[0]?.id ?? '')
    t.match(driver.effects(), [{ key: 'o-1' }])
    t.same(driver.state(NAME, 'o-1').count, { '': { count: 1 } })
  })
})

t.test('an input that no entry holds waits in pieces', async (t) => {
  const why = 'x'.repeat(950_000)
  const failing: Processor = {
    ...sendOrders,
    behaviour: { ...sendOrders.behaviour, closing: failingOn('OrderWithdrawn') },
  }
  const pieces = (driver: TestDriver) => driver.changelog(NAME).filter(({ key }) => key.startsWith('m'))
  for (const topic of [orders, { ...orders, door: true }]) {
    const reads = failing.reads.map((edge) => ({ ...edge, topic }))
    const closedBy = failing.closedBy.map((edge) => ({ ...edge, topic }))
    const driver = testDriver([{ ...failing, reads, closedBy }], { blocking: 'keep' })
    driver.pipe(orders, 'OrderWithdrawn', 'large', { why })
    driver.pipe(orders, 'OrderPlaced', 'good', { boxes: 1 })
    t.match(driver.blocked(NAME), [{ key: 'large', code: 'HANDLER_FAILED', queued: 1 }])
    t.match(driver.effects(), [{ key: 'good' }], 'others flow')
    driver.pipe(orders, 'OrderWithdrawn', 'large', { why })
    t.ok(pieces(driver).every(({ value }) => (value?.length ?? 0) <= MAX_RECORD_BYTES))
    t.equal(pieces(driver).length, 4, 'what comes behind it, too')
    driver.restart()
    t.match(driver.blocked(NAME), [{ queued: 2 }])
    driver.deploy(sendOrders)
    driver.retry(NAME, 'large')
    t.same(driver.blocked(NAME), [])
    t.match(driver.read(deliveries, 'OrderLost'), [{ key: 'large', data: { code: 'WITHDRAWN' } }])
    t.same(pieces(driver), [])
  }
})

t.test('a replay forgets the pieces, and cuts anew', async (t) => {
  const failing: Processor = {
    ...sendOrders,
    behaviour: { ...sendOrders.behaviour, closing: failingOn('OrderWithdrawn') },
  }
  const driver = testDriver([failing], { blocking: 'keep' })
  driver.pipe(orders, 'OrderWithdrawn', 'large', { why: 'x'.repeat(2_000_000) })
  const before = driver.changelog(NAME).length
  driver.deploy({ ...failing, version: 2 })
  t.match(driver.blocked(NAME), [{ key: 'large', queued: 1 }])
  t.equal(driver.changelog(NAME).length, before)
})

t.test('an outcome waits with its key, however large', async (t) => {
  const driver = open()
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
  driver.pipe(orders, 'OrderPlaced', 'o-1', BAD)
  driver.settle(driver.effects()[0]?.id ?? '', { ok: false, code: 'REFUSED', detail: 'x'.repeat(1_000_000) })
  t.match(driver.blocked(NAME), [{ key: 'o-1', queued: 2 }])
  driver.restart()
  driver.skip(NAME, 'o-1')
  t.match(driver.read(deliveries, 'OrderLost'), [{ key: 'o-1', data: { code: 'REFUSED' } }])
})

t.test('a failure that quotes its input is cut short', async (t) => {
  const quoting: Processor = {
    ...sendOrders,
    behaviour: { ...sendOrders.behaviour, closing: failingOn('OrderWithdrawn', 'x'.repeat(1_000_000)) },
  }
  const driver = testDriver([quoting], { blocking: 'keep' })
  driver.pipe(orders, 'OrderWithdrawn', 'o-1', { why: '' })
  t.ok((driver.blocked(NAME)[0]?.detail.length ?? 0) < 10_000)
})

t.test('an operator may skip the first of the queue: a record goes to the dead letters', async (t) => {
  const driver = open()
  driver.pipe(orders, 'OrderPlaced', 'bad', BAD)
  driver.pipe(orders, 'OrderNoted', 'bad', { count: 7 })
  driver.skip(NAME, 'bad')
  t.same(driver.blocked(NAME), [])
  t.same(driver.state(NAME, 'bad').count, { '': { count: 7 } })
  t.match(driver.dlq(), [
    { key: 'bad', headers: { 'dlq-error-code': 'SKIPPED_HANDLER_FAILED', 'dlq-topic': 'orders' } },
  ])
})

t.test('reports and outcomes of a blocked key wait behind the record, over a restart', async (t) => {
  const driver = open()
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 2 })
  const [effect] = driver.effects()
  driver.report(effect?.id ?? '', 1, { n: 1 })
  driver.pipe(orders, 'OrderPlaced', 'o-1', BAD)
  driver.report(effect?.id ?? '', 2, { n: 2 })
  driver.settle(effect?.id ?? '', { ok: true, value: { trackingId: 'x' } })
  t.same(
    driver.read(deliveries).map(({ type }) => type),
    ['BoxSent'],
  )
  driver.restart()
  driver.skip(NAME, 'o-1')
  t.same(
    driver.read(deliveries).map(({ type }) => type),
    ['BoxSent', 'BoxSent', 'OrderSent'],
  )
  t.same(driver.effects(), [])
})

t.test('a report that is skipped counts as told: those after it are no gap', async (t) => {
  const reported = {
    send: (...args: unknown[]) => {
      if (args[2] === 1) throw new RangeError('no such box')
      sendOrders.behaviour.reported.send?.(args[0], ...args.slice(1))
    },
  }
  const driver = testDriver([{ ...sendOrders, behaviour: { ...sendOrders.behaviour, reported } }], { blocking: 'keep' })
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 2 })
  const { id = '' } = driver.effects()[0] ?? {}
  driver.report(id, 1, { n: 1 })
  t.match(driver.blocked(NAME), [{ key: 'o-1', queued: 1 }])
  driver.skip(NAME, 'o-1')
  driver.restart()
  driver.report(id, 2, { n: 2 })
  t.same(driver.blocked(NAME), [])
  t.match(driver.read(deliveries, 'BoxSent'), [{ data: { n: 2 } }])
})

t.test('an outcome of an effect that the code does not know any more can be skipped', async (t) => {
  const driver = testDriver([failingToSettle], { blocking: 'keep' })
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
  driver.settle(driver.effects()[0]?.id ?? '', { ok: true, value: { trackingId: 'x' } })
  driver.deploy({ ...sendOrders, effects: {} })
  t.match(driver.blocked(NAME), [{ key: 'o-1', queued: 1 }])
  driver.skip(NAME, 'o-1')
  t.same([driver.blocked(NAME), driver.effects()], [[], []])
})

t.test('retried with such code, the outcome waits on', async (t) => {
  const driver = testDriver([failingToSettle], { blocking: 'keep' })
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
  driver.settle(driver.effects()[0]?.id ?? '', { ok: true, value: { trackingId: 'x' } })
  driver.deploy({ ...sendOrders, effects: {} })
  driver.retry(NAME, 'o-1')
  t.match(driver.blocked(NAME), [{ key: 'o-1', code: 'EFFECT_UNDECLARED', queued: 1 }])
  driver.deploy(sendOrders)
  t.same(driver.blocked(NAME), [], 'until the code knows the effect again')
  t.match(driver.read(deliveries, 'OrderSent'), [{ data: { trackingId: 'x' } }])
})

t.test('an outcome that its handler cannot fold blocks the key and is not lost', async (t) => {
  const driver = testDriver([failingToSettle], { blocking: 'keep' })
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
  driver.settle(driver.effects()[0]?.id ?? '', { ok: true, value: { trackingId: 'x' } })
  t.match(driver.blocked(NAME), [{ key: 'o-1', detail: /no such carrier/, queued: 1 }])
  driver.deploy(sendOrders)
  driver.retry(NAME, 'o-1')
  t.match(driver.read(deliveries, 'OrderSent'), [{ data: { trackingId: 'x' } }])
})

t.test('that an effect has crashed waits with its key once, however often the task is opened again', async (t) => {
  for (const [why, input] of [
    ['its own handler fails', { boxes: 1 }],
    ['its key waits already', BAD],
  ] as const) {
    const driver = testDriver([failingToSettle], { blocking: 'keep' })
    driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
    const { id = '' } = driver.effects()[0] ?? {}
    for (let n = 1; n < CRASH_LIMIT; n++) driver.crash(id)
    if (input === BAD) driver.pipe(orders, 'OrderPlaced', 'o-1', input)
    driver.crash(id)
    const queued = input === BAD ? 2 : 1
    t.match(driver.blocked(NAME), [{ key: 'o-1', queued }], why)
    for (let n = 0; n < 3; n++) driver.restart()
    t.match(driver.blocked(NAME), [{ key: 'o-1', queued }], `${why}, after three restarts`)
    driver.deploy(repaired)
    driver.retry(NAME, 'o-1')
    t.match(driver.read(deliveries, 'OrderLost'), [{ data: { code: 'CRASHED' } }], 'it is told once')
    t.same(driver.blocked(NAME), [])
  }
})

t.test('a timer that its handler cannot fold waits with its key, without waking anybody', async (t) => {
  const failing: Processor = {
    ...sendOrders,
    behaviour: {
      ...sendOrders.behaviour,
      due: {
        late: () => {
          throw new RangeError('what time is it?')
        },
      },
    },
  }
  const driver = testDriver([failing], { blocking: 'keep' })
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
  driver.advance(3_600_000)
  t.match(driver.blocked(NAME), [{ key: 'o-1', queued: 1 }])
  driver.deploy(sendOrders)
  driver.retry(NAME, 'o-1')
  t.match(driver.read(deliveries, 'OrderLate'), [{ key: 'o-1' }])
})

t.test(
  'a pending effect that the code does not know any more blocks its key, until the code knows it again',
  async (t) => {
    const driver = open()
    driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
    const forgetful: Processor = { ...sendOrders, effects: {} }
    driver.deploy(forgetful)
    t.match(driver.blocked(NAME), [{ key: 'o-1', code: 'EFFECT_UNDECLARED' }])
    driver.pipe(orders, 'OrderNoted', 'o-1', { count: 3 })
    driver.retry(NAME, 'o-1')
    driver.deploy(sendOrders)
    t.same(driver.blocked(NAME), [], 'nobody had to ask')
    t.match(driver.effects(), [{ key: 'o-1', name: 'send' }])
    t.same(driver.state(NAME, 'o-1').count, { '': { count: 3 } })
  },
)

t.test('a handler that is asynchronous blocks its key: what it does later would be lost', async (t) => {
  const { on, settled, due } = sendOrders.behaviour
  const later = async (ctx: unknown) => {
    await undefined
    ;(ctx as { emit: { OrderLost(event: object): void } }).emit.OrderLost({ code: 'LATE' })
  }
  const whole = { on, settled, due }
  for (const part of [
    { on: { orders: { OrderPlaced: later } } },
    { settled: { send: later } },
    { due: { late: later } },
  ]) {
    const behaviour = { ...sendOrders.behaviour, ...whole, ...part } as unknown as ErasedBehaviour
    const driver = testDriver([{ ...sendOrders, behaviour }], { blocking: 'keep' })
    driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
    if ('settled' in part) driver.fail(driver.effects()[0]?.id ?? '', { code: 'X', detail: '', retryable: false })
    if ('due' in part) driver.advance(LATE_MS)
    t.match(driver.blocked(NAME), [{ key: 'o-1', code: 'HANDLER_ASYNC' }], Object.keys(part).join())
    await new Promise(setImmediate) // what it still says must not end the process
  }
})

t.test('bytes that nobody can read', async (t) => {
  const garbage = Buffer.from([0, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255])
  const headers = { ce_type: OrderPlacedSchema.name }

  t.test('block their key on a topic of facts', async (t) => {
    const driver = open()
    driver.pipe(orders, 'OrderPlaced', 'o-2', { boxes: 1 })
    driver.pipeBytes(orders, 'o-1', garbage, headers)
    t.match(driver.blocked(NAME), [{ key: 'o-1', code: 'UNDECODABLE_RECORD' }])
    t.same(driver.dlq(), [])
  })

  t.test('and that do not say of what type they are, are not passed over either', async (t) => {
    const bytes = Buffer.from('{"boxes": 1}')
    const driver = open()
    driver.pipeBytes(orders, 'o-1', bytes)
    t.match(driver.blocked(NAME), [{ key: 'o-1', code: 'UNDECODABLE_RECORD' }])
    const door = onDoor()
    door.pipeBytes(orders, 'o-1', bytes)
    t.match(door.dlq(), [{ key: 'o-1', value: bytes, headers: { 'dlq-error-code': 'UNDECODABLE_RECORD' } }])
    t.same(door.blocked(NAME), [])
  })

  t.test('until their schema is learned, when it alone says of what type they are', async (t) => {
    const directory = memoryDirectory()
    const known = createCodec(directory)
    const value = known.encode(OrderPlacedSchema, { boxes: 1 })
    let isKnown = false
    const codec = createCodec({ ...directory, schemaOf: (id) => (isKnown ? directory.schemaOf(id) : undefined) })
    const core = new TaskCore({ processor: sendOrders, codec, source: '', task: 0, instanceId: 'test' })
    const record = { topic: 'orders', partition: 0, offset: 0n, timestampMs: 0, key: 'o-1', value, headers: {} }
    t.ok(core.isRelevant(record))
    t.throws(() => core.fold(record, 0), { code: 'SCHEMA_UNKNOWN', facts: { schemaId: codec.schemaId(value) } })
    isKnown = true
    t.ok(core.fold(record, 0))
    t.match(core.effects(), [{ key: 'o-1' }])
  })

  t.test('go to the dead letters on a door, as they came', async (t) => {
    const driver = onDoor()
    driver.pipe(orders, 'OrderPlaced', 'o-2', { boxes: 1 })
    driver.pipeBytes(orders, 'o-1', garbage, headers)
    driver.pipe(orders, 'OrderNoted', 'o-1', { count: 1 })
    t.same(driver.blocked(NAME), [])
    t.match(driver.dlq(), [
      {
        key: 'o-1',
        value: garbage,
        headers: { ...headers, 'dlq-error-code': 'UNDECODABLE_RECORD', 'dlq-offset': '1' },
      },
    ])
    t.same(driver.state(NAME, 'o-1').count, { '': { count: 1 } })
  })

  t.test('go there, too, when they have no key that could wait', async (t) => {
    const driver = open()
    driver.pipeBytes(orders, null, garbage, headers)
    driver.pipeBytes(orders, 'a\u001fb', garbage, headers)
    driver.pipeBytes(orders, 'k'.repeat(500_000), garbage, headers)
    t.equal(driver.dlq().length, 3)
    t.same(driver.blocked(NAME), [])
  })

  t.test('leave a dead letter that says where they are when it could not hold them', async (t) => {
    const driver = open()
    driver.pipeBytes(orders, null, Buffer.concat([garbage, Buffer.alloc(1_048_000)]), headers)
    const [letter] = driver.dlq()
    t.match(letter, { value: null, headers: { 'dlq-topic': 'orders', 'dlq-offset': '0', 'dlq-omitted': /^\d{7}$/ } })
    t.notHas(letter?.headers, headers)
  })
})
