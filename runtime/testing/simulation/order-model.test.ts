import t from 'tap'
import { type Fact, OrderModel } from './order-model.ts'
import { checksum, findingOf, LATE_MS } from './packing.ts'

/** The judge itself: a history that keeps the promises, and the same with one thing wrong. */
const AT_MS = 1_000

const at = (topic: string, offset: number) => ({
  ref: `${topic}/0/${offset}`,
  partition: 0,
  offset: `${offset}`,
  atMs: AT_MS,
})

const placed = (offset: number): Fact => ({
  ...at('orders', offset),
  key: 'o',
  type: 'OrderPlaced',
  id: `input-${offset}`,
  data: { pieces: 1, temper: 'fine' },
})

const receipt = (job: string): string => `${job}=${findingOf(job, 'receipt')}`
const piece = (job: string, n: number): string => `${job}/${n}=${findingOf(job, n)}`

type Said = readonly [what: string, ref: string, atMs?: number]
const GOOD: readonly Said[] = [
  ['placed', 'orders/0/0'],
  ['packed', piece('o#1', 1)],
  ['settled', receipt('o#1')],
  ['placed', 'orders/0/1'],
  ['late', 'late', AT_MS + LATE_MS],
  ['packed', piece('o#4', 1)],
  ['settled', receipt('o#4')],
]

const judge = (history: readonly Said[], change: (step: object, index: number) => object = (step) => step) => {
  const model = new OrderModel('o', [placed(0), placed(1)], () => false)
  let chain = ''
  for (const [index, [what, ref, atMs = AT_MS]] of history.entries()) {
    chain = checksum(chain, `${what} ${ref}`)
    const data = change({ n: index + 1, what, ref, chain, atMs }, index)
    model.fold({ ...at('parcels', index), key: 'o', type: 'Stepped', id: `step-${index}`, data })
  }
  return model
}

const without = (index: number): readonly Said[] => GOOD.filter((_, n) => n !== index)
const instead = (index: number, ...said: readonly Said[]): readonly Said[] => GOOD.toSpliced(index, 1, ...said)

t.test('a history that keeps every promise', async (t) => {
  const model = judge(GOOD)
  t.same(model.violations, [])
  t.same(model.missing, [])
  t.same(model.shipped, ['o#1', 'o#4'])
})

t.test('what has not happened yet is missing, and no violation', async (t) => {
  const model = judge(GOOD.slice(0, 4))
  t.same(model.violations, [])
  t.same(model.missing, ['the outcome of o#4', 'the timer of o'])
  t.same(judge([]).missing, ['2 inputs of o'])
})

for (const [name, history, expected] of [
  ['an input folded twice', instead(3, ['placed', 'orders/0/0']), /read orders\/0\/0 when orders\/0\/1 was next/],
  ['an input left out', GOOD.slice(3), /read orders\/0\/1 when orders\/0\/0 was next/],
  ['a report twice', instead(1, GOOD[1] as Said, GOOD[1] as Said), /report 1 of o#1 follows report 1/],
  ['a report left out', without(1), /o#1 settled after 0 reports/],
  ['a report that nobody found', instead(1, ['packed', 'o#1/1=?']), /is not what was found/],
  ['an outcome twice', instead(2, GOOD[2] as Said, GOOD[2] as Said), /of an effect that is not pending/],
  ['an outcome that it cannot have', instead(2, ['settled', 'o#1=CRASHED']), /settled as CRASHED/],
  ['a timer twice', instead(4, GOOD[4] as Said, GOOD[4] as Said), /a timer that was not set/],
  ['a timer too early', instead(4, ['late', 'late', AT_MS + LATE_MS - 1]), /1 ms too early/],
] as const) {
  t.test(`${name} is seen`, async (t) => {
    t.match(judge(history).violations, [expected])
  })
}

t.test('a step made on a state that was never committed is seen', async (t) => {
  const { violations } = judge(GOOD, (step, index) => (index === 2 ? { ...step, chain: checksum('x', 'y') } : step))
  t.match(violations, [/step 3 was made on another state/, /step 4 was made on another state/])
})

t.test('a step after the end is seen', async (t) => {
  const withdrawn: Fact = { ...placed(1), type: 'OrderWithdrawn', data: { nothing: 0 } }
  const model = new OrderModel('o', [placed(0), withdrawn], () => false)
  const said = ['placed orders/0/0', 'withdrawn orders/0/1', 'late late']
  let chain = ''
  for (const [index, text] of said.entries()) {
    chain = checksum(chain, text)
    const [what = '', ref = ''] = text.split(' ')
    const data = { n: index + 1, what, ref, chain, atMs: AT_MS }
    model.fold({ ...at('parcels', index), key: 'o', type: 'Stepped', id: '', data })
  }
  t.match(model.violations[0], /step 3 \(late late\) after the end/)
})
