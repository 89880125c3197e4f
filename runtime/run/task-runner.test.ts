import t from 'tap'
import { UpstreamError } from '../../platform/errors.ts'
import { CRASH_LIMIT } from '../effect-policy.ts'
import type { BoxSent, Parcel, Receipt } from '../testing/example.ts'
import { runnerBed } from '../testing/runner-bed.ts'
import type { SimulatedProcess } from '../testing/simulation/simulated-process.ts'
import type { EffectRun } from './executors.ts'

/**
 * What the simulation found, one by one. All of it needs an answer of the log that gets lost although the commit has
 * happened; then the task opens again, and what its effects said is told again.
 */
const BOX_MS = 200

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
