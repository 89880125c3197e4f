import type { Test } from 'tap'
import type { GroupHandlers, GroupMember } from './group-member.ts'
import type { LogRecord } from './log-records.ts'

/**
 * What the engine relies on in a GroupMember, as tests: the group that every simulated schedule stands on and the one of
 * production pass the same ones. A bed, a group without members, is made fresh for each test. What only one of them can
 * show (sockets, lost positions, crashes, end offsets, offsets for others to read) is tested where it is.
 */
export interface GroupBed {
  /** The group's inputs, four empty partitions each. */
  readonly topics: readonly [string, string]
  join(instanceId: string, handlers: GroupHandlers, busyTasks?: readonly number[]): Promise<GroupMember>
  /** Appends values to one partition, in one request, outside any transaction. */
  append(topic: string, partition: number, values: readonly string[]): Promise<void>
  /** Appends one in a transaction that is aborted: it and the marker take an offset each. */
  appendAborted(topic: string, partition: number, value: string): Promise<void>
  /** Lets time pass until it holds; fails the test when it does not within a time that is ample. */
  until(what: string, holds: () => boolean): Promise<void>
  /** Lets time pass until the promise is settled. */
  done<T>(promise: Promise<T>): Promise<T>
}

const ALL_TASKS = [0, 1, 2, 3]

export const groupMemberContract = (t: Test, newBed: (t: Test) => Promise<GroupBed>): void => {
  const test = (name: string, run: (t: Test, bed: GroupBed) => Promise<void>): void =>
    void t.test(name, async (t) => run(t, await newBed(t)))

  test('nothing is handed out before the engine has sought and resumed', async (t, bed) => {
    const [topic] = bed.topics
    await bed.append(topic, 0, ['a0', 'b0', 'c0'])
    await bed.append(topic, 1, ['a1'])
    const one = await withAllTasks(t, bed)
    t.throws(() => one.member.resume(topic, 0), { code: 'RESUME_WITHOUT_SEEK' })
    one.member.seek(topic, 0, 1n)
    flow(one, topic, 1)
    await bed.until('the resumed partition flows', () => one.values(1).length > 0)
    t.same(one.values(), ['a1'], 'and only that one')
    one.member.resume(topic, 0)
    await bed.until('the other flows', () => one.values(0).length >= 2)
    t.same(one.values(0), ['b0', 'c0'], 'from where it was sought, not from the beginning')
    t.equal(one.position(0), 3n)
  })

  test('a paused partition waits, and goes on where it was', async (t, bed) => {
    const [topic] = bed.topics
    const one = await withAllTasks(t, bed)
    flow(one, topic, 0)
    flow(one, topic, 1)
    await bed.append(topic, 0, ['a'])
    await bed.until('the first record comes', () => one.values(0).length === 1)
    one.member.pause(topic, 0)
    await bed.append(topic, 0, ['b'])
    await bed.append(topic, 1, ['c'])
    await bed.until('the other partition still flows', () => one.values(1).length === 1)
    t.same(one.values(0), ['a'])
    one.member.resume(topic, 0)
    await bed.until('it goes on', () => one.values(0).includes('b'))
    t.same(one.values(0), ['a', 'b'])
  })

  test('a seek takes back what was handed out', async (t, bed) => {
    const [topic] = bed.topics
    await bed.append(topic, 0, ['a', 'b', 'c'])
    const one = await withAllTasks(t, bed)
    flow(one, topic, 0)
    await bed.until('all came', () => one.values().length === 3)
    one.member.seek(topic, 0, 1n)
    await bed.until('they come again', () => one.values().length >= 5)
    t.same(one.values(), ['a', 'b', 'c', 'b', 'c'])
  })

  test('what a fetch brings from where the partition does not stand any more is dropped', async (t, bed) => {
    const [topic] = bed.topics
    await bed.append(topic, 0, ['a', 'b', 'c'])
    const one = await withAllTasks(t, bed)
    flow(one, topic, 0)
    await bed.until('all came', () => one.values().length === 3)
    // A fetch from the end is on its way, and will find the next record.
    const appended = bed.append(topic, 0, ['d'])
    one.member.seek(topic, 0, 1n)
    await appended
    await bed.until('it has caught up', () => one.position(0) === 4n)
    t.same(one.values(), ['a', 'b', 'c', 'b', 'c', 'd'], 'in order, and none is left out')
  })

  test('what a fetch brings for a partition that was paused meanwhile is not lost', async (t, bed) => {
    const [topic] = bed.topics
    const one = await withAllTasks(t, bed)
    flow(one, topic, 0)
    flow(one, topic, 1)
    const appended = bed.append(topic, 0, ['a'])
    one.member.pause(topic, 0)
    await appended
    await bed.append(topic, 1, ['b'])
    await bed.until('the other flows', () => one.values(1).length === 1)
    one.member.resume(topic, 0)
    await bed.append(topic, 0, ['c'])
    await bed.until('both came', () => one.values(0).includes('c'))
    t.same(one.values(0), ['a', 'c'])
  })

  test('the position moves over what was aborted, though there is nothing to hand out', async (t, bed) => {
    const [topic] = bed.topics
    await bed.appendAborted(topic, 0, 'aborted')
    const one = await withAllTasks(t, bed)
    flow(one, topic, 0)
    await bed.until('the record and its marker are behind', () => one.position(0) === 2n)
    t.same(one.values(), [])
  })

  test('a joining member takes idle tasks; the kept ones flow on without a gap or a repetition', async (t, bed) => {
    const [left, right] = bed.topics
    const one = await withAllTasks(t, bed, [3])
    for (const task of ALL_TASKS) for (const topic of bed.topics) flow(one, topic, task)
    await bed.append(left, 0, ['before'])
    await bed.until('it flows', () => one.values(0).length === 1)

    // A gauge is no position: here it is ahead, as after a reset.
    await bed.done(one.member.commitOffsets([{ topic: left, partition: 0, offset: 100n }]))
    const two = await observe(t, bed, 'two')
    await bed.until('both have two tasks', () => one.tasks().length === 2 && two.tasks().length === 2)
    t.ok(one.tasks().includes(3), 'the busy task stays')
    t.same(one.lost().sort(), two.tasks(), 'what one has lost the other has got')
    const [kept = 0] = one.tasks().filter((task) => task !== 3)
    const [moved = 0] = two.tasks()
    const sofar = one.values(kept)

    await bed.append(left, kept, ['after'])
    await bed.append(right, 3, ['right'])
    await bed.append(left, moved, ['moved'])
    await bed.until('kept partitions flow on', () => one.values(kept).includes('after') && one.values(3).length === 1)
    t.same(one.values(kept), [...sofar, 'after'])
    const sofarMoved = one.values(moved)
    flow(two, left, moved, BigInt(sofarMoved.length))
    await bed.until('the new owner gets the moved one', () => two.values(moved).length === 1)
    t.same(two.values(moved), ['moved'])
    t.same(one.values(moved), sofarMoved, 'which its old owner does not')

    await bed.done(two.member.leave())
    await bed.until('the tasks come back', () => one.tasks().length === 4)
    await bed.append(left, kept, ['alone'])
    await bed.until('the kept one flows on', () => one.values(kept).includes('alone'))
    t.same(one.values(kept), [...sofar, 'after', 'alone'], 'and still nothing is repeated')
    t.same(one.values(moved), sofarMoved, 'a task that came back is held')
    t.throws(() => one.member.resume(left, moved), { code: 'RESUME_WITHOUT_SEEK' })
    flow(one, left, moved)
    await bed.until('until it is opened anew', () => one.values(moved).length > sofarMoved.length)
    t.ok(one.values(moved).includes('moved'))
  })

  test('a task that is lost while it opens is not touched', async (t, bed) => {
    const [topic] = bed.topics
    const one = await withAllTasks(t, bed)
    const two = await observe(t, bed, 'two')
    await bed.until('tasks moved', () => one.tasks().length === 2 && two.tasks().length === 2)
    const [moved = 0] = two.tasks()
    flow(one, topic, moved)
    one.member.pause(topic, moved)
    flow(one, topic, moved)
    await bed.append(topic, moved, ['a'])
    flow(two, topic, moved)
    await bed.until('its owner gets the record', () => two.values().length === 1)
    t.same(one.values(), [])
  })

  test('a member that leaves is told nothing more, and its tasks move', async (t, bed) => {
    const [topic] = bed.topics
    const one = await withAllTasks(t, bed)
    for (const task of ALL_TASKS) flow(one, topic, task)
    const two = await observe(t, bed, 'two')
    await bed.until('tasks moved', () => one.tasks().length === 2 && two.tasks().length === 2)
    const [kept = 0] = one.tasks()
    const calls = one.calls()
    const leaving = one.member.leave()
    await bed.append(topic, kept, ['a'])
    await bed.done(leaving)
    await bed.until('the other has all', () => two.tasks().length === ALL_TASKS.length)
    flow(two, topic, kept)
    await bed.until('and what was appended', () => two.values(kept).length === 1)
    t.equal(one.calls(), calls)
    t.same([one.crashes, two.crashes], [[], []])
  })

  test('a member that leaves while it joins does not keep the others waiting', async (t, bed) => {
    const one = await observe(t, bed, 'one')
    await bed.done(one.member.leave())
    const two = await observe(t, bed, 'two')
    await bed.until('the next gets the tasks', () => two.tasks().length === ALL_TASKS.length)
    t.equal(one.calls(), 0, 'and the first was told nothing')
  })
}

/** A member that remembers what it was told. */
interface Observed {
  readonly member: GroupMember
  readonly crashes: readonly Error[]
  /** In ascending order. */
  tasks(): number[]
  lost(): number[]
  values(partition?: number): string[]
  /** Where its last batch of this partition ended; -1 before. */
  position(partition: number): bigint
  /** Handlers called so far. */
  calls(): number
}

const observe = async (
  t: Test,
  bed: GroupBed,
  instanceId: string,
  busyTasks: readonly number[] = [],
): Promise<Observed> => {
  let tasks: number[] = []
  let calls = 0
  const lost: number[] = []
  const records: LogRecord[] = []
  const crashes: Error[] = []
  const positions = new Map<number, bigint>()
  const counted =
    <Args extends unknown[]>(handle: (...args: Args) => void) =>
    (...args: Args): void => {
      calls += 1
      handle(...args)
    }
  const handlers: GroupHandlers = {
    assigned: counted((now, gone) => {
      tasks = [...now].sort()
      lost.push(...gone)
    }),
    records: counted((_topic, partition, batch, nextOffset) => {
      records.push(...batch)
      positions.set(partition, nextOffset)
    }),
    lost: counted((_topic, _partition, error) => crashes.push(error)),
    crashed: counted((error) => crashes.push(error)),
  }
  const member = await bed.done(bed.join(instanceId, handlers, busyTasks))
  t.teardown(() => bed.done(member.leave()))
  return {
    member,
    crashes,
    tasks: () => tasks,
    lost: () => lost,
    values: (partition) =>
      records.filter((each) => partition === undefined || each.partition === partition).map(({ value }) => `${value}`),
    position: (partition) => positions.get(partition) ?? -1n,
    calls: () => calls,
  }
}

const withAllTasks = async (t: Test, bed: GroupBed, busyTasks: readonly number[] = []): Promise<Observed> => {
  const one = await observe(t, bed, 'one', busyTasks)
  await bed.until('the tasks are assigned', () => one.tasks().length === ALL_TASKS.length)
  return one
}

const flow = ({ member }: Observed, topic: string, partition: number, from = 0n): void => {
  member.seek(topic, partition, from)
  member.resume(topic, partition)
}
