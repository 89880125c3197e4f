import t from 'tap'
import { freshKafkajs } from './fresh-kafkajs.ts'
import type { KafkajsPatch } from './modules.ts'
import { noOffsetReset } from './no-offset-reset.ts'

interface ConsumerGroup {
  recoverFromFetch(error: Error): Promise<void>
}

/** A consumer group just far enough to recover, and the offsets it resets. */
const groupWith = (patches: readonly KafkajsPatch[]) => {
  const modules = freshKafkajs(patches)
  const { prototype } = modules.load<{ prototype: ConsumerGroup }>('consumer/consumerGroup.js')
  const { KafkaJSOffsetOutOfRange } =
    modules.load<Record<'KafkaJSOffsetOutOfRange', new (error: Error, at: object) => Error>>('errors.js')
  const { createErrorFromCode } = modules.load<{ createErrorFromCode(code: number): Error }>('protocol/error.js')
  const resets: object[] = []
  const group = Object.assign(Object.create(prototype) as ConsumerGroup, {
    logger: { error: () => {} },
    preferredReadReplicasPerTopicPartition: {},
    offsetManager: { setDefaultOffset: async (at: object) => resets.push(at) },
  })
  const outOfRange = new KafkaJSOffsetOutOfRange(createErrorFromCode(1), { topic: 'topic', partition: 0 })
  return { group, resets, outOfRange }
}

t.test('a position that the log no longer holds stops the consumer', async (t) => {
  const { group, resets, outOfRange } = groupWith([noOffsetReset])
  await t.rejects(group.recoverFromFetch(outOfRange), outOfRange)
  t.same(resets, [])
})

t.test('stock goes on at the oldest one: the patch is still needed', async (t) => {
  const { group, resets, outOfRange } = groupWith([])
  await group.recoverFromFetch(outOfRange)
  t.same(resets, [{ topic: 'topic', partition: 0 }])
})
