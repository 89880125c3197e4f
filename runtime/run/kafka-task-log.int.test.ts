import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createIdempotentProducer } from '../kafka/idempotent-producer.ts'
import { createPartitionReader } from '../kafka/partition-reader.ts'
import { API_KEYS, observedSockets } from '../kafka/testing/observed-sockets.ts'
import { createTopic, realKafka, uniqueName } from '../kafka/testing/real-kafka.ts'
import { ensureTopics } from '../kafka/topics.ts'
import type { Edge, Processor } from '../processor.ts'
import * as shop from '../testing/example.ts'
import { changelogOf, kafkaTaskLog } from './kafka-task-log.ts'
import { type LostAnswer, TASK, type TaskLogBed, taskLogContract } from './task-log.contract.ts'

/** The broker of production keeps the promises that the engine was built on. */
const kafka = realKafka()
const API_OF = { produce: API_KEYS.produce, endTransaction: API_KEYS.endTxn }

/** The cleaner looks every 15 s by default; nothing tells when it was there. */
const CLEANED_WITHIN_MS = 40_000
const EAGER_CLEANING = {
  'cleanup.policy': 'compact',
  'segment.ms': '100',
  'min.cleanable.dirty.ratio': '0.01',
  'max.compaction.lag.ms': '1',
  'delete.retention.ms': '0',
}

const newBed = async (t: Test): Promise<TaskLogBed> => {
  const [input, output] = [
    await createTopic(kafka, 'input', { partitions: 2 }),
    await createTopic(kafka, 'output', { partitions: 2 }),
  ]
  const edgeOf = (name: string): Edge => ({
    topic: { ...shop.orders, name },
    events: ['OrderPlaced'],
    bootstrap: false,
  })
  const processor: Processor = {
    ...shop.sendOrders,
    name: uniqueName('fold'),
    reads: [edgeOf(input)],
    writes: [edgeOf(input), edgeOf(output)],
    closedBy: [],
  }
  const changelog = changelogOf(processor)
  await ensureTopics(kafka, [{ name: changelog, partitions: 2, replicationFactor: 1, config: EAGER_CLEANING }])
  const reader = await createPartitionReader(kafka)
  // A partition that has just been made may not have a leader yet: readers wait for it, the writer under test does not.
  for (const topic of [input, output, changelog]) {
    for (const partition of [0, 1]) await reader.offsets(topic, partition)
  }
  const producer = createIdempotentProducer(kafka)
  t.teardown(async () => {
    await producer.close()
    await reader.close()
  })
  const read = async (topic: string, partition: number) => {
    const found: Parameters<Parameters<typeof reader.readToEnd>[3]>[0] = []
    await reader.readToEnd(topic, partition, 0n, (records) => void found.push(...records))
    return found
  }
  const logOf = (task: number) => {
    const sockets = observedSockets()
    const own = realKafka({ socketFactory: sockets.socketFactory })
    return {
      ...kafkaTaskLog({ kafka: own, reader, appId: 'contract', processor, task }),
      lose: (answer: LostAnswer) => sockets.loseNextResponseTo(API_OF[answer]),
    }
  }
  return {
    outputs: [input, output],
    owner: () => logOf(TASK),
    neighbour: () => logOf(0),
    committed: read,
    produce: async (record) => {
      await producer.send([record])
    },
    compact: async (touch) => {
      const before = await read(changelog, TASK)
      const first = before[0]?.offset
      const deadline = Date.now() + CLEANED_WITHIN_MS
      // The segment that is written to is never cleaned: a record now and then lets it roll.
      while ((await read(changelog, TASK))[0]?.offset === first && Date.now() < deadline) {
        await touch()
        await sleep(150)
      }
    },
  }
}

taskLogContract(t, newBed)
