import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { withWorkers } from './workers.ts'

/** Things that take a turn each, and how many are done at a time. */
const things = (count: number) => {
  const seen = { atATime: 0, most: 0, done: 0, finished: 0, onDone: (_done: number) => {} }
  let taken = 0
  const createWorker = () => ({
    step: async () => {
      if (taken === count) return false
      taken += 1
      seen.atATime += 1
      seen.most = Math.max(seen.most, seen.atATime)
      await turn()
      seen.atATime -= 1
      seen.done += 1
      seen.onDone(seen.done)
      return true
    },
    finish: async () => {
      await turn()
      seen.finished += 1
    },
  })
  return { seen, createWorker }
}

t.test('everything is done, at most so many at a time, and every worker finishes', async (t) => {
  const { seen, createWorker } = things(50)
  await withWorkers(() => 4, createWorker)
  t.match(seen, { done: 50, most: 4, finished: 4 })
})

t.test('more begin when the limit grows, some leave when it shrinks, and one always stays', async (t) => {
  const { seen, createWorker } = things(100)
  let limit = 1
  const after: number[] = []
  seen.onDone = (done) => {
    if (done === 10) limit = 8
    if (done === 50) limit = 1
    if (done > 60) after.push(seen.atATime)
  }
  await withWorkers(() => limit, createWorker)
  t.match(seen, { done: 100, most: 8 })
  t.same(new Set(after), new Set([0]), 'alone again')
})

t.test('nothing at all is done at once', async (t) => {
  const { seen, createWorker } = things(0)
  await withWorkers(() => 4, createWorker)
  t.equal(seen.done, 0)
})

t.test('the first failure is the failure, and nothing more is taken', async (t) => {
  const { seen, createWorker } = things(50)
  seen.onDone = (done) => {
    if (done === 10) throw new Error('tenth')
  }
  await t.rejects(
    withWorkers(() => 3, createWorker),
    { message: 'tenth' },
  )
  await turn()
  t.ok(seen.done <= 13)
})

t.test('what a worker has still under way may fail, too', async (t) => {
  const worker = { step: async () => false, finish: () => Promise.reject(new Error('late')) }
  await t.rejects(
    withWorkers(
      () => 2,
      () => worker,
    ),
    { message: 'late' },
  )
})
