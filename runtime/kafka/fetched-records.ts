import { UpstreamError } from '../../platform/errors.ts'
import type { LogRecord } from './log-records.ts'

/**
 * Reads what a fetch has brought: record batches (format v2, https://kafka.apache.org/documentation/#recordbatch) as
 * committed records.
 *
 * One pass notes where the parts of each record are; text, values and headers are made when somebody asks. Most records
 * are looked at for one header, and most of a restored changelog only for its key and value. A record so pins the bytes
 * of its fetch (at most some MB): copy what is kept for long.
 *
 * Offsets are numbers inside, exact up to 2^53, which a partition that gets a million records a second reaches in 285
 * years.
 */
export interface FetchedBatch {
  readonly firstOffset: number
  /** Where the fetch goes on; compaction removes records but keeps the range of their batch. */
  readonly nextOffset: number
  readonly attributes: number
  readonly firstTimestampMs: number
  readonly maxTimestampMs: number
  readonly producerId: bigint
  readonly count: number
  /** The records, decompressed, from `recordsAt` on. */
  readonly bytes: Buffer
  readonly recordsAt: number
}

/** A transaction that was aborted: what the producer wrote from this offset on, to its abort marker. */
export interface AbortedTransaction {
  readonly producerId: string | number | bigint
  readonly firstOffset: string | number | bigint
}

const LOG_APPEND_TIME = 8
const TRANSACTIONAL = 16
const CONTROL = 32
/** Type of a control record, behind its version: 0 = abort, 1 = commit (KIP-98). */
const ABORT_MARKER = 0

export interface RecordSource {
  readonly topic: string
  readonly partition: number
  readonly fromOffset: bigint
}

/**
 * The committed records at and after `fromOffset`, ascending, and where the next fetch goes on (`fromOffset` when the
 * fetch was empty). As the Java client does it: a transaction of the list counts from its first offset to the abort marker
 * of its producer, and nothing else ends it. Throws UpstreamError BATCH_CORRUPT (retryable: it may be the wire).
 */
export const committedRecords = (
  source: RecordSource,
  batches: readonly FetchedBatch[],
  abortedTransactions: readonly AbortedTransaction[] | null | undefined,
): { records: LogRecord[]; nextOffset: bigint } => {
  const isAborted = abortedTransactions?.length ? abortedFilter(abortedTransactions) : nothingAborted
  const from = Number(source.fromOffset)
  const records: LogRecord[] = []
  let next = from
  for (const batch of batches) {
    if (batch.nextOffset <= from) continue
    if (!isAborted(batch) && (batch.attributes & CONTROL) === 0) addRecords(records, source, batch, from)
    next = batch.nextOffset
  }
  return { records, nextOffset: BigInt(next) }
}

type BatchFilter = (batch: FetchedBatch) => boolean

const nothingAborted: BatchFilter = () => false

/** To be asked of every batch, in their order. */
const abortedFilter = (transactions: readonly AbortedTransaction[]): BatchFilter => {
  // The broker sorts by marker.
  const begins = transactions
    .map(({ producerId, firstOffset }) => ({ producerId: BigInt(producerId), firstOffset: Number(firstOffset) }))
    .sort((a, b) => a.firstOffset - b.firstOffset)
  const aborted = new Set<bigint>()
  let entered = 0
  return (batch) => {
    for (let begin = begins[entered]; begin && begin.firstOffset < batch.nextOffset; begin = begins[++entered]) {
      aborted.add(begin.producerId)
    }
    const { producerId } = batch
    if ((batch.attributes & CONTROL) !== 0 && isAbortMarker(batch)) aborted.delete(producerId)
    return (batch.attributes & TRANSACTIONAL) !== 0 && aborted.has(producerId)
  }
}

const isAbortMarker = (batch: FetchedBatch): boolean => {
  const cursor = new Cursor(batch.bytes, batch.recordsAt)
  cursor.varint() // length of the record
  cursor.at += 1
  cursor.varlong()
  cursor.varint()
  const keyBytes = cursor.varint()
  return keyBytes >= 4 && batch.bytes.readInt16BE(cursor.at + 2) === ABORT_MARKER
}

const addRecords = (records: LogRecord[], source: RecordSource, batch: FetchedBatch, from: number): void => {
  const { bytes, firstOffset } = batch
  const place = { source, batch }
  const cursor = new Cursor(bytes, batch.recordsAt)
  for (let n = 0; n < batch.count; n++) {
    const sizeBytes = cursor.varint()
    const end = cursor.at + sizeBytes
    if (sizeBytes < 0 || end > bytes.length) throw corrupt(source, batch)
    cursor.at += 1 // attributes: none are defined
    const laterMs = cursor.varlong()
    const offsetDelta = cursor.varint()
    if (firstOffset + offsetDelta >= from) records.push(new FetchedRecord(place, offsetDelta, laterMs, cursor.at))
    cursor.at = end
  }
}

const corrupt = ({ topic, partition }: RecordSource, { firstOffset }: FetchedBatch): UpstreamError =>
  new UpstreamError('BATCH_CORRUPT', `${topic}/${partition}: the batch at ${firstOffset} is not one`, {
    facts: { topic, partition, offset: firstOffset },
  })

/**
 * One header of a record, ASCII name. Of a fetched record it costs a tenth of making all of its `headers`, which is what
 * routing by `ce_type` would otherwise spend on each record that nobody wants.
 */
export const headerOf = (record: LogRecord, name: string): string | undefined =>
  record instanceof FetchedRecord ? record.header(name) : record.headers[name]

/** Its offset as a number, which is exact; a fetched record makes a BigInt of it when it is asked. */
export const offsetNumberOf = (record: LogRecord): number =>
  record instanceof FetchedRecord ? record.offsetNumber : Number(record.offset)

/** About how many bytes of memory a record holds on to: of a fetched one, its share of the batch that it is a view of. */
export const fetchedBytesOf = (record: LogRecord): number =>
  record instanceof FetchedRecord ? record.batchShareBytes : (record.value?.length ?? 0)

/** Where a record is from: shared by all of its batch. */
interface Place {
  readonly source: RecordSource
  readonly batch: FetchedBatch
}

/**
 * A record as a view of fetched bytes. Thousands wait to be folded, and the collector looks at each again and again: it
 * holds a few small numbers, and where key, value and headers are is read off when they are asked for.
 */
export class FetchedRecord implements LogRecord {
  readonly #place: Place
  readonly #offsetDelta: number
  /** Than the batch's first, ms. */
  readonly #laterMs: number
  /** Where the key begins. */
  readonly #at: number
  #key: string | null | undefined
  #value: Buffer | null | undefined
  #headers: Readonly<Record<string, string>> | undefined

  constructor(place: Place, offsetDelta: number, laterMs: number, at: number) {
    this.#place = place
    this.#offsetDelta = offsetDelta
    this.#laterMs = laterMs
    this.#at = at
  }

  get topic(): string {
    return this.#place.source.topic
  }

  get partition(): number {
    return this.#place.source.partition
  }

  get offset(): bigint {
    return BigInt(this.offsetNumber)
  }

  get offsetNumber(): number {
    return this.#place.batch.firstOffset + this.#offsetDelta
  }

  get batchShareBytes(): number {
    const { bytes, recordsAt, count } = this.#place.batch
    return Math.ceil((bytes.length - recordsAt) / count)
  }

  get timestampMs(): number {
    const { attributes, firstTimestampMs, maxTimestampMs } = this.#place.batch
    return (attributes & LOG_APPEND_TIME) === 0 ? firstTimestampMs + this.#laterMs : maxTimestampMs
  }

  get key(): string | null {
    if (this.#key === undefined) {
      const { bytes } = this.#place.batch
      const cursor = new Cursor(bytes, this.#at)
      const length = cursor.varint()
      this.#key = length < 0 ? null : bytes.toString('utf8', cursor.at, cursor.at + length)
    }
    return this.#key
  }

  get value(): Buffer | null {
    if (this.#value === undefined) {
      const { bytes } = this.#place.batch
      const cursor = new Cursor(bytes, this.#at)
      cursor.skip(cursor.varint())
      const length = cursor.varint()
      this.#value = length < 0 ? null : bytes.subarray(cursor.at, cursor.at + length)
    }
    return this.#value
  }

  get headers(): Readonly<Record<string, string>> {
    this.#headers ??= this.#allHeaders()
    return this.#headers
  }

  /** One header without making the others; `name` is ASCII. Of one that occurs twice the last value, as in `headers`. */
  header(name: string): string | undefined {
    const known = COMMON_NAMES.indexOf(name)
    if (known < 0) return this.headers[name]
    if (seen.record !== this) this.#noteHeaders()
    return seen.text(known, this.#place.batch.bytes)
  }

  #noteHeaders(): void {
    const { bytes } = this.#place.batch
    const cursor = this.#headersOf(bytes)
    seen.clear(this)
    for (let count = cursor.varint(); count > 0; count -= 1) {
      const nameBytes = cursor.varint()
      const known = commonNameAt(bytes, cursor.at, nameBytes)
      cursor.skip(nameBytes)
      const valueBytes = cursor.varint()
      if (known >= 0 && valueBytes >= 0) seen.note(known, cursor.at, valueBytes)
      cursor.skip(valueBytes)
    }
  }

  /** At the number of headers. */
  #headersOf(bytes: Buffer): Cursor {
    const cursor = new Cursor(bytes, this.#at)
    cursor.skip(cursor.varint())
    cursor.skip(cursor.varint())
    return cursor
  }

  /** Headers without a value (null) are passed over. */
  #allHeaders(): Readonly<Record<string, string>> {
    const { bytes } = this.#place.batch
    const cursor = this.#headersOf(bytes)
    const headers: Record<string, string> = {}
    for (let count = cursor.varint(); count > 0; count -= 1) {
      const nameBytes = cursor.varint()
      const nameAt = cursor.at
      const nameEnd = cursor.skip(nameBytes)
      const valueBytes = cursor.varint()
      const valueAt = cursor.at
      const valueEnd = cursor.skip(valueBytes)
      if (valueBytes >= 0) headers[nameIn(bytes, nameAt, nameEnd)] = bytes.toString('utf8', valueAt, valueEnd)
    }
    return headers
  }
}

/** Names that nearly every record has: they are not made anew for each. */
const COMMON_NAMES = [
  ...['ce_type', 'ce_id', 'traceparent', 'causationid', 'ce_source'],
  ...['ce_time', 'ce_specversion', 'content-type'],
] as const as readonly string[]

/** Which of them it is; -1 = another one. */
const commonNameAt = (bytes: Buffer, at: number, length: number): number => {
  for (let known = 0; known < COMMON_NAMES.length; known++) {
    const name = COMMON_NAMES[known] as string
    if (name.length === length && isText(bytes, at, name)) return known
  }
  return -1
}

const nameIn = (bytes: Buffer, from: number, end: number): string =>
  COMMON_NAMES[commonNameAt(bytes, from, end - from)] ?? bytes.toString('utf8', from, end)

const ABSENT = -1

/**
 * Where the common headers are in the record that was asked last. A record that is folded is asked for four of them, one
 * after the other, and most records of a partition say the same of themselves as the one before.
 */
class SeenHeaders {
  record: FetchedRecord | null = null
  readonly #from = COMMON_NAMES.map(() => ABSENT)
  readonly #bytes = COMMON_NAMES.map(() => 0)
  readonly #texts = COMMON_NAMES.map(() => '')

  clear(record: FetchedRecord): void {
    this.record = record
    for (let known = 0; known < this.#from.length; known++) this.#from[known] = ABSENT
  }

  note(known: number, from: number, bytes: number): void {
    this.#from[known] = from
    this.#bytes[known] = bytes
  }

  text(known: number, bytes: Buffer): string | undefined {
    const from = this.#from[known] as number
    if (from === ABSENT) return undefined
    const length = this.#bytes[known] as number
    const before = this.#texts[known] as string
    if (before.length === length && isText(bytes, from, before)) return before
    const text = bytes.toString('utf8', from, from + length)
    this.#texts[known] = text
    return text
  }
}

const seen = new SeenHeaders()

/** Compared from the end: ids that differ mostly do there. */
const isText = (bytes: Buffer, at: number, text: string): boolean => {
  for (let i = text.length - 1; i >= 0; i--) if (bytes[at + i] !== text.charCodeAt(i)) return false
  return true
}

/** Zigzag varints, one after the other. Past the end it reads zeros, so a broken batch ends in an error, not in a loop. */
class Cursor {
  at: number
  readonly #bytes: Buffer

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  varint(): number {
    let byte = this.#bytes[this.at++] ?? 0
    if (byte < 128) return (byte >>> 1) ^ -(byte & 1)
    let value = byte & 127
    for (let shift = 7; byte > 127 && shift < 35; shift += 7) {
      byte = this.#bytes[this.at++] ?? 0
      value |= (byte & 127) << shift
    }
    return (value >>> 1) ^ -(value & 1)
  }

  /** Exact up to 2^52, which is what differences of timestamps need. */
  varlong(): number {
    let byte = this.#bytes[this.at++] ?? 0
    if (byte < 128) return (byte >>> 1) ^ -(byte & 1)
    let value = byte & 127
    for (let scale = 128, n = 1; byte > 127 && n < 10; scale *= 128, n += 1) {
      byte = this.#bytes[this.at++] ?? 0
      value += (byte & 127) * scale
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  /** Passes over a field of this length (-1 = null, which takes nothing) and returns where it ended. */
  skip(bytes: number): number {
    if (bytes > 0) this.at += bytes
    return this.at
  }
}
