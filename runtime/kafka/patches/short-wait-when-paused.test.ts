import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { freshKafkajs, quietLogger } from './fresh-kafkajs.ts'
import type { KafkajsPatch } from './modules.ts'
import { shortWaitWhenPaused } from './short-wait-when-paused.ts'

interface ConsumerGroup {
  readonly maxWaitTime: number
  readonly subscriptionState: { assign(assignment: object[]): void }
  pause(topicPartitions: object[]): void
  resume(topicPartitions: object[]): void
}

const one = [{ topic: 'topic', partitions: [0] }]

/** A group of two assigned partitions whose fetches wait half a second. */
const groupWith = (t: Test, patches: readonly KafkajsPatch[]): ConsumerGroup => {
  mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
  t.teardown(() => mock.timers.reset())
  const Group = freshKafkajs(patches).load<new (options: object) => ConsumerGroup>('consumer/consumerGroup.js')
  const group = new Group({ logger: quietLogger, topics: ['topic'], retry: {}, maxWaitTimeInMs: 500 })
  group.subscriptionState.assign([{ topic: 'topic', partitions: [0, 1] }])
  return group
}

t.test('a fetch waits as configured while nothing is paused', async (t) => {
  const group = groupWith(t, [shortWaitWhenPaused])
  t.equal(group.maxWaitTime, 500)
  group.pause(one)
  group.resume(one)
  t.equal(group.maxWaitTime, 500)
})

t.test('it hardly waits while a partition is paused for a moment', async (t) => {
  const group = groupWith(t, [shortWaitWhenPaused])
  group.pause(one)
  t.equal(group.maxWaitTime, 10)
  mock.timers.setTime(1_001_500)
  t.equal(group.maxWaitTime, 500, 'one that stays paused costs nothing')
})

t.test('stock always waits: the patch is still needed', async (t) => {
  const group = groupWith(t, [])
  group.pause(one)
  t.equal(group.maxWaitTime, 500)
})
