import type { Kafka } from '../kafka/client.ts'
import type { OutputRecord } from '../kafka/log-records.ts'
import type { PartitionReader } from '../kafka/partition-reader.ts'
import { openTransactionalWriter } from '../kafka/transactional-writer.ts'
import type { Processor } from '../processor.ts'
import type { Batch } from '../task/task-core.ts'
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
    readChangelog: async (onRecords) => {
      const { beginning } = await reader.offsets(changelog, task)
      await reader.readToEnd(changelog, task, beginning, (records) =>
        onRecords(records.map(({ key, value }) => ({ key: key ?? '', value }))),
      )
    },
    readInput: async (topic, fromOffset, onRecords) => {
      await reader.readToEnd(topic, task, fromOffset, onRecords)
    },
  }
}

const recordsOf = (batch: Batch, changelog: string, task: number): readonly OutputRecord[] => [
  ...batch.outputs,
  ...batch.changelog.map(({ key, value }) => ({ topic: changelog, partition: task, key, value, headers: {} })),
]
