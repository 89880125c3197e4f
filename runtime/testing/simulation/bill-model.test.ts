import t from 'tap'
import { BillModel } from './bill-model.ts'
import type { Fact } from './order-model.ts'
import { findingOf } from './packing.ts'

/** The judge itself: a history that keeps the promises, and the same with one thing wrong. */
type Said = readonly [type: string, data: object]

const line = (by: string, n: number): Said => ['LineWritten', { by, n, value: findingOf(by, n) }]
const bill = (by: string, first: number, last: number, outcome = findingOf(by, 'receipt')): Said => [
  'ItemsBilled',
  { by, first, last, outcome },
]
const sold = (item: number): Said => ['ItemSold', { item }]
const seen = (item: number, count = item): Said => ['ItemSeen', { item, count }]
const reminded = (of: number): Said => ['Reminded', { of: `${of}` }]
const noted = (item: number): Said => ['ItemNoted', { item }]
const thanked = (by: string): Said => ['Thanked', { by }]
const CLOSED: Said = ['AccountClosed', {}]
const PARTED: Said = ['Parted', {}]

/** Facts are 100 ms apart; the offset of each is its index. */
const GOOD: readonly Said[] = [
  ...[sold(1), seen(1), sold(2), seen(2)],
  ...[line('a', 1), line('a', 2), bill('a', 1, 2), reminded(6)],
  ...[sold(3), seen(3), line('b', 1), bill('b', 3, 3), reminded(11)],
]

const judge = (history: readonly Said[], replaysMs: readonly number[] = []): BillModel => {
  const model = new BillModel('o', { mayBeKiller: () => false, replaysMs })
  for (const [index, [type, data]] of history.entries()) {
    const at = { ref: `bills/0/${index}`, partition: 0, offset: `${index}`, atMs: index * 100 }
    const fact: Fact = { ...at, key: 'o', type, id: `fact-${index}`, data }
    model.fold(fact)
  }
  return model
}

t.test('a history that keeps every promise', async (t) => {
  t.match(judge(GOOD), { violations: [], missing: [] })
  t.match(judge([...GOOD, CLOSED, PARTED]), { violations: [], missing: [] })
  t.match(judge([...GOOD, noted(2), CLOSED, PARTED, thanked('c'), noted(1)]), { violations: [], missing: [] })
})

t.test('what has not happened yet is missing, and no violation', async (t) => {
  const missingOf = (count: number, ...more: readonly Said[]) => judge([...GOOD.slice(0, count), ...more])
  t.match(missingOf(3), { violations: [], missing: [/1 items .* not seen/, /2 items .* not billed/] })
  t.match(missingOf(7), { violations: [], missing: [/the reminder of o of 6/] })
  t.match(missingOf(4, CLOSED), { violations: [], missing: ['nobody parted from o'] })
})

const without = (index: number): readonly Said[] => GOOD.toSpliced(index, 1)
const instead = (index: number, ...said: readonly Said[]): readonly Said[] => GOOD.toSpliced(index, 1, ...said)

for (const [name, history, expected] of [
  ['an item seen twice', instead(1, seen(1), seen(1)), /counted as 1, is 2/],
  ['an item left out', without(1), /item 2 was seen when 1 was next/],
  ['a count of a state that was lost', instead(9, seen(3, 1)), /item 3 was counted as 1, is 3/],
  ['a line twice', instead(4, line('a', 1), line('a', 1)), /line 1 of a follows line 1/],
  ['a line left out', without(5), /the bill of 1 to 2 has 1 lines/],
  ['a line that nobody found', instead(4, ['LineWritten', { by: 'a', n: 1, value: 'x' }]), /not what was found/],
  ['a line behind its bill', instead(7, line('a', 3)), /line 3 of a after its end/],
  ['a bill twice', instead(6, bill('a', 1, 2), bill('a', 1, 2)), /bill a ends again/],
  ['a bill of what nobody bought', instead(11, line('b', 2), bill('b', 3, 4)), /item 4 is billed, 3 were sold/],
  ['a bill that leaves items out', [...GOOD.slice(0, 4), line('b', 1), bill('b', 2, 2)], /items 1 to 1 were left out/],
  ['a bill that was given up', instead(6, bill('a', 1, 2, 'CRASHED')), /a ended as CRASHED/],
  ['a reminder twice', instead(7, reminded(6), reminded(6)), /reminded twice of 6/],
  ['a reminder of nothing', instead(7, reminded(5)), /reminded of 5, which is no bill/],
  ['a note twice', [...GOOD, noted(1), noted(1)], /item 1 is noted twice/],
  ['a note of what nobody bought', [...GOOD, noted(4)], /item 4 is noted, and was not sold/],
  ['thanks twice', [...GOOD, thanked('a'), thanked('a')], /thanked twice by a/],
  ['a parting from an open account', [...GOOD, PARTED], /parted from an account that is open/],
  ['a parting twice', [...GOOD, CLOSED, PARTED, PARTED], /Parted after the end/],
] as const) {
  t.test(`${name} is seen`, async (t) => {
    t.ok(
      judge(history).violations.some((violation) => expected.test(violation)),
      judge(history).violations.join(', '),
    )
  })
}

t.test(
  'an item that is billed twice is seen, unless a replay asked for its second bill before the first was there',
  async (t) => {
    const twice = [...GOOD.slice(0, 7), line('c', 1), line('c', 2), bill('c', 1, 2), reminded(6)]
    t.match(judge(twice).violations, [/item 1 is billed twice/, /item 2 is billed twice/])
    t.match(judge(twice, [601]).violations, [/item 1 is billed twice/, /item 2 is billed twice/])
    t.same(judge(twice, [599]).violations, [])
  },
)
