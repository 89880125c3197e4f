import t from 'tap'
import { UpstreamError } from '../../platform/errors.ts'
import { type Codec, createCodec } from '../codec/avro.ts'
import { memoryDirectory } from '../codec/schema-directory.ts'
import { CRASH_LIMIT } from '../effect-policy.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import { defineProcessor, from, type Processor, type TopicRef, to } from '../processor.ts'
import { toRecord } from '../task/changelog.ts'
import { History } from '../task/history.ts'
import { TaskCore } from '../task/task-core.ts'
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

/** An order is packed by one effect, told of by another, and checked by a third; what each says is an event or nothing. */
interface Asks {
  readonly cancel: (effect: string) => void
  readonly emit: { OrderSent(sent: { readonly boxes: number; readonly trackingId: string }): void }
  readonly perform: Readonly<Record<'a' | 'b' | 'c', (input: { readonly boxes: number }) => string>>
}
type Asking = (ctx: Asks) => void
const { send: declared } = sendOrders.effects
const ONE = { boxes: 1 }
const emitting: Asking = (ctx) => ctx.emit.OrderSent({ boxes: 1, trackingId: 'x' })
const SILENT: Asking = () => undefined
const asking = (
  version: number,
  OrderPlaced: Asking,
  settled: Readonly<Record<'a' | 'b' | 'c', Asking>>,
): Processor => ({
  ...sendOrders,
  version,
  effects: { a: declared, b: declared, c: declared } as never,
  behaviour: {
    ...sendOrders.behaviour,
    on: { orders: { OrderPlaced } } as never,
    settled: settled as never,
    reported: {},
  },
})
const pendingNames = (driver: TestDriver) => driver.effects().map(({ name }) => name)
const settleFirst = (driver: TestDriver) => driver.settle(first(driver), { ok: true, value: { trackingId: 'x' } })

t.test('a version that asks for one effect more does not ask again for the others', async (t) => {
  const settled = { a: emitting, b: emitting, c: emitting }
  const driver = testDriver([asking(1, (ctx) => ctx.perform.a(ONE), settled)])
  place(driver, 'o-1')
  settleFirst(driver)
  const both: Asking = (ctx) => {
    ctx.perform.b(ONE)
    ctx.perform.a(ONE)
  }
  driver.deploy(asking(2, both, settled))
  t.same(pendingNames(driver), ['b'])
})

t.test('what a step asks for and cancels leaves its number to nobody', async (t) => {
  const changing: Asking = (ctx) => {
    ctx.perform.a(ONE)
    ctx.perform.b(ONE)
    ctx.cancel('a')
    ctx.perform.a({ boxes: 2 })
  }
  const driver = testDriver([asking(1, changing, { a: emitting, b: emitting, c: SILENT })])
  place(driver, 'o-1')
  t.same(pendingNames(driver), ['b', 'a'])
  t.equal(new Set(driver.effects().map(({ id }) => id)).size, 2)
})

t.test('an effect is done when any that its settling asked for has told of it', async (t) => {
  const asksFor =
    (...names: readonly ('a' | 'b' | 'c')[]): Asking =>
    (ctx) => {
      for (const name of names) ctx.perform[name](ONE)
    }
  for (const [what, asked, settled] of [
    ['another one', ['a'], { a: asksFor('b', 'c'), b: SILENT, c: emitting }],
    ['one behind that', ['a'], { a: asksFor('c'), b: emitting, c: asksFor('b') }],
    ['the third of its name', ['a'], { a: asksFor('b', 'b', 'b'), b: 'third', c: SILENT }],
  ] as const) {
    let told = 0
    const third: Asking = (ctx) => {
      told += 1
      if (told === 3) emitting(ctx)
    }
    const b = settled.b === 'third' ? third : settled.b
    const driver = testDriver([asking(1, asksFor(...asked), { ...settled, b })])
    place(driver, 'o-1')
    while (driver.effects().length > 0) settleFirst(driver)
    t.equal(driver.read(deliveries, 'OrderSent').length, 1)
    driver.lose(NAME)
    t.same(pendingNames(driver), [], what)
  }
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

/** Several entries to forget, some of what they are about done, some not. */
const halfDone = (): TestDriver => {
  const driver = testDriver([sendOrders])
  for (const key of ['a', 'b', 'c']) place(driver, key)
  send(driver)
  place(driver, 'a')
  return driver
}

t.test('a memory that is half forgotten is whole for nobody', async (t) => {
  const [old, next] = [sendOrders, { ...sendOrders, version: 2 }]
  const whole = halfDone()
  const expected = () => ({ effects: whole.effects(), a: whole.state(NAME, 'a'), ids: ids(whole) })
  for (const [who, opens] of [
    ['the same release', next],
    ['the one before', old],
  ] as const) {
    for (const batches of [1, 2, 3, 4]) {
      const driver = halfDone()
      driver.deploy(next)
      driver.deploy(old)
      driver.dieForgetting(NAME, 1, next)
      driver.dieForgetting(NAME, batches, opens)
      const { effects, a, ids: after } = expected()
      t.same(
        [driver.effects(), driver.state(NAME, 'a'), ids(driver)],
        [effects, a, after],
        `${who}, ${batches} batches`,
      )
      driver.advance(LATE_MS)
      t.equal(driver.read(deliveries, 'OrderLate').length, 3)
    }
  }
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

/** The processor as it was before it read these events. */
const withoutReading = (...left: readonly string[]): Processor => ({
  ...sendOrders,
  reads: sendOrders.reads.map((edge) => ({ ...edge, events: edge.events.filter((event) => !left.includes(event)) })),
})

t.test('a processor that reads more than before folds the past of that, too', async (t) => {
  const driver = testDriver([withoutReading('OrderNoted')])
  place(driver, 'o-1')
  driver.pipe(orders, 'OrderNoted', 'o-1', { count: 7 })
  send(driver)
  const before = ids(driver)
  driver.deploy(sendOrders)
  t.same(driver.state(NAME, 'o-1').count, { '': { count: 7 } })
  t.same([ids(driver), driver.effects()], [before, []], 'and redoes nothing')
  driver.deploy(withoutReading('OrderNoted'))
  t.same(driver.state(NAME, 'o-1').count, { '': { count: 7 } }, 'to read less changes nothing')
})

t.test('what it would do for that past is held like in any replay', async (t) => {
  const driver = testDriver([withoutReading('OrderPlaced')])
  for (let n = 0; n <= 100; n++) place(driver, `o-${n}`)
  driver.deploy(sendOrders)
  t.equal(driver.phase(NAME), 'held')
})

t.test('a position that does not say what was read is gone on with', async (t) => {
  const codec = createCodec(memoryDirectory())
  const core = new TaskCore({ processor: sendOrders, codec, source: '', task: 0, instanceId: 'test' })
  const value = { version: sendOrders.version, offsets: { orders: 3 }, recordTimeMs: 0, changelogStart: 0, reads: [] }
  core.restore(toRecord({ kind: 'position', value }, codec, sendOrders.state))
  t.notOk(core.needsReplay(0n))
})

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

/** Keeps when a note was folded, in seconds since the driver began. */
const clocked = (driver: TestDriver, startAtMs = driver.nowMs): Processor => ({
  ...sendOrders,
  version: 2,
  behaviour: {
    ...sendOrders.behaviour,
    on: {
      orders: {
        OrderNoted: (ctx) => {
          const { now, state } = ctx as { now: number; state: { count: { put(count: { count: number }): void } } }
          state.count.put({ count: (now - startAtMs) / 1_000 })
        },
      },
    },
  },
})

t.test('in a replay the time is that of the record, also for what waits with its key meanwhile', async (t) => {
  const driver = testDriver([sendOrders], { blocking: 'keep' })
  const processor = clocked(driver)
  driver.advance(5_000)
  driver.pipe(orders, 'OrderNoted', 'o-1', { count: 0 })
  driver.advance(60_000)
  driver.deploy(processor)
  t.same(driver.state(NAME, 'o-1').count, { '': { count: 5 } })
  const on = { orders: { OrderNoted: () => failed(new RangeError('broken')) } }
  driver.deploy({ ...processor, version: 3, behaviour: { ...processor.behaviour, on } })
  t.match(driver.blocked(NAME), [{ key: 'o-1' }])
  driver.deploy({ ...processor, version: 3 })
  driver.retry(NAME, 'o-1')
  t.same(driver.state(NAME, 'o-1').count, { '': { count: 5 } })
  driver.pipe(orders, 'OrderNoted', 'o-1', { count: 0 })
  t.same(driver.state(NAME, 'o-1').count, { '': { count: 65 } }, 'afterwards it is now')
})

/** The events of an outcome are read, and confirm the effect. */
const confirmed: Processor = {
  ...sendOrders,
  confirmedBy: { send: [from(deliveries, ['OrderSent', 'OrderLost'])] },
}

/** Of the context, what these tests use. */
interface Waits {
  readonly now: number
  schedule(timer: 'late', atMs: number): void
  readonly perform: { send(parcel: { readonly boxes: number }): string }
}

const setLate = (ctx: Waits): void => ctx.schedule('late', ctx.now + LATE_MS)

const failed = (error: Error): never => {
  throw error
}

/** The log of a driver as a task would read it that replays it with this codec: between two records it can be stopped. */
const replayOf = (driver: TestDriver, codec: Codec) => {
  const recordsOf = (topic: TopicRef): readonly LogRecord[] =>
    driver.read(topic).map(({ key, type, data, headers }, index) => ({
      topic: topic.name,
      partition: -1,
      offset: BigInt(index),
      timestampMs: driver.nowMs,
      key,
      value: codec.encode(topic.events[type] as never, data as never),
      headers,
    }))
  const log = { orders: recordsOf(orders), deliveries: recordsOf(deliveries) }
  const source = `/test/${NAME}`
  const open = (): TaskCore => {
    const history = new History(confirmed, source)
    for (const record of log.deliveries) history.add(record)
    const core = new TaskCore({ processor: confirmed, codec, source, task: 0, instanceId: 'test' })
    core.remember(history)
    return core
  }
  const begin = (core = open()): TaskCore => {
    core.needsReplay(0n)
    const ends = Object.entries(log).map(
      ([topic, { length }]) => [topic, { beginning: 0n, end: BigInt(length) }] as const,
    )
    core.beginReplay(new Map(ends))
    while (!core.forgetSome(1));
    return core
  }
  const reopen = (before: TaskCore): TaskCore => {
    const core = open()
    for (const record of before.takeBatch()?.changelog ?? []) core.restore(record)
    t.notOk(core.needsReplay(0n))
    return core
  }
  return { ...log, begin, reopen }
}

t.test('the outcome of an effect that is known by its id confirms no other', async (t) => {
  const driver = testDriver([confirmed])
  for (const boxes of [1, 2, 3]) place(driver, 'o-1', boxes)
  send(driver)
  send(driver)
  const before = driver.effects()
  t.match(before, [{ input: { boxes: 3 } }])
  driver.lose(NAME)
  t.same(driver.effects(), before)
  t.notOk(
    driver.changelog(NAME).some(({ key }) => key.startsWith('f')),
    'nothing is left of what was expected',
  )
})

t.test('nor does it after a replay that was interrupted between the two', async (t) => {
  const driver = testDriver([confirmed])
  for (const boxes of [1, 2]) place(driver, 'o-1', boxes)
  const [done, pending] = driver.effects()
  send(driver)
  const replay = replayOf(driver, createCodec(memoryDirectory()))
  const core = replay.begin()
  for (const record of replay.orders) core.fold(record, 1)
  const again = replay.reopen(core)
  for (const record of replay.deliveries) again.fold(record, 1)
  t.same(
    again.effects().map(({ id }) => id),
    [pending?.id],
    `${done?.id} is done, the other is not`,
  )
})

t.test('nor when its key is blocked in the replay, and freed later', async (t) => {
  const driver = testDriver([confirmed], { blocking: 'keep' })
  for (const boxes of [1, 2]) place(driver, 'o-1', boxes)
  send(driver)
  const before = driver.effects()
  const on = { orders: { OrderPlaced: () => failed(new RangeError('broken')) } }
  driver.deploy({ ...confirmed, version: 2, behaviour: { ...confirmed.behaviour, on } })
  t.match(driver.blocked(NAME), [{ queued: 3 }])
  driver.deploy({ ...confirmed, version: 2 })
  driver.retry(NAME, 'o-1')
  t.same(driver.effects(), before)
  t.notOk(driver.changelog(NAME).some(({ key }) => key.startsWith('f')))
})

t.test('an outcome of nothing that is known confirms the oldest', async (t) => {
  const driver = testDriver([confirmed])
  for (const boxes of [1, 2]) place(driver, 'o-1', boxes)
  driver.pipe(deliveries, 'OrderSent', 'o-1', { boxes: 1, trackingId: 'x' })
  driver.lose(NAME)
  t.match(driver.effects(), [{ input: { boxes: 2 } }])
})

t.test('what was pending before the replay had not settled: nothing that it meets confirms it', async (t) => {
  const driver = testDriver([confirmed])
  for (const boxes of [1, 2]) place(driver, 'o-1', boxes)
  driver.pipe(deliveries, 'OrderSent', 'o-1', { boxes: 1, trackingId: 'of another' })
  const before = driver.effects()
  t.equal(before.length, 2)
  driver.deploy({ ...confirmed, version: 2 })
  t.same(driver.effects(), before)
})

t.test('an effect of a timer that had begun to report goes on behind it when the changelog is lost', async (t) => {
  const { behaviour } = sendOrders
  const on = { orders: { OrderPlaced: (ctx: unknown) => setLate(ctx as Waits) } }
  const due = { late: (ctx: unknown) => void (ctx as Waits).perform.send({ boxes: 2 }) }
  const patient: Processor = { ...sendOrders, behaviour: { ...behaviour, on, due } }
  const driver = testDriver([patient])
  place(driver, 'o-1')
  driver.advance(LATE_MS)
  driver.report(first(driver), 1, { n: 1 })
  const before = driver.effects()
  driver.lose(NAME)
  t.same(driver.effects(), before)
  for (const n of [1, 2]) driver.report(first(driver), n, { n })
  t.same(
    driver.read(deliveries, 'BoxSent').map(({ data }) => data.n),
    [1, 2],
  )
})

t.test('what the end of a key has asked for is not cancelled by meeting that end again', async (t) => {
  const parting: Processor = {
    ...sendOrders,
    behaviour: {
      ...sendOrders.behaviour,
      closing: { orders: { OrderWithdrawn: (ctx: unknown) => void (ctx as Waits).perform.send({ boxes: 1 }) } },
    },
  }
  const driver = testDriver([parting])
  place(driver, 'o-1', 5)
  driver.pipe(orders, 'OrderWithdrawn', 'o-1', { why: 'rain' })
  const before = first(driver)
  for (let n = 1; n < CRASH_LIMIT; n++) driver.crash(before)
  driver.deploy({ ...parting, version: 2 })
  t.equal(first(driver), before)
  driver.crash(before)
  t.same(driver.effects(), [], 'it has not forgotten how often its process died')
})

t.test(
  'what waits without its key being blocked, for the changelog lost that, is forgotten with the rest',
  async (t) => {
    const codec = createCodec(memoryDirectory())
    const core = new TaskCore({ processor: sendOrders, codec, source: '', task: 0, instanceId: 'test' })
    const value = {
      ...({ kind: 'RECORD', topic: 'orders', partition: 0, offset: 0, atMs: 0, headers: {}, value: null } as const),
      ...{ causeId: '', n: 0, ok: true, code: '', detail: '', replayed: false },
    }
    const queued = toRecord({ kind: 'queued', key: 'o-1', sequence: 3, value }, codec, sendOrders.state)
    core.restore(queued)
    t.ok(core.needsReplay(0n))
    core.beginReplay(new Map())
    t.ok(core.forgetSome(10))
    t.ok(core.takeBatch()?.changelog.some((record) => record.key === queued.key && record.value === null))
  },
)

t.test('an outcome that has to be folded twice, for its schema is learned first, confirms once', async (t) => {
  const driver = testDriver([confirmed])
  for (const boxes of [1, 2]) place(driver, 'o-1', boxes)
  driver.pipe(deliveries, 'OrderSent', 'o-1', { boxes: 1, trackingId: 'x' })
  const known = createCodec(memoryDirectory())
  let isKnown = true
  const decode: Codec['decode'] = (schema, bytes) =>
    isKnown ? known.decode(schema, bytes) : failed(new UpstreamError('SCHEMA_UNKNOWN', 'not learned'))
  const replay = replayOf(driver, { ...known, decode })
  const core = replay.begin()
  for (const record of replay.orders) core.fold(record, 1)
  isKnown = false
  for (const record of replay.deliveries) t.throws(() => core.fold(record, 1), { code: 'SCHEMA_UNKNOWN' })
  isKnown = true
  for (const record of replay.deliveries) core.fold(record, 1)
  t.match(core.effects(), [{ input: { boxes: 2 } }])
})

t.test('what a replay asked for that did not end is asked for again by the next one, and confirmed', async (t) => {
  const driver = testDriver([confirmed])
  for (const boxes of [1, 2]) place(driver, 'o-1', boxes)
  driver.pipe(deliveries, 'OrderSent', 'o-1', { boxes: 1, trackingId: 'x' })
  const replay = replayOf(driver, createCodec(memoryDirectory()))
  const first = replay.begin()
  for (const record of replay.orders) first.fold(record, 1)
  t.equal(first.effects().length, 2, 'it dies before it meets the outcome')
  const next = replay.begin(replay.reopen(first))
  t.same(next.effects(), [])
  for (const record of [...replay.orders, ...replay.deliveries]) next.fold(record, 1)
  t.match(next.effects(), [{ input: { boxes: 2 }, record: { replayed: true } }])
  next.endReplay(1)
  t.match(next.effects(), [{ input: { boxes: 2 }, record: { replayed: false } }], 'promised from now on')
  t.equal(replay.begin(replay.reopen(next)).effects().length, 1, 'whatever a later replay asks for')
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

t.test('an older record does not move the time of records, nor does it after a restore', async (t) => {
  const codec = createCodec(memoryDirectory())
  const processor: Processor = { ...sendOrders, recordTimers: ['late'] }
  const open = () => new TaskCore({ processor, codec, source: '', task: 0, instanceId: 'test' })
  const noted = (offset: bigint, timestampMs: number): LogRecord => {
    const value = codec.encode(orders.events.OrderNoted, { count: 1 })
    return { topic: 'orders', partition: 0, offset, timestampMs, key: 'o-2', value, headers: {} }
  }
  const placed = (offset: bigint, timestampMs: number, key: string): LogRecord => ({
    ...noted(offset, timestampMs),
    key,
    value: codec.encode(orders.events.OrderPlaced, { boxes: 1 }),
  })
  const position = { version: 1, offsets: { orders: 0 }, recordTimeMs: 0, changelogStart: 0, reads: [] }
  const late = (core: TaskCore) =>
    core.takeBatch()?.outputs.flatMap(({ key, headers }) => (headers.ce_type === 'shop.OrderLate' ? [key] : []))
  const before = open()
  before.restore(toRecord({ kind: 'position', value: position }, codec, processor.state))
  before.fold(noted(0n, 200_000), 200_000)
  before.fold(placed(1n, 200_000, 'o-1'), 200_001 - LATE_MS)
  const after = open()
  for (const record of before.takeBatch()?.changelog ?? []) after.restore(record)
  t.notOk(after.needsReplay(0n))
  after.fold(noted(2n, 199_999), 300_000)
  after.fold(placed(3n, 199_998, 'o-3'), 200_000 - LATE_MS)
  after.fireDue(300_000)
  t.same(late(after), ['o-3'], 'where the time of records has been')
  after.fold(noted(4n, 200_001), 300_000)
  t.same(late(after), ['o-1'])
})

t.test('a processor of two topics has no record time', async (t) => {
  const reading = (reads: Processor['reads']) => () =>
    defineProcessor({ name: 'windows', reads, writes: [], timers: ['end'], recordTimers: ['end'] }, {
      on: {},
      due: { end: () => undefined },
    } as never)
  const [both, one] = [
    reading([from(orders, ['OrderNoted']), from(deliveries, ['BoxSent'])]),
    reading(sendOrders.reads),
  ]
  t.throws(both, { code: 'RECORD_TIME_AMBIGUOUS', message: /orders, deliveries/ })
  t.doesNotThrow(one)
})

t.test('a timer on record time is one of its timers', async (t) => {
  const declaration = { name: 'windows', reads: sendOrders.reads, writes: [], timers: ['end'], recordTimers: ['edn'] }
  t.throws(() => defineProcessor(declaration as never, { on: {} } as never), {
    code: 'TIMER_UNDECLARED',
    message: /edn/,
  })
})

/** Windows of ten minutes: each notes when it ended, and begins the next one. */
const WINDOW_MS = 600_000
const windows = (next: (atMs: number) => number): Processor =>
  defineProcessor(
    {
      name: 'windows',
      reads: [from(orders, ['OrderPlaced', 'OrderNoted'])],
      writes: [to(deliveries, ['OrderLate', 'OrderSent'])],
      timers: ['end', 'half'],
      recordTimers: ['end', 'half'],
    },
    {
      on: {
        orders: {
          OrderPlaced: (ctx, { boxes }) => {
            ctx.schedule('end', ctx.cause.timestampMs + boxes * WINDOW_MS)
            ctx.schedule('half', ctx.cause.timestampMs + 1.5 * WINDOW_MS)
          },
          OrderNoted: (ctx, { count }) => ctx.emit.OrderSent({ boxes: count, trackingId: '' }),
        },
      },
      due: {
        end: (ctx) => {
          ctx.emit.OrderLate({ count: ctx.now % (1_000 * WINDOW_MS) })
          ctx.schedule('end', next(ctx.now))
        },
        half: (ctx) => ctx.emit.OrderSent({ boxes: 0, trackingId: 'half' }),
      },
    },
  )

t.test('windows end in the order of their ends, before the record that moves the time past them', async (t) => {
  const driver = testDriver([windows((atMs) => atMs + WINDOW_MS)])
  const startMs = driver.nowMs % (1_000 * WINDOW_MS)
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
  driver.advance(3.5 * WINDOW_MS)
  driver.pipe(orders, 'OrderNoted', 'o-2', { count: 9 })
  const told = () =>
    driver
      .read(deliveries)
      .map(({ key, data }) => [key, 'count' in data ? (data.count - startMs) / WINDOW_MS : Object.values(data).join()])
  const expected = [
    ['o-1', 1],
    ['o-1', '0,half'],
    ['o-1', 2],
    ['o-1', 3],
    ['o-2', '9,'],
  ]
  t.same(told(), expected)
  driver.lose('windows')
  t.same(told(), expected, 'whenever the log is read')
})

t.test('a window that has ended already when it is set ends at once, and a replay does not end it again', async (t) => {
  const driver = testDriver([windows((atMs) => atMs + WINDOW_MS)])
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: -2 })
  const before = driver.read(deliveries, 'OrderLate').length
  t.equal(before, 3, 'that of two windows ago, and the two behind it')
  driver.lose('windows')
  driver.advance(0)
  t.equal(driver.read(deliveries, 'OrderLate').length, before)
  driver.pipe(orders, 'OrderNoted', 'o-2', { count: 1 })
  t.equal(driver.read(deliveries, 'OrderLate').length, before)
})

t.test('a window that sets itself for no later than its end would end for ever: its key waits', async (t) => {
  const driver = testDriver([windows((atMs) => atMs)], { blocking: 'keep' })
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
  driver.advance(2 * WINDOW_MS)
  driver.pipe(orders, 'OrderNoted', 'o-2', { count: 1 })
  t.match(driver.blocked('windows'), [{ key: 'o-1', code: 'TIMER_NOT_LATER' }])
  t.match(driver.read(deliveries, 'OrderSent'), [{ key: 'o-2' }])
})

t.test('a timer on record time of a blocked key fires behind what waited, as of its own time', async (t) => {
  const driver = testDriver([{ ...sendOrders, recordTimers: ['late'] }], { blocking: 'keep' })
  place(driver, 'o-1')
  place(driver, 'o-1', -1)
  driver.advance(LATE_MS)
  driver.pipe(orders, 'OrderNoted', 'o-1', { count: 7 })
  t.same(driver.read(deliveries, 'OrderLate'), [])
  driver.skip(NAME, 'o-1')
  t.same(driver.state(NAME, 'o-1').count, { '': { count: 7 } })
  t.match(driver.read(deliveries, 'OrderLate'), [{ key: 'o-1', data: { count: 7 } }])
})

t.test('a window that had ended before a replay does not end again because its key waited in the replay', async (t) => {
  const processor = windows((atMs) => atMs + WINDOW_MS)
  const failing = {
    ...processor,
    version: 2,
    behaviour: {
      ...processor.behaviour,
      on: {
        orders: {
          ...processor.behaviour.on.orders,
          OrderNoted: () => {
            throw new RangeError('not yet')
          },
        },
      },
    },
  }
  const driver = testDriver([processor], { blocking: 'keep' })
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: 1 })
  driver.pipe(orders, 'OrderNoted', 'o-1', { count: 1 })
  driver.advance(3.5 * WINDOW_MS)
  driver.pipe(orders, 'OrderNoted', 'o-2', { count: 1 })
  const before = ids(driver)
  t.equal(before.length, 6)
  driver.deploy(failing)
  driver.deploy({ ...processor, version: 2 })
  for (const key of ['o-1', 'o-2']) driver.retry('windows', key)
  t.same([ids(driver), driver.blocked('windows')], [before, []])
})
