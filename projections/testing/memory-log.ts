/** For tests: a log in memory behind the port that projections read through. Values are JSON instead of Avro. */
import { newId } from '../../platform/ids.ts'
import type { LogRecord } from '../../runtime/kafka/log-records.ts'
import type { PartitionReader } from '../../runtime/kafka/partition-reader.ts'
import { type VideoEvent, videoEvents } from '../../schemas/topics.ts'
import type { DecodeValue } from '../engine/event-decoder.ts'

export interface MemoryLog {
  readonly reader: Pick<PartitionReader, 'tail' | 'offsets'>
  readonly partitions: number
  /** Appends facts of one video to its partition, with a gap after them as a transaction marker leaves one. */
  append(videoId: string, facts: readonly AppendedFact[]): void
}

/** With the id of the claim that it answers, where a test is about that. */
export type AppendedFact = VideoEvent & { readonly causeId?: string }

const FETCH_RECORDS = 7
export const NEW_YEAR_MS = Date.UTC(2026, 0, 1)

/** @param firstMomentMs time of offset 0; every further record is a second younger */
export const createMemoryLog = (partitions: number, firstMomentMs = NEW_YEAR_MS): MemoryLog => {
  const logs = Array.from({ length: partitions }, () => ({ records: [] as LogRecord[], end: 0n }))
  const waiting = new Set<() => void>()
  const logOf = (partition: number) => {
    const log = logs[partition]
    if (log === undefined) throw new RangeError(`no partition ${partition}`)
    return log
  }
  return {
    partitions,
    append(videoId, facts) {
      const partition = partitionOf(videoId, partitions)
      const log = logOf(partition)
      for (const each of facts) {
        const timestampMs = firstMomentMs + Number(log.end) * 1000
        log.records.push({ ...recordOf(videoId, each), partition, offset: log.end++, timestampMs })
      }
      log.end++
      for (const wake of waiting) wake()
    },
    reader: {
      offsets: async (_topic, partition) => ({ beginning: 0n, end: logOf(partition).end }),
      async *tail(_topic, partition, fromOffset, signal) {
        let position = fromOffset
        while (!signal.aborted) {
          const log = logOf(partition)
          const rest = log.records.filter(({ offset }) => offset >= position)
          const records = rest.slice(0, FETCH_RECORDS)
          const nextOffset = rest[FETCH_RECORDS]?.offset ?? log.end
          if (nextOffset > position) {
            position = nextOffset
            yield { records, nextOffset }
          } else {
            await nextAppend(waiting, signal)
          }
        }
      },
    },
  }
}

export const decodeJson: DecodeValue = async (_schema, value) => JSON.parse(value.toString())

const partitionOf = (videoId: string, partitions: number): number =>
  [...videoId].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % partitions

const recordOf = (key: string, { type, data, causeId }: AppendedFact) => ({
  topic: videoEvents.name,
  key,
  value: Buffer.from(JSON.stringify(data)),
  headers: { ce_type: `reelstream.${type}`, ce_id: newId(), causationid: causeId ?? newId() },
})

const nextAppend = async (waiting: Set<() => void>, signal: AbortSignal): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>()
  waiting.add(resolve)
  signal.addEventListener('abort', () => resolve(), { once: true })
  await promise
  waiting.delete(resolve)
}
