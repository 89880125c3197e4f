import { BugError } from '../../platform/errors.ts'
import { crc32c } from './crc32c.ts'
import { MAX_RECORD_BYTES } from './log-records.ts'

/**
 * Records on their way to one partition, written as they come into the bytes that go over the wire.
 *
 * A record batch (format v2, https://kafka.apache.org/documentation/#recordbatch) is a header of 61 bytes and the records;
 * everything that is known only when a request is made (producer id, epoch, sequence number, checksum) is in the header. So
 * records are appended to one growing buffer, and `seal` fills the header in: again for each attempt, since an attempt that
 * failed gives its sequence numbers back and the next one may get others. kafkajs makes an object per record, an encoder
 * per record and header, and copies all of it three times: 28,000 records per CPU second against 250,000.
 *
 * A builder stands where kafkajs has an array of messages: it has their `length`, by which sequence numbers are counted. A
 * stock encoder that gets one would write a single empty record and be believed; what it touches first throws here.
 */
export interface BatchRecord {
  readonly key?: string | Buffer | null | undefined
  readonly value?: string | Buffer | null | undefined
  readonly headers?: Readonly<Record<string, HeaderValue | readonly HeaderValue[] | undefined>>
  /** Milliseconds; default: the time given to `add`. */
  readonly timestamp?: string
}
type HeaderValue = string | Buffer

/** Whose batch it is, as the broker knows it; -1 and 0 when nobody's. */
export interface BatchOwner {
  readonly producerId: number | bigint | string
  readonly producerEpoch: number
  readonly firstSequence: number
  readonly transactional: boolean
}

const HEADER_BYTES = 61
const BATCH_LENGTH_AT = 8
const LEADER_EPOCH_AT = 12
const MAGIC_AT = 16
const CRC_AT = 17
const ATTRIBUTES_AT = 21
const LAST_DELTA_AT = 23
const FIRST_TIMESTAMP_AT = 27
const MAX_TIMESTAMP_AT = 35
const PRODUCER_ID_AT = 43
const PRODUCER_EPOCH_AT = 51
const FIRST_SEQUENCE_AT = 53
const COUNT_AT = 57
const MAGIC = 2
const TRANSACTIONAL = 16
/** A varint of 32 bits takes at most this. */
const VARINT_BYTES = 5
const VARLONG_BYTES = 10
/** Kept in front of a record for its length, which is known only behind it. */
const LENGTH_BYTES = 2
/** Kept in front of its headers for their count. */
const COUNT_BYTES = 1
/** What is taken for the records of one request (log-records.ts) is one batch; the broker's default limit is 1,048,588. */
export const MAX_BATCH_BYTES = MAX_RECORD_BYTES + HEADER_BYTES
const FIRST_BYTES = 4096
/** Fresh memory costs as much as what is written to it: some grown buffers are kept. */
const MOST_SPARE = 4
const spare: Buffer[] = []
const NO_BYTES = Buffer.alloc(0)
/** Up to here a loop over the characters is faster than a call into the runtime. */
const SHORT_TEXT = 48
const LONGEST_UTF8 = 3

export class BatchBuilder {
  #bytes: Buffer
  #end = HEADER_BYTES
  #length = 0
  #firstTimestampMs = 0
  #maxTimestampMs = 0
  /**
   * The headers of the record that was added last, where they begin and where each ends. Most headers of an envelope are
   * the same from record to record: what is repeated is copied as a whole.
   */
  readonly #before = { at: 0, names: [] as string[], values: [] as unknown[], ends: [] as number[] }

  constructor() {
    this.#bytes = spare.pop() ?? Buffer.allocUnsafeSlow(FIRST_BYTES)
  }

  /** Records in it. */
  get length(): number {
    return this.#length
  }

  /** What it takes on the wire. */
  get sizeBytes(): number {
    return this.#end
  }

  /** What a stock encoder does first with what it takes for messages. */
  map(): never {
    throw new BugError('BATCH_MISROUTED', 'A record batch has reached an encoder that takes messages one by one')
  }

  /**
   * Appends a record; without a timestamp of its own it gets `nowMs`. False, and nothing appended, when it would make the
   * batch too large. The first one always fits: what fits into no batch was refused where it was made.
   */
  add(record: BatchRecord, nowMs: number): boolean {
    const timestampMs = record.timestamp === undefined ? nowMs : Number(record.timestamp)
    const from = this.#end
    if (this.#length === 0) this.#firstTimestampMs = timestampMs
    this.#reserve(LENGTH_BYTES + 1 + VARLONG_BYTES + VARINT_BYTES)
    this.#end += LENGTH_BYTES
    this.#bytes[this.#end++] = 0 // attributes of the record: none are defined
    this.#varlong(timestampMs - this.#firstTimestampMs)
    this.#varint(this.#length)
    this.#field(record.key)
    this.#field(record.value)
    this.#headers(record.headers)
    this.#closeRecord(from)
    if (this.#end > MAX_BATCH_BYTES && this.#length > 0) {
      this.#end = from
      this.#before.names.length = 0
      return false
    }
    if (this.#length === 0 || timestampMs > this.#maxTimestampMs) this.#maxTimestampMs = timestampMs
    this.#length += 1
    return true
  }

  /** The batch as this producer's, with its checksum: a view that the next `add` or `seal` changes. */
  seal({ producerId, producerEpoch, firstSequence, transactional }: BatchOwner): Buffer {
    const bytes = this.#bytes
    bytes.writeBigInt64BE(0n, 0)
    bytes.writeInt32BE(this.#end - LEADER_EPOCH_AT, BATCH_LENGTH_AT)
    bytes.writeInt32BE(0, LEADER_EPOCH_AT)
    bytes[MAGIC_AT] = MAGIC
    bytes.writeInt16BE(transactional ? TRANSACTIONAL : 0, ATTRIBUTES_AT)
    bytes.writeInt32BE(this.#length - 1, LAST_DELTA_AT)
    bytes.writeBigInt64BE(BigInt(this.#firstTimestampMs), FIRST_TIMESTAMP_AT)
    bytes.writeBigInt64BE(BigInt(this.#maxTimestampMs), MAX_TIMESTAMP_AT)
    bytes.writeBigInt64BE(BigInt(producerId), PRODUCER_ID_AT)
    bytes.writeInt16BE(producerEpoch, PRODUCER_EPOCH_AT)
    bytes.writeInt32BE(firstSequence, FIRST_SEQUENCE_AT)
    bytes.writeInt32BE(this.#length, COUNT_AT)
    bytes.writeUInt32BE(crc32c(bytes, ATTRIBUTES_AT, this.#end), CRC_AT)
    return bytes.subarray(0, this.#end)
  }

  /** Gives the bytes to a later batch, once nobody looks at what was sealed. This one is empty then. */
  release(): void {
    if (spare.length < MOST_SPARE) spare.push(this.#bytes)
    this.#bytes = NO_BYTES
    this.#end = HEADER_BYTES
    this.#length = 0
  }

  /** Writes the length in front of the record; the body moves when it needs other than the bytes that were kept. */
  #closeRecord(from: number): void {
    const bodyAt = from + LENGTH_BYTES
    const bodyBytes = this.#end - bodyAt
    const wanted = varintBytes(bodyBytes)
    if (wanted !== LENGTH_BYTES) {
      if (wanted > LENGTH_BYTES) this.#reserve(wanted - LENGTH_BYTES)
      this.#bytes.copyWithin(from + wanted, bodyAt, bodyAt + bodyBytes)
      this.#before.names.length = 0
    }
    this.#end = from
    this.#varint(bodyBytes)
    this.#end += bodyBytes
  }

  /** Key, value or header value, with its length in front; null has the length -1. */
  #field(field: HeaderValue | null | undefined): void {
    if (typeof field === 'string') return this.#text(field)
    if (field === null || field === undefined) {
      this.#reserve(1)
      this.#bytes[this.#end++] = 1
      return
    }
    this.#reserve(VARINT_BYTES + field.length)
    this.#varint(field.length)
    this.#bytes.set(field, this.#end)
    this.#end += field.length
  }

  #text(text: string): void {
    const { length } = text
    this.#reserve(VARINT_BYTES + length * LONGEST_UTF8)
    if (length < SHORT_TEXT && this.#shortAscii(text)) return
    this.#varint(Buffer.byteLength(text))
    this.#end += this.#bytes.write(text, this.#end)
  }

  /** False, and nothing written, when a character is not ASCII. The length of such a text takes one byte. */
  #shortAscii(text: string): boolean {
    const bytes = this.#bytes
    const at = this.#end + 1
    const { length } = text
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i)
      if (code > 127) return false
      bytes[at + i] = code
    }
    bytes[this.#end] = length << 1
    this.#end = at + length
    return true
  }

  #headers(headers: BatchRecord['headers']): void {
    this.#reserve(VARINT_BYTES)
    if (headers === undefined) {
      this.#bytes[this.#end++] = 0
      return
    }
    const from = this.#end
    const before = this.#before
    let count = 0
    let n = 0
    let repeats = true
    this.#end += COUNT_BYTES
    for (const name in headers) {
      const value = headers[name]
      if (repeats && (before.names[n] !== name || before.values[n] !== value || typeof value !== 'string')) {
        repeats = false
        this.#repeat(n)
      }
      if (!repeats) this.#header(n, name, value)
      count += Array.isArray(value) ? value.length : value === undefined ? 0 : 1
      n += 1
    }
    if (repeats) this.#repeat(n)
    before.names.length = n
    this.#closeHeaders(from, count)
  }

  /** Writes the count in front of the headers. */
  #closeHeaders(from: number, count: number): void {
    const bytes = this.#end - from - COUNT_BYTES
    const wanted = varintBytes(count)
    if (wanted > COUNT_BYTES) {
      this.#reserve(VARINT_BYTES)
      this.#bytes.copyWithin(from + wanted, from + COUNT_BYTES, from + COUNT_BYTES + bytes)
      this.#before.names.length = 0
    }
    this.#end = from
    this.#varint(count)
    this.#end += bytes
  }

  /** Copies the first headers of the record before; the others follow. */
  #repeat(count: number): void {
    const { ends } = this.#before
    const from = this.#before.at
    this.#before.at = this.#end
    if (count === 0) return
    const bytes = (ends[count - 1] ?? from) - from
    this.#reserve(bytes)
    this.#bytes.copyWithin(this.#end, from, from + bytes)
    for (let n = 0; n < count; n++) ends[n] = (ends[n] ?? 0) + this.#end - from
    this.#end += bytes
  }

  #header(n: number, name: string, value: HeaderValue | readonly HeaderValue[] | undefined): void {
    if (typeof value === 'string' || Buffer.isBuffer(value)) {
      this.#text(name)
      this.#field(value)
    } else {
      for (const one of value ?? []) {
        this.#text(name)
        this.#field(one)
      }
    }
    const { names, values: before, ends } = this.#before
    names[n] = name
    before[n] = value
    ends[n] = this.#end
  }

  #varint(value: number): void {
    const bytes = this.#bytes
    let rest = (value << 1) ^ (value >> 31)
    while (rest & ~127) {
      bytes[this.#end++] = (rest & 127) | 128
      rest >>>= 7
    }
    bytes[this.#end++] = rest
  }

  #varlong(value: number): void {
    if (value >= -(2 ** 30) && value < 2 ** 30) return this.#varint(value)
    let rest = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n))
    for (; rest > 127n; rest >>= 7n) this.#bytes[this.#end++] = Number(rest & 127n) | 128
    this.#bytes[this.#end++] = Number(rest)
  }

  #reserve(bytes: number): void {
    const wanted = this.#end + bytes
    if (wanted <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, this.#bytes.length * 2))
    this.#bytes.copy(larger, 0, 0, this.#end)
    this.#bytes = larger
  }
}

/** Bytes of the zigzag varint of a length. */
const varintBytes = (length: number): number => {
  let bytes = 1
  for (let rest = length >>> 6; rest > 0; rest >>>= 7) bytes += 1
  return bytes
}
