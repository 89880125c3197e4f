import fc from 'fast-check'
import t from 'tap'
import { type Attempted, Attempts, nameOf } from '../task/attempts.ts'
import { Bisection } from './bisection.ts'

const REFUSAL = { code: 'COMMIT_REJECTED', detail: 'too large' }

const held = (n: number) => ({ kind: 'held', outputId: String(n) }) as const

/** Makes as many of these steps as the next batch may have. */
const attempt = (bisection: Bisection, steps: readonly number[]): Attempted => {
  const attempts = new Attempts(bisection)
  for (const step of steps) if (attempts.hasRoom) attempts.begin(held(step))
  return attempts.take()
}

/** Makes the steps as a task does: batch by batch, again from the first that is not committed after each rejection. */
const makeAll = (count: number, isGuilty: (step: number) => boolean) => {
  const bisection = new Bisection()
  const refused: string[] = []
  const left = Array.from({ length: count }, (_, n) => n)
  let attempts = 0
  for (; left.length > 0 && attempts < 10_000; attempts++) {
    const attempted = attempt(bisection, left)
    const batch = left.slice(0, attempted.count)
    if (batch.some((step) => isGuilty(step) && !attempted.refused.includes(nameOf(held(step))))) {
      bisection.rejected(attempted, REFUSAL)
      continue
    }
    refused.push(...attempted.refused)
    bisection.committed(attempted)
    left.splice(0, attempted.count)
  }
  return { refused, attempts, limit: bisection.limit, remembered: bisection.refusals.size }
}

t.test('exactly the steps at fault are refused, and the rest in full batches again', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), fc.array(fc.nat(199), { maxLength: 5 }), (count, guilty) => {
      const expected = [...new Set(guilty)].filter((step) => step < count).toSorted((a, b) => a - b)
      const { refused, limit, remembered } = makeAll(count, (step) => guilty.includes(step))
      const isRight = JSON.stringify(refused) === JSON.stringify(expected.map((step) => nameOf(held(step))))
      return isRight && limit === Number.POSITIVE_INFINITY && remembered === 0
    }),
  )
  const { attempts } = makeAll(1_000, (step) => step === 777)
  t.ok(attempts < 40, `the search halves: ${attempts} batches`)
})

t.test('a batch without steps has nobody to refuse', async (t) => {
  t.notOk(new Bisection().rejected(attempt(new Bisection(), []), REFUSAL))
})

t.test('a step of which not even the refusal is taken is not tried for ever', async (t) => {
  const bisection = new Bisection()
  t.ok(bisection.rejected(attempt(bisection, [1]), REFUSAL))
  const again = attempt(bisection, [1])
  t.same(again.refused, ['held/1'])
  t.notOk(bisection.rejected(again, REFUSAL))
})

t.test('a step that was refused may be tried again later', async (t) => {
  const bisection = new Bisection()
  bisection.rejected(attempt(bisection, [1]), REFUSAL)
  bisection.committed(attempt(bisection, [1]))
  t.same(attempt(bisection, [1]).refused, [])
})

t.test('what comes in between does not make a refusal forgotten', async (t) => {
  const bisection = new Bisection()
  bisection.rejected(attempt(bisection, [1]), REFUSAL)
  for (const other of [2, 3]) bisection.committed(attempt(bisection, [other]))
  t.same(attempt(bisection, [1]).refused, ['held/1'])
})
