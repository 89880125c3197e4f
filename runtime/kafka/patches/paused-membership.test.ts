import t from 'tap'
import { freshKafkajs, quietLogger } from './fresh-kafkajs.ts'
import type { KafkajsPatch } from './modules.ts'
import { pausedMembership } from './paused-membership.ts'

/** Longer than any test may take. */
const FOR_EVER_MS = 2 ** 30

interface ConsumerGroup {
  readonly subscriptionState: { assign(assignment: object[]): void }
  topicConfigurations: object
  offsetManager: object
  pause(topics: object[]): void
  fetch(nodeId: string): Promise<unknown[]>
}

/** A group with one assigned partition, and what it was asked for. */
const groupWith = (patches: readonly KafkajsPatch[], maxWaitTimeInMs: number) => {
  const modules = freshKafkajs(patches)
  const asked: string[] = []
  const cluster = {
    refreshMetadataIfNecessary: async () => {},
    findTopicPartitionMetadata: () => [{ partitionId: 0, leader: 1 }],
    findBroker: async () => ({
      fetch: async () => {
        asked.push('records')
        return { responses: [] }
      },
    }),
  }
  const Group = modules.load<new (options: object) => ConsumerGroup>('consumer/consumerGroup.js')
  const group = new Group({ cluster, logger: quietLogger, topics: ['topic'], retry: {}, maxWaitTimeInMs })
  group.subscriptionState.assign([{ topic: 'topic', partitions: [0] }])
  group.offsetManager = {
    resolveOffsets: async () => asked.push('offsets'),
    committedOffsets: () => ({ topic: { 0: '0' } }),
    nextOffset: () => '0',
  }
  return { modules, group, asked }
}

t.test('with everything paused nothing is asked of the broker', async (t) => {
  const patched = groupWith([pausedMembership], 1)
  patched.group.pause([{ topic: 'topic' }])
  t.same(await patched.group.fetch('1'), [])
  t.same(patched.asked, [])

  const stock = groupWith([], 1)
  stock.group.pause([{ topic: 'topic' }])
  await stock.group.fetch('1')
  t.same(stock.asked, ['offsets'], 'stock asks: the patch is still needed')
})

t.test('with something to fetch it fetches, as ever', async (t) => {
  const { group, asked } = groupWith([pausedMembership], 1)
  t.same(await group.fetch('1'), [])
  t.same(asked, ['offsets', 'records'])
})

t.test('leaving does not wait for the sleep between two heartbeats', async (t) => {
  const { modules, group } = groupWith([pausedMembership], FOR_EVER_MS)
  group.pause([{ topic: 'topic' }])
  const Runner = modules.load<new (options: object) => { stop(): Promise<void> }>('consumer/runner.js')
  const runner = new Runner({ logger: quietLogger, consumerGroup: group, retry: {} })
  const sleeping = group.fetch('1')
  await runner.stop()
  t.same(await sleeping, [])
  t.same(await group.fetch('1'), [], 'nor for one that begins meanwhile')
})
