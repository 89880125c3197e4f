import t from 'tap'
import { batching } from './batch.ts'

t.test('what is asked for while a call is under way goes into the next one', async (t) => {
  const calls: (readonly number[])[] = []
  const double = batching(async (items: readonly number[]) => {
    calls.push(items)
    await new Promise(setImmediate)
    return items.map((item) => item * 2)
  }, 3)
  t.same(await Promise.all([1, 2, 3, 4, 5].map(double)), [2, 4, 6, 8, 10])
  t.same(calls, [[1], [2, 3, 4], [5]])
  t.equal(await double(6), 12, 'idle again: called at once')
})

t.test('a call that fails fails its items, and not the next ones', async (t) => {
  const picky = batching(async (items: readonly number[]) => {
    await new Promise(setImmediate)
    if (items.includes(2)) throw new Error('no 2')
    return items
  }, 2)
  const outcomes = await Promise.allSettled([1, 2, 3, 4].map(picky))
  t.same(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected', 'fulfilled'],
  )
})
