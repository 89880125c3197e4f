import type { AvroSchema, Codec } from '../../runtime/codec/avro.ts'
import type { LogRecord } from '../../runtime/kafka/log-records.ts'
import type { PartitionReader } from '../../runtime/kafka/partition-reader.ts'
import { changelogOf } from '../../runtime/run/kafka-task-log.ts'
import { fromRecord } from '../../runtime/task/changelog.ts'
import {
  type Account,
  type Added,
  AddedSchema,
  CountedSchema,
  OrderEndedSchema,
  PieceMadeSchema,
  RangSchema,
  type Tally,
} from './tally.ts'
import type { Answer, Observation } from './verdict.ts'

/**
 * Reads what is in the log, read_committed, as far as it goes and further each time. It knows nothing of the processes:
 * only what a reader of the log can see counts.
 */
export interface Observer {
  /** Reads on to the end of both topics as of now. */
  catchUp(): Promise<void>
  /** Answers seen so far. */
  answers(): number
  readonly seen: Pick<Observation, 'inputs' | 'answers'>
  /** When the answers of each partition were written, ms since the epoch, in the order of the log. */
  readonly writtenAtMs: readonly (readonly number[])[]
  /** What the changelogs hold at the end, and how many records say so. */
  readChangelog(): Promise<Pick<Observation, 'accounts' | 'leftovers'> & { readonly records: number }>
}

export const createObserver = (tally: Tally, partitions: number, codec: Codec, reader: PartitionReader): Observer => {
  const inputs = new Map<string, Added[]>()
  const answers = new Map<string, Answer[]>()
  const writtenAtMs = Array.from({ length: partitions }, (): number[] => [])
  const positions = new Map<string, bigint>()
  let answered = 0

  const readOn = async (topic: string, take: (record: LogRecord) => void): Promise<void> => {
    for (let partition = 0; partition < partitions; partition++) {
      const at = `${topic}/${partition}`
      const next = await reader.readToEnd(topic, partition, positions.get(at) ?? 0n, (records) => records.forEach(take))
      positions.set(at, next)
    }
  }
  const takeInput = ({ key, value }: LogRecord): void => {
    listOf(inputs, key ?? '').push(codec.decode(AddedSchema, value as Buffer))
  }
  const takeAnswer = (record: LogRecord): void => {
    listOf(answers, record.key ?? '').push(answerOf(record, codec))
    writtenAtMs[record.partition]?.push(record.timestampMs)
    answered += 1
  }

  return {
    seen: { inputs, answers },
    writtenAtMs,
    answers: () => answered,
    async catchUp() {
      await readOn(tally.answers, takeAnswer)
      await readOn(tally.inputs, takeInput)
    },
    readChangelog: () => readChangelog(tally, partitions, codec, reader),
  }
}

const readChangelog = async (tally: Tally, partitions: number, codec: Codec, reader: PartitionReader) => {
  const accounts = new Map<string, Account>()
  const leftovers = new Map<string, string>()
  let records = 0
  for (let partition = 0; partition < partitions; partition++) {
    const topic = changelogOf(tally.processor)
    const { beginning } = await reader.offsets(topic, partition)
    await reader.readToEnd(topic, partition, beginning, (batch) => {
      records += batch.length
      for (const { key, value } of batch) {
        const entry = fromRecord({ key: key ?? '', value }, codec, tally.processor.state)
        if (entry.kind === 'state') accounts.set(entry.change.key, entry.change.value as Account)
        if (entry.kind !== 'timer' && entry.kind !== 'effect') continue
        if (value === null) leftovers.delete(key ?? '')
        else leftovers.set(key ?? '', `${entry.kind} of ${entry.key}`)
      }
    })
  }
  return { accounts, leftovers: [...leftovers.values()], records }
}

const listOf = <T>(map: Map<string, T[]>, key: string): T[] => {
  const list = map.get(key) ?? []
  map.set(key, list)
  return list
}

const answerOf = ({ headers, value }: LogRecord, codec: Codec): Answer => {
  const id = headers.ce_id ?? ''
  const decode = <T>(schema: AvroSchema<T>): T => codec.decode(schema, value as Buffer)
  switch (headers.ce_type) {
    case CountedSchema.name:
      return { id, type: 'Counted', value: decode(CountedSchema) }
    case PieceMadeSchema.name:
      return { id, type: 'PieceMade', value: decode(PieceMadeSchema) }
    case OrderEndedSchema.name:
      return { id, type: 'OrderEnded', value: decode(OrderEndedSchema) }
    case RangSchema.name:
      return { id, type: 'Rang', value: decode(RangSchema) }
    default:
      throw new RangeError(`an answer of type ${headers.ce_type}`)
  }
}
