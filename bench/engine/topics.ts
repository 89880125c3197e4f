import type { Codec } from '../../runtime/codec/avro.ts'
import type { Kafka } from '../../runtime/kafka/client.ts'
import { createIdempotentProducer } from '../../runtime/kafka/idempotent-producer.ts'
import type { PartitionReader } from '../../runtime/kafka/partition-reader.ts'
import { ensureTopics } from '../../runtime/kafka/topics.ts'
import { changelogOf } from '../../runtime/run/kafka-task-log.ts'
import { toRecord } from '../../runtime/task/changelog.ts'
import { type FoldNames, foldProcessor, sampleInput } from './fold.ts'

/** What every measurement works with. */
export interface Lab {
  readonly brokers: readonly string[]
  readonly kafka: Kafka
  readonly reader: PartitionReader
  readonly codec: Codec
}

export interface InputSpec {
  readonly topic: string
  readonly records: number
  readonly keys: number
  readonly envelope: boolean
  readonly partitions?: number
}

const REPLICAS = 1
/** Inputs per call of the producer. */
const CHUNK = 2_000

/** Creates an input topic and fills it. */
export const fillInput = async ({ kafka, codec }: Lab, spec: InputSpec): Promise<void> => {
  const { topic, records, keys, envelope, partitions = 1 } = spec
  await ensureTopics(kafka, [{ name: topic, partitions, replicationFactor: REPLICAS, config: {} }])
  const producer = createIdempotentProducer(kafka)
  for (let n = 0; n < records; n += CHUNK) {
    const numbers = Array.from({ length: Math.min(CHUNK, records - n) }, (_, index) => n + index)
    await producer.send(numbers.map((number) => sampleInput(codec, topic, number, keys, envelope)))
  }
  await producer.close()
}

/**
 * The topics of one run: its output, and a changelog that says that the input is read from its beginning (a processor that
 * is new on a topic with history would hold its outputs back until it has passed that history).
 */
export const prepareRun = async ({ kafka, codec }: Lab, names: FoldNames, partitions = 1): Promise<void> => {
  const processor = foldProcessor(names)
  const changelog = changelogOf(processor)
  const spec = { partitions, replicationFactor: REPLICAS }
  await ensureTopics(kafka, [
    { ...spec, name: names.output, config: {} },
    { ...spec, name: changelog, config: { 'cleanup.policy': 'compact' } },
  ])
  const position = {
    version: processor.version,
    offsets: { [names.input]: 0 },
    recordTimeMs: 0,
    changelogStart: 0,
    reads: [],
  }
  const { key, value } = toRecord({ kind: 'position', value: position }, codec, processor.state)
  const producer = createIdempotentProducer(kafka)
  const tasks = Array.from({ length: partitions }, (_, partition) => partition)
  await producer.send(tasks.map((partition) => ({ topic: changelog, partition, key, value, headers: {} })))
  await producer.close()
}
