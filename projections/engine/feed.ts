/**
 * The loop that feeds one version of one projection from one partition.
 *
 * The position lives in PostgreSQL and nowhere else. A database that was emptied therefore says 0, and the loop reads
 * the whole log again; a process that starts anew goes on where the tables are, whatever any consumer group believes.
 */
import type { Database } from '../../prisma/client.ts'
import type { LogRecord } from '../../runtime/kafka/log-records.ts'
import type { PartitionReader } from '../../runtime/kafka/partition-reader.ts'
import { commitBatch, type FeedKey } from './commit-batch.ts'
import { type DecodeValue, decodeEvents } from './event-decoder.ts'
import { readPosition } from './positions.ts'

export interface FeedSources {
  readonly db: Database
  readonly reader: Pick<PartitionReader, 'tail'>
  readonly decode: DecodeValue
}

export interface FeedOptions {
  /** Wake readers after each batch: only the live version has any. */
  readonly notify: boolean
  readonly signal: AbortSignal
  /** Stop at exactly this position. */
  readonly until?: bigint
  /** Called with the position that it starts from (no records), then after each commit. */
  onPosition?(position: bigint, records: number): void
}

/** Rows of one transaction: enough to spread its cost, few enough to be folded between two turns of the event loop. */
const MAX_BATCH_RECORDS = 1000

/**
 * Feeds until the signal aborts or `until` is reached; resolves to the position then.
 * Throws PositionMovedError when another process writes this partition, RECORD_UNDECODABLE, and what Kafka and
 * PostgreSQL throw. Whatever it throws, calling it again goes on exactly where the tables are.
 */
export const feed = async (sources: FeedSources, key: FeedKey, options: FeedOptions): Promise<bigint> => {
  let position = await readPosition(sources.db, key)
  options.onPosition?.(position, 0)
  if (options.until !== undefined && position >= options.until) return position
  const stop = new AbortController()
  const signal = AbortSignal.any([options.signal, stop.signal])
  try {
    for await (const batch of sources.reader.tail(key.projection.reads.name, key.partition, position, signal)) {
      for (const slice of slices(batch.records, batch.nextOffset, options.until)) {
        const events = await decodeEvents(key.projection, slice.records, sources.decode)
        await commitBatch(sources.db, key, { from: position, to: slice.nextOffset, events }, options.notify)
        position = slice.nextOffset
        options.onPosition?.(position, slice.records.length)
      }
      if (position === options.until) break
    }
  } finally {
    stop.abort()
  }
  return position
}

interface Slice {
  readonly records: readonly LogRecord[]
  readonly nextOffset: bigint
}

/** The batch in pieces, none of them beyond `until`. A batch of markers only still moves the position. */
export const slices = (records: readonly LogRecord[], nextOffset: bigint, until?: bigint): Slice[] => {
  const end = until !== undefined && until < nextOffset ? until : nextOffset
  const wanted = records.filter(({ offset }) => offset < end)
  const pieces: Slice[] = []
  for (let at = 0; at < wanted.length; at += MAX_BATCH_RECORDS) {
    const following = wanted[at + MAX_BATCH_RECORDS]
    pieces.push({ records: wanted.slice(at, at + MAX_BATCH_RECORDS), nextOffset: following?.offset ?? end })
  }
  return pieces.length > 0 ? pieces : [{ records: [], nextOffset: end }]
}
