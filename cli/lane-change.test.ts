import fc from 'fast-check'
import t from 'tap'
import { type LaneSituation, nextLaneStep } from './lane-change.ts'

const idle: LaneSituation = {
  jobPartitions: 4,
  changelogPartitions: 4,
  running: 0,
  pendingEffects: 0,
  blockedKeys: 0,
  workers: 0,
  unsettled: 0,
}
const busy = { ...idle, running: 2, pendingEffects: 1, workers: 1 }
const [now, patient] = [{ wait: false }, { wait: true }]

t.test('there is nothing to do when there are as many as wanted, whatever runs', async (t) => {
  t.same(nextLaneStep(4, idle, now), { step: 'done' })
  t.same(nextLaneStep(4, busy, now), { step: 'done' })
})

t.test('idle lanes are made anew', async (t) => {
  t.same(nextLaneStep(8, idle, now), { step: 'recreate' })
  t.same(nextLaneStep(1, idle, now), { step: 'recreate' })
})

t.test('refuses while jobs run, and says how to wait', async (t) => {
  t.match(nextLaneStep(8, busy, now), { code: 'LANES_BUSY', why: '2 jobs still running: --wait waits for them' })
  t.match(nextLaneStep(8, { ...idle, pendingEffects: 1 }, now), { code: 'LANES_BUSY', why: /^1 job still running/ })
})

t.test('refuses while workers are there', async (t) => {
  t.match(nextLaneStep(8, { ...idle, workers: 1 }, now), { code: 'PROCESSOR_RUNNING', why: /^1 worker process still/ })
})

t.test('waits for the jobs first, then for the workers, which run them', async (t) => {
  t.same(nextLaneStep(8, busy, patient), { step: 'drain', what: '2 jobs still running' })
  t.same(nextLaneStep(8, { ...busy, running: 0, pendingEffects: 0, workers: 2 }, patient), {
    step: 'stop-workers',
    what: '2 worker processes still there',
  })
})

t.test('does not wait for what never ends: a blocked key is for a person', async (t) => {
  t.match(nextLaneStep(8, { ...busy, blockedKeys: 1 }, patient), { step: 'refuse', code: 'LANES_BLOCKED' })
})

t.test('a change that was interrupted goes on: topics that are gone, or half made', async (t) => {
  t.same(nextLaneStep(8, { ...idle, jobPartitions: 0, changelogPartitions: 0 }, now), { step: 'recreate' })
  t.same(nextLaneStep(8, { ...idle, jobPartitions: 8, changelogPartitions: 0 }, now), { step: 'recreate' })
  t.same(nextLaneStep(8, { ...idle, jobPartitions: 8 }, now), { step: 'recreate' })
})

t.test('a change that was interrupted behind the topics is brought to its end, though workers are there', async (t) => {
  t.same(nextLaneStep(4, { ...busy, unsettled: 1 }, now), { step: 'settle' })
})

t.test('nothing is made anew while anything runs, is blocked or is there', async () => {
  const few = fc.nat(2)
  const situations = fc.record({
    jobPartitions: few,
    changelogPartitions: few,
    running: few,
    pendingEffects: few,
    blockedKeys: few,
    workers: few,
    unsettled: few,
  })
  fc.assert(
    fc.property(situations, fc.integer({ min: 1, max: 2 }), fc.boolean(), (situation, wanted, wait) => {
      const { step } = nextLaneStep(wanted, situation, { wait })
      const { running, pendingEffects, blockedKeys, workers } = situation
      return step !== 'recreate' || running + pendingEffects + blockedKeys + workers === 0
    }),
  )
})
