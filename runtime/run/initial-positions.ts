import type { Codec } from '../codec/avro.ts'
import type { OutputRecord } from '../kafka/log-records.ts'
import type { PartitionReader } from '../kafka/partition-reader.ts'
import { foldedBy, inputTopicsOf, type Processor } from '../processor.ts'
import { toRecord } from '../task/changelog.ts'
import { changelogOf } from './kafka-task-log.ts'

/**
 * A changelog without a position cannot be told from a lost one, so a task with such a changelog opens and replays its
 * inputs. The migrate step therefore writes the first position while the inputs of a new processor are empty: a fresh
 * installation opens no task before there is something to do. Doing it again changes nothing: a changelog that holds
 * anything is left alone.
 */
export const initialPositions = async (
  processors: readonly Processor[],
  partitionsOf: (topicName: string) => number,
  reader: Pick<PartitionReader, 'offsets'>,
  codec: Codec,
): Promise<readonly OutputRecord[]> => {
  const records: OutputRecord[] = []
  for (const processor of processors) {
    const topics = inputTopicsOf(processor)
    const partitions = partitionsOf(topics[0] as string)
    for (let task = 0; task < partitions; task++) {
      const record = await initialPosition(processor, task, topics, reader, codec)
      if (record !== null) records.push(record)
    }
  }
  return records
}

const initialPosition = async (
  processor: Processor,
  task: number,
  topics: readonly string[],
  reader: Pick<PartitionReader, 'offsets'>,
  codec: Codec,
): Promise<OutputRecord | null> => {
  const changelog = await reader.offsets(changelogOf(processor), task)
  if (changelog.end > 0n) return null
  const ranges = await Promise.all(topics.map((topic) => reader.offsets(topic, task)))
  if (ranges.some(({ end }) => end > 0n)) return null
  const offsets = Object.fromEntries(topics.map((topic) => [topic, 0]))
  const { version } = processor
  const value = { version, offsets, recordTimeMs: 0, changelogStart: 0, reads: foldedBy(processor) }
  const position = toRecord({ kind: 'position', value }, codec, processor.state)
  return { topic: changelogOf(processor), partition: task, key: position.key, value: position.value, headers: {} }
}
