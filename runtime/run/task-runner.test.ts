import { pino } from 'pino'
import t from 'tap'
import { UpstreamError } from '../../platform/errors.ts'
import type { SchemaDirectory } from '../codec/schema-directory.ts'
import { CRASH_LIMIT } from '../effect-policy.ts'
import type { StepLog } from '../processor.ts'
import { type BoxSent, OrderPlacedSchema, orders, type Parcel, type Receipt, sendOrders } from '../testing/example.ts'
import { runnerBed } from '../testing/runner-bed.ts'
import type { SimulatedProcess } from '../testing/simulation/simulated-process.ts'
import type { EffectRun } from './executors.ts'
import { TASK_LIMITS } from './limits.ts'

/**
 * What the simulation found, one by one. All of it needs an answer of the log that gets lost although the commit has
 * happened; then the task opens again, and what its effects said is told again.
 */
const BOX_MS = 200
const HOUR_MS = 3_600_000

const sending =
  (begin: (run: EffectRun<BoxSent>) => unknown = () => undefined) =>
  (process: SimulatedProcess) => ({
    send: async ({ boxes }: Parcel, run: EffectRun<BoxSent>): Promise<Receipt> => {
      begin(run)
      for (let n = run.resumeFrom + 1; n <= boxes; n++) {
        await process.sleep(BOX_MS)
        run.signal.throwIfAborted()
        await run.report(n, { n })
      }
      return { trackingId: run.effectId }
    },
  })

t.test('a report whose commit was not answered is acknowledged all the same, and the effect goes on', async (t) => {
  const bed = await runnerBed(sending())
  bed.place('o-1', 2)
  await bed.pass(BOX_MS)
  bed.lose('endTransaction')
  await bed.pass(10 * BOX_MS)
  t.same(bed.facts('o-1'), ['BoxSent', 'BoxSent', 'OrderSent'])
})

t.test('a failure whose commit was not answered counts once, and the next run begins', async (t) => {
  const attempts: number[] = []
  let fails = () => undefined
  const bed = await runnerBed(
    sending(({ attempt }) => {
      attempts.push(attempt)
      fails()
      if (attempt < 3) throw new UpstreamError('ROAD_CLOSED', 'snow')
    }),
  )
  fails = () => void bed.lose('endTransaction')
  bed.place('o-1', 0)
  await bed.pass(20_000)
  t.same(attempts, [1, 2, 3])
  t.same(bed.facts('o-1'), ['OrderSent'], 'the policy allows three runs, and two have failed')
})

t.test('a run that never began because its commit was not answered is no death', async (t) => {
  const attempts: number[] = []
  const bed = await runnerBed(sending(({ attempt }) => attempts.push(attempt)))
  bed.place('o-1', 1)
  bed.lose('endTransaction', 4 * CRASH_LIMIT)
  await bed.pass(200_000)
  t.same(bed.facts('o-1'), ['BoxSent', 'OrderSent'])
  t.equal(attempts.length, 1)
})

t.test('a dormant task passes over what it does not read, however much a fetch brings', async (t) => {
  const bed = await runnerBed(sending())
  await bed.pass(100)
  t.equal(bed.runner.state, 'dormant')
  bed.placeOthers(1_500)
  await bed.pass(100)
  bed.place('o-1', 0)
  await bed.pass(1_000)
  t.same(bed.facts('o-1'), ['OrderSent'])
})

t.test('the position follows what was passed over', async (t) => {
  await t.test('at once when it is much', async (t) => {
    const bed = await runnerBed(sending())
    await bed.pass(100)
    bed.placeOthers(1_500)
    await bed.pass(1_000)
    t.equal(bed.committed(), 1_500)
  })
  await t.test('within the hour when it is little, of a dormant task and of one that works', async (t) => {
    const bed = await runnerBed(sending())
    await bed.pass(100)
    bed.placeOthers(3)
    await bed.pass(60_000)
    t.equal(bed.committed(), 0)
    await bed.pass(HOUR_MS)
    t.equal(bed.committed(), 3)
    t.equal(bed.runner.state, 'running')
    bed.placeOthers(4)
    await bed.pass(2 * HOUR_MS)
    t.equal(bed.committed(), 7)
  })
})

t.test('what another owner has folded meanwhile is passed over, and the task goes on', async (t) => {
  const bed = await runnerBed(sending())
  await bed.pass(100)
  for (let n = 0; n < 1_500; n++) bed.place(`past-${n}`, 0)
  bed.moveBehindItsBack(1_500)
  await bed.pass(1_000)
  bed.place('o-1', 0)
  await bed.pass(1_000)
  t.same(bed.facts('o-1'), ['OrderSent'])
  t.same(bed.facts('past-0'), [])
})

t.test('a task that wakes reads of its changelog what is new', async (t) => {
  const bed = await runnerBed(sending())
  for (let n = 0; n < 20; n++) bed.place(`o-${n}`, 0)
  await bed.pass(100_000)
  bed.restart()
  await bed.pass(100)
  t.equal(bed.runner.state, 'dormant')
  const [entries = 0] = bed.restored.slice(-1)
  t.ok(entries > 20)
  bed.place('later', 0)
  await bed.pass(1_000)
  t.same(bed.facts('later'), ['OrderSent'])
  t.same(bed.restored.slice(-2), [entries, 0])
})

t.test('a processor that starts now begins once, whoever dies before its first batch', async (t) => {
  const processor = { ...sendOrders, start: 'now' } as const
  const bed = await runnerBed(sending(), { processor, isNew: true, before: 5 })
  await bed.pass(100)
  t.equal(bed.committed(), 5)
  bed.restart()
  bed.place('o-1', 0)
  await bed.pass(5_000)
  t.same(bed.facts('o-1'), ['OrderSent'])
})

t.test('a task that fails as soon as it is open is opened less and less often', async (t) => {
  const bed = await runnerBed(sending())
  bed.lose('endTransaction', 1_000)
  bed.place('o-1', 0)
  await bed.pass(60_000)
  t.ok(bed.requests('initProducer') < 25, `${bed.requests('initProducer')} takeovers in a minute`)
})

t.test('a task whose next schema cannot be learned stays open, and commits what was before it', async (t) => {
  let isAway = true
  const learn = async (schemaId: number, directory: SchemaDirectory) => {
    if (isAway) throw new UpstreamError('REGISTRY_UNAVAILABLE', 'the registry is away')
    directory.add(schemaId, OrderPlacedSchema.schema)
  }
  const bed = await runnerBed(sending(), { learn })
  bed.place('o-1', 0)
  bed.placeUnlearned('o-2', 9_999)
  await bed.pass(60_000)
  t.same([bed.facts('o-1'), bed.runner.state], [['OrderSent'], 'waiting'])
  t.equal(bed.requests('initProducer'), 1)
  isAway = false
  await bed.pass(10_000)
  t.same([bed.facts('o-2'), bed.runner.state], [['OrderSent'], 'running'])
})

t.test('a task that is given up while it is restored does not take anything over', async (t) => {
  const bed = await runnerBed(sending())
  bed.place('o-1', 2)
  await bed.pass(BOX_MS)
  bed.restart()
  void bed.runner.close()
  await bed.pass(1_000)
  t.equal(bed.runner.state, 'closed')
  t.equal(bed.requests('initProducer'), 1, 'only that of the dead one')
})

t.test('a task whose position the log has lost stops, and says so', async (t) => {
  const bed = await runnerBed(sending())
  await bed.pass(100)
  bed.runner.fail(new UpstreamError('POSITION_LOST', 'there is a hole', { retryable: false }))
  await bed.pass(100)
  t.match(bed.runner, { state: 'failed', failure: { code: 'POSITION_LOST' } })
})

t.test('what a handler writes for the log is written behind the commit, and not twice', async (t) => {
  const lines: object[] = []
  const logger = pino({ base: null, level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const noting = (ctx: unknown): void => (ctx as { log: StepLog }).log.info({ boxes: 3 }, 'order noted')
  const on = { orders: { ...sendOrders.behaviour.on.orders, OrderPlaced: noting } }
  const bed = await runnerBed(sending(), {
    processor: { ...sendOrders, behaviour: { ...sendOrders.behaviour, on } },
    logger,
  })
  const noted = () => lines.filter((line) => (line as { msg: string }).msg === 'order noted')
  bed.lose('produce')
  bed.place('o-1', 0)
  await bed.pass(20)
  t.same(noted(), [], 'the commit has failed')
  await bed.pass(10_000)
  t.match(noted(), [{ level: 30, boxes: 3, key: 'o-1', eventId: 'input-1' }])
  bed.lose('endTransaction')
  bed.place('o-2', 0)
  await bed.pass(10_000)
  t.equal(bed.committed(), 2)
  t.equal(noted().length, 1, 'nobody knew whether it was committed, and it was')
})

t.test('figures of a task that is not open', async (t) => {
  await t.test('dormant: where it has passed over what it does not read', async (t) => {
    const bed = await runnerBed(sending())
    await bed.pass(100)
    bed.placeOthers(3)
    await bed.pass(100)
    t.match(bed.runner, { state: 'dormant', effects: [], blocked: 0 })
    t.equal(bed.runner.position('orders'), 3n)
  })
  await t.test('reopening, and while it is restored: as it was last seen', async (t) => {
    const bed = await runnerBed(sending())
    bed.place('poison', -1)
    bed.place('o-1', 100)
    await bed.pass(BOX_MS / 2)
    bed.lose('endTransaction', 1_000)
    await bed.pass(2 * BOX_MS)
    t.match(bed.runner, { state: 'reopening', effects: [{ key: 'o-1' }], blocked: 1 })
    t.equal(bed.runner.position('orders'), 2n)
  })
  await t.test('failed: as it was last seen', async (t) => {
    const bed = await runnerBed(sending())
    bed.place('o-1', 100)
    await bed.pass(BOX_MS / 2)
    bed.runner.fail(new UpstreamError('POSITION_LOST', 'there is a hole', { retryable: false }))
    await bed.pass(100)
    t.match(bed.runner, { state: 'failed', effects: [{ key: 'o-1' }] })
    t.equal(bed.runner.position('orders'), 1n)
  })
})

t.test('a full task takes no record, but what its effects say: their slots are wanted by other tasks', async (t) => {
  const bed = await runnerBed(sending())
  bed.place('poison', -1)
  for (const key of ['o-1', 'o-2', 'o-3']) bed.place(key, 2)
  await bed.pass(BOX_MS / 2)
  // More than blocked keys may hold, each less than a record.
  for (let n = 0; n < 11; n++) bed.pipe(orders, 'OrderWithdrawn', 'poison', { why: 'x'.repeat(800_000) })
  await bed.pass(BOX_MS / 4)
  t.equal(bed.runner.state, 'full')
  bed.place('later', 0)
  await bed.pass(10 * BOX_MS)
  for (const key of ['o-1', 'o-2', 'o-3']) t.same(bed.facts(key), ['BoxSent', 'BoxSent', 'OrderSent'], key)
  t.match(bed.runner, { state: 'full', effects: [] })
  t.same(bed.facts('later'), [])
})

t.test('a process that dies while its task forgets: the next one replays all of it', async (t) => {
  for (const commits of [1, 2, 3]) {
    const bed = await runnerBed(sending(), { limits: { ...TASK_LIMITS, batchRecords: 1 } })
    for (const key of ['a', 'b', 'c']) bed.place(key, 1)
    await bed.pass(20 * BOX_MS)
    const before = ['a', 'b', 'c'].map((key) => bed.facts(key))
    const until = bed.requests('endTransaction') + commits
    bed.restart({ ...sendOrders, version: 2 })
    while (bed.requests('endTransaction') < until) await bed.pass(1)
    t.equal(bed.runner.state, 'starting', 'it is still forgetting')
    bed.restart()
    await bed.pass(20 * BOX_MS)
    t.same(
      ['a', 'b', 'c'].map((key) => bed.facts(key)),
      before,
      `after ${commits} commits`,
    )
    t.equal(bed.runner.state, 'running')
  }
})

t.test('what an effect says while its task replays is folded when the effect is known again', async (t) => {
  const bed = await runnerBed(sending())
  bed.place('o-1', 4)
  await bed.pass(1.5 * BOX_MS)
  bed.forget()
  // The next report cannot be committed: the task opens again, and is told of it again.
  bed.fence()
  await bed.pass(60 * BOX_MS)
  t.same(bed.facts('o-1'), ['BoxSent', 'BoxSent', 'BoxSent', 'BoxSent', 'OrderSent'])
  t.equal(bed.runner.blocked, 0)
})
