import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { assignTasks, type MemberClaim } from './task-assignment.ts'

const member = (name: string, owned: number[] = [], busy: number[] = [], current = true): MemberClaim => ({
  memberId: `${name}-id`,
  instanceId: name,
  owned,
  busy,
  current,
})
const assign = (taskCount: number, ...members: MemberClaim[]): Record<string, number[]> =>
  Object.fromEntries([...assignTasks(taskCount, members)].map(([memberId, tasks]) => [memberId.slice(0, -3), tasks]))

t.test('the first member gets everything', async (t) => {
  t.same(assign(4, member('a')), { a: [0, 1, 2, 3] })
})

t.test('a second member takes the idle tasks with the highest numbers', async (t) => {
  t.same(assign(4, member('a', [0, 1, 2, 3]), member('b')), { a: [0, 1], b: [2, 3] })
  t.same(assign(4, member('a', [0, 1, 2, 3], [3]), member('b')), { a: [0, 3], b: [1, 2] })
})

t.test('busy tasks stay, even where that is uneven', async (t) => {
  t.same(assign(4, member('a', [0, 1, 2, 3], [0, 1, 2]), member('b')), { a: [0, 1, 2], b: [3] })
})

t.test('the tasks of a member that left go to the others, which keep theirs', async (t) => {
  t.same(assign(6, member('a', [0, 1]), member('b', [2, 3])), { a: [0, 1, 4], b: [2, 3, 5] })
})

t.test('a member without a task is a member all the same', async (t) => {
  t.same(assign(1, member('a', [0]), member('b')), { a: [0], b: [] })
})

t.test('a member that was thrown out and came back does not take its old tasks from their new owner', async (t) => {
  t.same(assign(2, member('a', [0, 1], [0, 1], false), member('b', [0], [0])), { a: [1], b: [0] })
})

t.test('claims on tasks that do not exist are ignored', async (t) => {
  t.same(assign(2, member('a', [0, 1, 2, 7], [7])), { a: [0, 1] })
})

/** Any group whose claims are consistent: each task is claimed by at most one member. */
const group = fc
  .record({ taskCount: fc.integer({ min: 0, max: 40 }), size: fc.integer({ min: 1, max: 8 }) })
  .chain(({ taskCount, size }) =>
    fc.record({
      taskCount: fc.constant(taskCount),
      claims: fc
        .array(fc.record({ owner: fc.integer({ min: -1, max: size - 1 }), busy: fc.boolean() }), {
          minLength: taskCount,
          maxLength: taskCount,
        })
        .map((tasks) =>
          Array.from({ length: size }, (_, m) => {
            const owned = [...tasks.keys()].filter((task) => tasks[task]?.owner === m)
            return member(
              `m${m}`,
              owned,
              owned.filter((task) => tasks[task]?.busy),
            )
          }),
        ),
    }),
  )

const idle = (claims: readonly MemberClaim[]): MemberClaim[] => claims.map((claim) => ({ ...claim, busy: [] }))
const settled = (taskCount: number, claims: readonly MemberClaim[]): MemberClaim[] => {
  const assigned = assignTasks(taskCount, claims)
  return claims.map((claim) => ({ ...claim, owned: assigned.get(claim.memberId) ?? [] }))
}
const spread = (assigned: ReadonlyMap<string, number[]>): number => {
  const counts = [...assigned.values()].map((tasks) => tasks.length)
  return Math.max(...counts) - Math.min(...counts)
}

t.test('every task has exactly one owner, and a busy one keeps the one it has', async () => {
  fc.assert(
    fc.property(group, ({ taskCount, claims }) => {
      const assigned = assignTasks(taskCount, claims)
      const all = [...assigned.values()].flat().sort((a, b) => a - b)
      assert.deepEqual(all, [...Array(taskCount).keys()])
      for (const { memberId, busy } of claims) {
        for (const task of busy) assert.ok(assigned.get(memberId)?.includes(task))
      }
    }),
  )
})

t.test('an idle group is even to within one task', async () => {
  fc.assert(fc.property(group, ({ taskCount, claims }) => assert.ok(spread(assignTasks(taskCount, idle(claims))) <= 1)))
})

t.test('nothing moves when nothing has changed', async () => {
  fc.assert(
    fc.property(group, ({ taskCount, claims }) => {
      const once = settled(taskCount, claims)
      assert.deepEqual(settled(taskCount, once), once)
    }),
  )
})

t.test('when a member joins, tasks move to it alone; when one leaves, the others keep what they have', async () => {
  fc.assert(
    fc.property(group, ({ taskCount, claims }) => {
      const before = settled(taskCount, idle(claims))
      const joined = assignTasks(taskCount, [...before, member('new')])
      for (const { memberId, owned } of before) {
        for (const task of joined.get(memberId) ?? []) assert.ok(owned.includes(task))
      }
      const [, ...remaining] = before
      const left = assignTasks(taskCount, remaining)
      for (const { memberId, owned } of remaining) {
        for (const task of owned) assert.ok(left.get(memberId)?.includes(task))
      }
    }),
  )
})

t.test('the order in which members are listed does not matter', async () => {
  fc.assert(
    fc.property(group, ({ taskCount, claims }) => {
      const forwards = assignTasks(taskCount, claims)
      const backwards = assignTasks(taskCount, claims.toReversed())
      for (const { memberId } of claims) assert.deepEqual(forwards.get(memberId), backwards.get(memberId))
    }),
  )
})
