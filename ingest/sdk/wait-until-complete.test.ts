import t from 'tap'
import { pauseMsAfter } from './wait-until-complete.ts'

/** When somebody asks whose questions are answered at once, until `untilMs`. */
const askedAtMs = (untilMs: number): readonly number[] => {
  const asked = [0]
  for (let nowMs = 0; nowMs < untilMs; asked.push(nowMs)) nowMs += pauseMsAfter(nowMs)
  return asked
}

t.test('an end is heard of soon, by how long it took', async (t) => {
  const asked = askedAtMs(20_000)
  // The worst end is just after a question.
  for (const [i, endMs] of asked.slice(0, -1).entries()) {
    const lateMs = Math.floor((asked[i + 1] ?? Number.NaN) - endMs)
    t.ok(lateMs <= Math.max(50, endMs / 10), `${endMs} ms is heard of ${lateMs} ms later`)
  }
})

t.test('what takes minutes is asked for every two seconds', async (t) => {
  t.equal(pauseMsAfter(60_000), 2_000)
  t.ok(askedAtMs(120_000).length <= 100, `${askedAtMs(120_000).length} questions in two minutes`)
})
