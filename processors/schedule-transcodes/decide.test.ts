import t from 'tap'
import { chooseLane, type Pool } from './decide.ts'

const pool = (
  lanes: Readonly<Record<number, string>>,
  workers: Readonly<Record<string, number>>,
  running: readonly number[] = [],
): Pool => ({
  lanes: Object.entries(lanes).map(([lane, workerId]) => ({ lane: Number(lane), workerId })),
  workers: new Map(Object.entries(workers).map(([id, slots]) => [id, { videoSlots: slots, lightSlots: 1 }])),
  released: running.map((lane) => ({ lane, slot: 'HEAVY' })),
})

t.test('there is no lane without a worker', async (t) => {
  t.equal(chooseLane(pool({}, {}), 'HEAVY'), null)
  t.equal(chooseLane(pool({ 0: 'gone' }, {}), 'HEAVY'), null)
})

t.test('a worker that is full gets nothing, however many lanes it holds', async (t) => {
  t.equal(chooseLane(pool({ 0: 'a', 1: 'a', 2: 'a' }, { a: 1 }, [0]), 'HEAVY'), null)
  t.equal(chooseLane(pool({ 0: 'a' }, { a: 1 }, [0, 0]), 'HEAVY'), null, 'nor one that took over too much')
})

t.test('slots of the two kinds are counted apart', async (t) => {
  t.equal(chooseLane(pool({ 0: 'a' }, { a: 1 }, [0]), 'LIGHT'), 0)
})

t.test('the worker with the most free slots comes first', async (t) => {
  t.equal(chooseLane(pool({ 0: 'a', 1: 'b' }, { a: 2, b: 2 }, [0]), 'HEAVY'), 1)
  t.equal(chooseLane(pool({ 0: 'a', 1: 'b' }, { a: 4, b: 2 }, [0]), 'HEAVY'), 0)
})

t.test('of its lanes, the one with the least work', async (t) => {
  t.equal(chooseLane(pool({ 3: 'a', 5: 'a' }, { a: 3 }, [3]), 'HEAVY'), 5)
  t.equal(chooseLane(pool({ 3: 'a', 5: 'a' }, { a: 3 }), 'HEAVY'), 3, 'the lowest, where they are equal')
})
