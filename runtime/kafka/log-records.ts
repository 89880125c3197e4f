/**
 * A record as the engine sees it, read from the log. Offsets of one partition ascend with gaps (transaction markers,
 * aborted records, compaction): never assume +1. `value` is a view of the fetched buffer: copy what is kept for long.
 * A fetched record is a view as a whole (fetched-records.ts), so spreading one copies nothing: name the fields.
 */
export interface LogRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  /** CreateTime or LogAppendTime, as the topic is configured. */
  readonly timestampMs: number
  /** UTF-8, or null. */
  readonly key: string | null
  /** null = tombstone. */
  readonly value: Buffer | null
  /** UTF-8; of a name that occurs twice the last value. */
  readonly headers: Readonly<Record<string, string>>
}

/** A record to be written. Without a partition the key decides (murmur2, as in every Kafka client). */
export interface OutputRecord {
  readonly topic: string
  readonly partition?: number
  readonly key: string
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Largest record that is accepted for writing, bytes: below the broker's default message.max.bytes of 1,048,588 with room
 * for the batch header, so that one record always fits.
 */
export const MAX_RECORD_BYTES = 900_000

/** Close upper bound of what a record takes on the wire, bytes. */
export const sizeOfRecord = ({ key, value, headers }: OutputRecord): number => {
  let bytes = RECORD_OVERHEAD + Buffer.byteLength(key) + (value?.length ?? 0)
  for (const name in headers)
    bytes += HEADER_OVERHEAD + Buffer.byteLength(name) + Buffer.byteLength(headers[name] ?? '')
  return bytes
}

/** The records in their order, in runs that each fit into one request. */
export const cutBySize = (records: readonly OutputRecord[]): { records: OutputRecord[]; sizeBytes: number }[] => {
  const runs: { records: OutputRecord[]; sizeBytes: number }[] = []
  for (const record of records) {
    const sizeBytes = sizeOfRecord(record)
    const run = runs.at(-1)
    if (run !== undefined && run.sizeBytes + sizeBytes <= MAX_RECORD_BYTES) {
      run.records.push(record)
      run.sizeBytes += sizeBytes
    } else {
      runs.push({ records: [record], sizeBytes })
    }
  }
  return runs
}

/** Length, attributes, timestamp and offset deltas, key and value lengths, header count: varints of at most 5 (10) bytes. */
const RECORD_OVERHEAD = 41
const HEADER_OVERHEAD = 10
