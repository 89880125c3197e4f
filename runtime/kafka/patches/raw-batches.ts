import { UpstreamError } from '../../../platform/errors.ts'
import type { FetchedBatch } from '../fetched-records.ts'
import type { KafkajsPatch } from './modules.ts'

interface Decoder {
  offset: number
  readonly buffer: Buffer
  readInt32(): number
  readBytes(size: number): Buffer
  canReadBytes(size: number): boolean
}
interface Compression {
  lookupCodecByAttributes(attributes: number): { decompress(bytes: Buffer): Promise<Buffer> } | null
}
export type DecodeMessages = (decoder: Decoder) => Promise<FetchedBatch[]>

/** First offset (int64) and length (int32): what stands in front of the bytes that the length counts. */
const LOG_OVERHEAD = 12
const HEADER_BYTES = 61
const LENGTH_AT = 8
const MAGIC_AT = 16
const ATTRIBUTES_AT = 21
const LAST_DELTA_AT = 23
const FIRST_TIMESTAMP_AT = 27
const MAX_TIMESTAMP_AT = 35
const PRODUCER_ID_AT = 43
const COUNT_AT = 57
const MAGIC_V2 = 2

/**
 * A fetch keeps the batches as they came; fetched-records.ts reads them. Stock makes an object with nine parts of each
 * record, its numbers by way of BigInt and text, before anybody knows whether the record is wanted: 28,000 records per
 * CPU second. And it loses what the batches say: that compaction has removed their last records (it then fetches the same
 * batch again for each removed offset, 5003 fetches instead of 13 for one topic, and stops for ever at a batch without
 * any: https://github.com/tulios/kafkajs/issues/562, /1072), and which transaction they belong to (it delivered 225–507 of
 * 1175 aborted records).
 */
export const rawBatches: KafkajsPatch = {
  name: 'raw-batches',
  apply: (modules) => {
    const compression = modules.load<Compression>('protocol/message/compression/index.js')
    const decode: DecodeMessages = async (decoder) => {
      const size = decoder.readInt32()
      if (size <= 0 || !decoder.canReadBytes(size)) return []
      return decodeBatches(decoder.readBytes(size), compression)
    }
    modules.replace('protocol/requests/fetch/v4/decodeMessages.js', decode)
  },
}

/** A fetch is cut at its byte limit, so its last batch may be incomplete: it comes whole with the next one. */
const decodeBatches = async (bytes: Buffer, compression: Compression): Promise<FetchedBatch[]> => {
  const batches: FetchedBatch[] = []
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const end = at + LOG_OVERHEAD + bytes.readInt32BE(at + LENGTH_AT)
    if (end > bytes.length) break
    if (bytes[at + MAGIC_AT] !== MAGIC_V2 || end < at + HEADER_BYTES) throw unreadable(bytes, at)
    const attributes = bytes.readInt16BE(at + ATTRIBUTES_AT)
    const firstOffset = Number(bytes.readBigInt64BE(at))
    const codec = compression.lookupCodecByAttributes(attributes)
    batches.push({
      firstOffset,
      nextOffset: firstOffset + bytes.readInt32BE(at + LAST_DELTA_AT) + 1,
      attributes,
      firstTimestampMs: Number(bytes.readBigInt64BE(at + FIRST_TIMESTAMP_AT)),
      maxTimestampMs: Number(bytes.readBigInt64BE(at + MAX_TIMESTAMP_AT)),
      producerId: bytes.readBigInt64BE(at + PRODUCER_ID_AT),
      count: bytes.readInt32BE(at + COUNT_AT),
      ...(codec === null
        ? { bytes: bytes.subarray(0, end), recordsAt: at + HEADER_BYTES }
        : { bytes: await codec.decompress(bytes.subarray(at + HEADER_BYTES, end)), recordsAt: 0 }),
    })
    at = end
  }
  return batches
}

const unreadable = (bytes: Buffer, at: number): UpstreamError =>
  new UpstreamError('BATCH_CORRUPT', `The batch at byte ${at} of a fetch is not of format 2`, {
    facts: { magic: bytes[at + MAGIC_AT] },
  })
