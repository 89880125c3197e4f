import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createPartitionReader } from './partition-reader.ts'
import { createTopic, realKafka, textRecord, uniqueName } from './testing/real-kafka.ts'
import { openTransactionalWriter } from './transactional-writer.ts'

const kafka = realKafka()

t.test('reads a compacted topic to its end', async (t) => {
  const topic = await createTopic(kafka, 'compacted', {
    config: {
      'cleanup.policy': 'compact',
      'segment.ms': '100',
      'min.cleanable.dirty.ratio': '0.01',
      'max.compaction.lag.ms': '1',
      'delete.retention.ms': '0',
    },
  })
  const writer = await openTransactionalWriter(kafka, uniqueName('compacted'))
  t.teardown(() => writer.close())
  const reader = await createPartitionReader(kafka)
  t.teardown(() => reader.close())
  const keys = ['k1', 'k2', 'k3']
  const perTransaction = BigInt(keys.length + 1) // and its marker
  for (let written = 1n; written <= 170n; written += 1n) {
    await writer.commit(keys.map((key) => textRecord(topic, key, `value ${written}`)))
    while ((await reader.offsets(topic, 0)).end < written * perTransaction) await nextTurn()
    const values: string[] = []
    const next = await reader.readToEnd(topic, 0, 0n, (records) => {
      values.push(...records.map(({ value }) => String(value)))
    })
    t.equal(next, written * perTransaction)
    t.same(values.slice(-3), Array(3).fill(`value ${written}`))
    if (written > 5n && values.length < 9) return // what is left is mostly holes
    await sleep(100) // segments roll by time, nothing tells when
  }
  t.fail('the broker has not compacted the topic within 17 s')
})
