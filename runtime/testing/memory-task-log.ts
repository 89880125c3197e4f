import { setImmediate as nextTurn } from 'node:timers/promises'
import { BugError, UpstreamError } from '../../platform/errors.ts'
import { asUpstreamError, isFenced } from '../kafka/kafka-errors.ts'
import type { LogRecord, OutputRecord } from '../kafka/log-records.ts'
import { partitionOfKey } from '../kafka/murmur2.ts'
import type { ChangelogRange, TaskLog, TaskLogWriter } from '../run/task-log.ts'
import type { Batch } from '../task/journal.ts'
import type { InputRange } from '../task/replay.ts'
import { BrokerRefusal, type MemoryLog, type ProducerSession } from './memory-log.ts'

/**
 * The durable side of one task on a MemoryLog, and every request that kafkaTaskLog makes of a broker as one call of
 * `request`: there a simulation delays it, loses it or its answer, or ends the process.
 */
export interface MemoryTaskLogSettings {
  readonly log: MemoryLog
  readonly transactionalId: string
  readonly changelog: string
  readonly task: number
  /** Topics that the processor reads, and those that it writes. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Default: everything arrives, and is answered, at once. */
  readonly request?: Request
  /** Records of one fetch, at most. */
  readonly fetchLimit?: number
  /** How long a fetch that finds nothing takes. Default: a turn. */
  readonly wait?: () => Promise<void>
}

/**
 * Carries one request: `execute` is called at most once, when it has arrived. Rejects with what the broker refused, or
 * with anything else when there was no answer.
 */
export type Request = <T>(name: RequestName, execute: () => T) => Promise<T>
export type RequestName = 'initProducer' | 'produce' | 'endTransaction' | 'offsets' | 'fetch'

const atOnce: Request = async (_name, execute) => execute()

export const memoryTaskLog = (settings: MemoryTaskLogSettings): TaskLog => {
  const { log, transactionalId, changelog, task, inputs, outputs } = settings
  const { request = atOnce, fetchLimit = 500, wait = nextTurn } = settings
  const read = async (
    topic: string,
    partition: number,
    fromOffset: bigint | null,
    onRecords: (records: readonly LogRecord[], nextOffset: bigint, range: InputRange) => void | Promise<void>,
    to: 'end' | 'highWatermark' = 'end',
  ): Promise<ChangelogRange> => {
    try {
      const { beginning, [to]: end } = await request('offsets', () => log.offsets(topic, partition))
      let next = fromOffset ?? beginning
      while (next < end) {
        const { records, nextOffset } = await request('fetch', () => log.fetch(topic, partition, next, fetchLimit))
        if (nextOffset === next) await wait()
        next = nextOffset
        if (records.length > 0) await onRecords(records, nextOffset, { beginning, end })
      }
      return { beginning, next }
    } catch (error) {
      throw readError(error, topic, partition)
    }
  }
  return {
    open: async () => {
      try {
        const session = await request('initProducer', () => log.initProducer(transactionalId))
        return writerOf(new MemoryProducer(log, session, request), changelog, task)
      } catch (error) {
        throw asUpstreamError('WRITER_UNAVAILABLE', 'The transactional writer could not be opened', error)
      }
    },
    readChangelog: (onRecords, fromOffset) =>
      read(changelog, task, fromOffset ?? null, (records, next, { beginning, end }) =>
        onRecords(
          records.map(({ key, value }) => ({ key: key ?? '', value })),
          { from: fromOffset ?? beginning, next, end },
        ),
      ),
    inputRanges: async () => {
      const ranges = new Map<string, InputRange>()
      for (const topic of inputs) {
        const { beginning, end } = await request('offsets', () => log.offsets(topic, task))
        ranges.set(topic, { beginning, end })
      }
      return ranges
    },
    readInput: async (topic, fromOffset, onRecords) => {
      await read(topic, task, fromOffset, onRecords)
    },
    readOutputs: async (onRecord) => {
      for (const topic of outputs) {
        for (let partition = 0; partition < log.partitionsOf(topic); partition++) {
          let isFirst = true
          const take = (records: readonly LogRecord[], _next: bigint, { beginning }: InputRange): void => {
            for (const record of records) {
              onRecord(record, isFirst && beginning > 0n)
              isFirst = false
            }
          }
          await read(topic, partition, null, take, 'highWatermark')
        }
      }
    },
  }
}

const writerOf = (producer: MemoryProducer, changelog: string, task: number): TaskLogWriter => {
  let state: 'idle' | 'committing' | 'dead' = 'idle'
  return {
    commit: async (batch) => {
      if (state !== 'idle') throw new BugError('WRITER_MISUSED', `commit() on a writer that is ${state}`)
      const records = recordsOf(batch, changelog, task)
      if (records.length === 0) return
      state = 'committing'
      try {
        await producer.transact(records)
        state = 'idle'
      } catch (error) {
        state = 'dead'
        throw error
      }
    },
    close: async () => {
      state = 'dead'
    },
  }
}

/** What a batch becomes in the log: outputs first, then the memory of the task. */
export const recordsOf = (batch: Batch, changelog: string, task: number): readonly OutputRecord[] => [
  ...batch.outputs,
  ...batch.changelog.map(({ key, value }) => ({ topic: changelog, partition: task, key, value, headers: {} })),
]

/** The client side of a transactional producer: it numbers its batches, and only an answer moves the numbers on. */
export class MemoryProducer {
  readonly #log: MemoryLog
  readonly #session: ProducerSession
  readonly #request: Request
  readonly #sent = new Map<string, number>()

  constructor(log: MemoryLog, session: ProducerSession, request: Request) {
    this.#log = log
    this.#session = session
    this.#request = request
  }

  /** One transaction. FENCED, or COMMIT_FAILED when it may or may not have been committed. */
  async transact(records: readonly OutputRecord[]): Promise<void> {
    try {
      const batches = Map.groupBy(records, (record) => this.#placeOf(record))
      await Promise.all([...batches].map(([place, batch]) => this.#send(place, batch)))
      await this.end('committed')
    } catch (error) {
      throw commitError(error)
    }
  }

  async end(fate: 'committed' | 'aborted'): Promise<void> {
    await this.#request('endTransaction', () => this.#log.endTransaction(this.#session, fate))
  }

  async #send(place: string, batch: readonly OutputRecord[]): Promise<void> {
    const sequence = this.#sent.get(place) ?? 0
    await this.#request('produce', () => this.#log.append(this.#session, batch, sequence))
    this.#sent.set(place, sequence + batch.length)
  }

  #placeOf({ topic, key, partition }: OutputRecord): string {
    return `${topic}/${partition ?? partitionOfKey(key, this.#log.partitionsOf(topic))}`
  }
}

const commitError = (error: unknown): Error =>
  isFenced(error)
    ? new UpstreamError('FENCED', 'Another writer owns this transactional id now', { cause: error, retryable: false })
    : asUpstreamError('COMMIT_FAILED', 'The transaction may or may not have been committed', error)

const readError = (error: unknown, topic: string, partition: number): unknown => {
  if (error instanceof BrokerRefusal && error.type === 'OFFSET_OUT_OF_RANGE') {
    return new UpstreamError('OFFSET_OUT_OF_RANGE', `${topic}/${partition} no longer holds the wanted offset`, {
      cause: error,
      retryable: false,
    })
  }
  return error instanceof NoAnswer || error instanceof BrokerRefusal
    ? asUpstreamError('PARTITION_UNREADABLE', `${topic}/${partition} could not be read`, error)
    : error
}

/** The client has waited long enough: the request or its answer is lost, or either is late. */
export class NoAnswer extends Error {
  readonly type = 'REQUEST_TIMED_OUT'

  constructor(request: string) {
    super(`no answer to ${request}`)
  }
}
