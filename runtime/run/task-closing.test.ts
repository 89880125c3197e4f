import t from 'tap'
import { CRASH_LIMIT } from '../effect-policy.ts'
import { type BoxSent, orders, type Parcel, type Receipt } from '../testing/example.ts'
import { runnerBed } from '../testing/runner-bed.ts'
import type { SimulatedProcess } from '../testing/simulation/simulated-process.ts'
import type { EffectRun } from './executors.ts'

/** What becomes of running effects when their task is given up, or when they are not wanted any more. */
const HOUR_MS = 3_600_000
/** A process has 5 s to end, and a task is not all that it ends. */
const CLOSED_WITHIN_MS = 3_500

/** Executors that would take an hour for every parcel: they listen to their signal, or they do not. */
const slow =
  (heeds: (run: EffectRun<BoxSent>) => boolean, begun: EffectRun<BoxSent>[] = []) =>
  (process: SimulatedProcess) => ({
    send: async (_parcel: Parcel, run: EffectRun<BoxSent>): Promise<Receipt> => {
      begun.push(run)
      const aborted = new Promise<never>((_resolve, reject) => {
        if (heeds(run)) run.signal.addEventListener('abort', () => reject(run.signal.reason))
      })
      await Promise.race([process.sleep(HOUR_MS), aborted])
      return { trackingId: run.effectId }
    },
  })

t.test('a task is closed in time though an effect does not heed its signal', async (t) => {
  const attempts: EffectRun<BoxSent>[] = []
  const bed = await runnerBed(slow(() => false, attempts))
  bed.place('o-1', 1)
  await bed.pass(1_000)
  const tookMs = await bed.deploy()
  t.ok(tookMs <= CLOSED_WITHIN_MS, `closed after ${tookMs} ms`)
  await bed.pass(1_000)
  t.same(
    attempts.map(({ attempt, signal }) => [attempt, signal.aborted]),
    [
      [1, true],
      [2, false],
    ],
    'and the effect runs again where the task is now',
  )
})

t.test('a task whose effects heed their signals is closed at once', async (t) => {
  const bed = await runnerBed(slow(() => true))
  bed.place('o-1', 1)
  await bed.pass(1_000)
  const tookMs = await bed.deploy()
  t.ok(tookMs < 100, `closed after ${tookMs} ms`)
})

t.test('an effect that outlives many deployments without a report is not held to kill its process', async (t) => {
  for (const heeds of [true, false]) {
    const attempts: EffectRun<BoxSent>[] = []
    const bed = await runnerBed(slow(() => heeds, attempts))
    bed.place('o-1', 1)
    for (let deployment = 0; deployment <= CRASH_LIMIT; deployment++) {
      await bed.pass(1_000)
      await bed.deploy()
    }
    await bed.pass(1_000)
    t.equal(attempts.length, CRASH_LIMIT + 2)
    t.same(bed.facts('o-1'), [], 'it is neither lost nor sent')
  }
})

t.test('an effect that is cancelled is told so, and its slot is given to another', async (t) => {
  const begun: EffectRun<BoxSent>[] = []
  const bed = await runnerBed(slow(() => true, begun))
  for (const key of ['o-1', 'o-2', 'o-3']) bed.place(key, 1)
  await bed.pass(1_000)
  const running = () => begun.filter(({ signal }) => !signal.aborted).map(({ key }) => key)
  t.same(running(), ['o-1', 'o-2'], 'as many as there are slots')
  bed.pipe(orders, 'OrderWithdrawn', 'o-1', { why: 'rain' })
  await bed.pass(1_000)
  t.same(running(), ['o-2', 'o-3'])
  t.match(begun[0]?.signal.reason, { code: 'EFFECT_CANCELLED' })
})

t.test('a task that is given up fetches nothing while it lets go of what runs', async (t) => {
  const bed = await runnerBed(slow(() => false))
  bed.place('o-1', 1)
  await bed.pass(1_000)
  t.ok(bed.isFetching('orders'))
  const closed = bed.runner.close()
  await bed.pass(1)
  t.notOk(bed.isFetching('orders'))
  await bed.pass(CLOSED_WITHIN_MS)
  await closed
  t.notOk(bed.isFetching('orders'))
})
