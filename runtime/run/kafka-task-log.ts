import type { Kafka } from '../kafka/client.ts'
import type { OutputRecord } from '../kafka/log-records.ts'
import type { PartitionReader } from '../kafka/partition-reader.ts'
import { openTransactionalWriter } from '../kafka/transactional-writer.ts'
import { inputTopicsOf, type Processor } from '../processor.ts'
import type { Batch } from '../task/journal.ts'
import type { InputRange } from '../task/replay.ts'
import type { TaskLog } from './task-log.ts'

export const changelogOf = (processor: Processor): string => `${processor.name}-state`

/** `<app>.<processor>.<task>`: the one name under which a task may write, whoever owns it. */
export const transactionalIdOf = (appId: string, processor: Processor, task: number): string =>
  `${appId}.${processor.name}.${task}`

interface KafkaTaskLogSettings {
  readonly kafka: Kafka
  readonly reader: PartitionReader
  readonly appId: string
  readonly processor: Processor
  readonly task: number
}

/** The durable side of a task on Kafka: its changelog partition, and a producer fenced by its transactional id. */
export const kafkaTaskLog = ({ kafka, reader, appId, processor, task }: KafkaTaskLogSettings): TaskLog => {
  const changelog = changelogOf(processor)
  return {
    open: async () => {
      const writer = await openTransactionalWriter(kafka, transactionalIdOf(appId, processor, task))
      return {
        commit: (batch) => writer.commit(recordsOf(batch, changelog, task)),
        close: () => writer.close(),
      }
    },
    readChangelog: async (onRecords, fromOffset) => {
      const { beginning, end } = await reader.offsets(changelog, task)
      const from = fromOffset ?? beginning
      const next = await reader.readToEnd(changelog, task, from, (records, nextOffset) =>
        onRecords(
          records.map(({ key, value }) => ({ key: key ?? '', value })),
          { from, next: nextOffset, end },
        ),
      )
      return { beginning, next }
    },
    inputRanges: async () => {
      const topics = inputTopicsOf(processor)
      const ranges = await Promise.all(topics.map((topic) => reader.offsets(topic, task)))
      return new Map(topics.map((topic, index) => [topic, ranges[index] as InputRange]))
    },
    readInput: async (topic, fromOffset, onRecords) => {
      await reader.readToEnd(topic, task, fromOffset, onRecords)
    },
    readOutputs: async (onRecord) => {
      for (const topic of new Set(processor.writes.map((edge) => edge.topic.name))) {
        for (const partition of await reader.partitions(topic)) {
          const { beginning } = await reader.offsets(topic, partition)
          let isFirst = beginning > 0n
          // Not to the last stable offset: behind somebody else's open transaction there may be outputs of our own.
          await reader.readToLast(topic, partition, beginning, (records) => {
            for (const record of records) {
              onRecord(record, isFirst)
              isFirst = false
            }
          })
        }
      }
    },
  }
}

const NO_HEADERS = {}

const recordsOf = ({ outputs, changelog }: Batch, topic: string, partition: number): readonly OutputRecord[] => {
  const records = [...outputs]
  for (const { key, value } of changelog) records.push({ topic, partition, key, value, headers: NO_HEADERS })
  return records
}
