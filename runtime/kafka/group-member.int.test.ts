import t, { type Test } from 'tap'
import type { ReelstreamError } from '../../platform/errors.ts'
import type { Kafka } from './client.ts'
import { type GroupBed, groupMemberContract } from './group-member.contract.ts'
import { type GroupMember, type GroupOptions, joinGroup } from './group-member.ts'
import type { LogRecord } from './log-records.ts'
import { API_KEYS, observedSockets } from './testing/observed-sockets.ts'
import { append, createTopic, realKafka, textRecord, uniqueName, until } from './testing/real-kafka.ts'
import { openTransactionalWriter } from './transactional-writer.ts'

const kafka = realKafka()

/** A member that remembers what it was told. */
interface Observed {
  readonly member: GroupMember
  readonly tasks: () => number[]
  readonly lost: number[]
  readonly records: LogRecord[]
  /** Positions that the log did not hold. */
  readonly holes: ReelstreamError[]
  readonly crashes: ReelstreamError[]
  /** Where its last batch ended. */
  readonly position: () => bigint
  values(partition?: number): string[]
}

const observe = async (t: Test, options: GroupOptions, of: Kafka = kafka): Promise<Observed> => {
  let tasks: number[] = []
  const lost: number[] = []
  const records: LogRecord[] = []
  const holes: ReelstreamError[] = []
  const crashes: ReelstreamError[] = []
  let position = -1n
  const member = await joinGroup(of, options, {
    assigned: (now, gone) => {
      tasks = now
      lost.push(...gone)
    },
    records: (_topic, _partition, batch, nextOffset) => {
      records.push(...batch)
      position = nextOffset
    },
    lost: (_topic, _partition, error) => holes.push(error),
    crashed: (error) => crashes.push(error),
  })
  t.teardown(() => member.leave())
  const values = (partition?: number): string[] =>
    records
      .filter((record) => partition === undefined || record.partition === partition)
      .map(({ value }) => String(value))
  return {
    member,
    tasks: () => tasks,
    lost,
    records,
    holes,
    crashes,
    position: () => position,
    values,
  }
}

const groupOf = (topics: readonly string[], instanceId: string, groupId = uniqueName('group')): GroupOptions => ({
  groupId,
  topics,
  instanceId,
})

const flow = ({ member }: Observed, topic: string, partition: number, from = 0n): void => {
  member.seek(topic, partition, from)
  member.resume(topic, partition)
}

/** A producer dies before it has committed; its successor ends its transaction. */
const appendAborted = async (t: Test, topic: string, partition: number, value: string): Promise<void> => {
  const id = uniqueName('task')
  const sockets = observedSockets()
  const dying = await openTransactionalWriter(realKafka({ socketFactory: sockets.socketFactory }), id)
  sockets.loseNextResponseTo(API_KEYS.produce)
  await t.rejects(dying.commit([textRecord(topic, value, value, partition)]), { code: 'COMMIT_FAILED' })
  const successor = await openTransactionalWriter(kafka, id)
  await successor.close()
}

groupMemberContract(t, async (t): Promise<GroupBed> => {
  const topics = [
    await createTopic(kafka, 'left', { partitions: 4 }),
    await createTopic(kafka, 'right', { partitions: 4 }),
  ] as const
  const groupId = uniqueName('group')
  return {
    topics,
    join: (instanceId, handlers, busyTasks = []) =>
      joinGroup(kafka, { groupId, topics, instanceId, busyTasks: () => [...busyTasks] }, handlers),
    append: (topic, partition, values) => append(kafka, topic, values, partition),
    appendAborted: (topic, partition, value) => appendAborted(t, topic, partition, value),
    until: (what, holds) => until(t, what, holds),
    done: (promise) => promise,
  }
})

t.test('nothing is even fetched before the engine has sought and resumed', async (t) => {
  const topic = await createTopic(kafka, 'held', { partitions: 2 })
  await append(kafka, topic, ['a'])
  const { socketFactory, sent } = observedSockets()
  const one = await observe(t, groupOf([topic], 'one'), realKafka({ socketFactory }))
  await until(t, 'the tasks are assigned', () => one.tasks().length === 2)
  const since = sent(API_KEYS.heartbeat)
  await until(t, 'the member is past where it would have fetched', () => sent(API_KEYS.heartbeat) > since)
  t.equal(sent(API_KEYS.fetch), 0)
  flow(one, topic, 0)
  await until(t, 'it flows', () => one.values().length > 0)
})

t.test('a member that leaves while it joins does not keep the others waiting', async (t) => {
  const topic = await createTopic(kafka, 'brief')
  const options = groupOf([topic], 'one')
  const { socketFactory, whenSent } = observedSockets()
  const asksToJoin = whenSent(API_KEYS.joinGroup)
  const one = await observe(t, options, realKafka({ socketFactory }))
  await asksToJoin
  await one.member.leave()
  const two = await observe(t, { ...options, instanceId: 'two' })
  await until(t, 'the next gets the task well before a session ends', () => two.tasks().length === 1, 5000)
  t.same(one.tasks(), [], 'and the first was told nothing')
})

t.test('a member whose brokers were gone for a moment comes back and goes on where it was', async (t) => {
  const topic = await createTopic(kafka, 'cut')
  const { socketFactory, cut, refused, heal } = observedSockets()
  const one = await observe(t, groupOf([topic], 'one'), realKafka({ socketFactory, retries: 3 }))
  await until(t, 'the task is assigned', () => one.tasks().length === 1)
  flow(one, topic, 0)
  await append(kafka, topic, ['before'])
  await until(t, 'it flows', () => one.values().length === 1)
  cut()
  await append(kafka, topic, ['meanwhile'])
  one.member.pause(topic, 0)
  one.member.resume(topic, 0)
  await until(t, 'kafkajs has given up its consumer and starts another', () => refused() > 3)
  heal()
  await until(t, 'it flows again, well before a session ends', () => one.values().length === 2, 6000)
  t.same(one.values(), ['before', 'meanwhile'])
  t.same([one.lost, one.crashes], [[], []], 'and the engine has not noticed')
})

t.test('committed offsets are a lag gauge that others can read', async (t) => {
  const topic = await createTopic(kafka, 'gauge')
  const options = groupOf([topic], 'one')
  const one = await observe(t, options)
  await until(t, 'the task is assigned', () => one.tasks().length === 1)
  await one.member.commitOffsets([{ topic, partition: 0, offset: 42n }])
  const admin = kafka.admin()
  await admin.connect()
  const [offsets] = await admin.fetchOffsets({ groupId: options.groupId, topics: [topic] })
  await admin.disconnect()
  t.match(offsets, { topic, partitions: [{ partition: 0, offset: '42' }] })
})

t.test('a position that the log no longer holds ends its partition, and the others flow', async (t) => {
  const topic = await createTopic(kafka, 'hole', { partitions: 2 })
  await append(kafka, topic, ['a', 'b', 'c'], 0)
  const admin = kafka.admin()
  await admin.connect()
  await admin.fetchTopicOffsets(topic) // deleteTopicRecords does not load the metadata it needs
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '2' }] })
  await admin.disconnect()
  const one = await observe(t, groupOf([topic], 'one'))
  await until(t, 'the tasks are assigned', () => one.tasks().length === 2)
  flow(one, topic, 0)
  flow(one, topic, 1)
  await until(t, 'it is told', () => one.holes.length > 0)
  t.match(one.holes, [{ code: 'POSITION_LOST', retryable: false, facts: { topic, partition: 0, offset: '0' } }])
  await append(kafka, topic, ['d'], 1)
  await until(t, 'the other flows', () => one.values().length > 0)
  t.same(one.values(), ['d'], 'and nobody flows past the hole')
  t.same(one.crashes, [])
})

t.test('what an open transaction holds back counts as not read', async (t) => {
  const topic = await createTopic(kafka, 'undecided')
  const one = await observe(t, groupOf([topic], 'one'))
  await until(t, 'the task is assigned', () => one.tasks().length === 1)
  t.equal(one.member.endOffset(topic, 0), undefined, 'nothing has been fetched')
  flow(one, topic, 0)
  await until(t, 'its end is known though it is empty', () => one.member.endOffset(topic, 0)?.offset === 0n)
  const sockets = observedSockets()
  const dying = await openTransactionalWriter(realKafka({ socketFactory: sockets.socketFactory }), uniqueName('task'))
  sockets.loseNextResponseTo(API_KEYS.produce)
  await t.rejects(dying.commit([textRecord(topic, 'k', 'undecided')]), { code: 'COMMIT_FAILED' })
  await until(t, 'the end has moved', () => one.member.endOffset(topic, 0)?.offset === 1n)
  t.same([one.values(), one.position()], [[], -1n])
})

t.test('input topics with unequal partition counts are refused', async (t) => {
  const topics = [
    await createTopic(kafka, 'two', { partitions: 2 }),
    await createTopic(kafka, 'three', { partitions: 3 }),
  ]
  const one = await observe(t, groupOf(topics, 'one'))
  await until(t, 'the member gives up', () => one.crashes.length > 0)
  t.match(one.crashes, [{ code: 'UNEQUAL_PARTITIONS', message: /two-\w+ 2, three-\w+ 3/ }])
})

t.test('a handler that throws ends the member', async (t) => {
  const topic = await createTopic(kafka, 'throws')
  const crashes: ReelstreamError[] = []
  const member = await joinGroup(kafka, groupOf([topic], 'one'), {
    assigned: () => {
      throw new Error('not today')
    },
    records: () => {},
    lost: () => {},
    crashed: (error) => crashes.push(error),
  })
  t.teardown(() => member.leave())
  await until(t, 'the member gives up', () => crashes.length > 0)
  t.match(crashes, [{ code: 'HANDLER_THREW', cause: { message: 'not today' } }])
})

t.test('a topic that does not exist is said at once', async (t) => {
  const missing = uniqueName('missing')
  await t.rejects(observe(t, groupOf([missing], 'one')), { code: 'GROUP_UNAVAILABLE', retryable: true })
})
