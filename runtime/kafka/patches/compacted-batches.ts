import type { KafkajsPatch } from './modules.ts'

const MAGIC_AT = 16
const MAGIC_V2 = 2
/** Smallest bytes of a record batch that are worth decoding; kafkajs' own value. */
const BATCH_OVERHEAD = 49

interface Decoder {
  offset: number
  readInt32(): number
  readBytes(size: number): Buffer
  canReadBytes(size: number): boolean
}

interface RecordBatch {
  readonly firstOffset: string
  readonly lastOffsetDelta: number
  readonly records: unknown[]
}

/** The records of one fetch, and the offset after the last complete batch, whether its records still exist or not. */
export type DecodedRecords = unknown[] & { nextOffset?: bigint }
export type DecodeMessages = (decoder: Decoder) => Promise<DecodedRecords>

interface Batch {
  readonly rawMessages: DecodedRecords
  readonly fetchedOffset: string
  isEmpty(): boolean
  isEmptyDueToFiltering(): boolean
  lastOffset(): string
}

/**
 * Compaction removes records but keeps a batch's offset range. Stock takes the last surviving record for the end of the
 * batch: it fetches the same batch again for each removed offset (5003 fetches instead of 13 for one topic), and stops for
 * ever at a batch with no survivor (https://github.com/tulios/kafkajs/issues/562, /1072). The range of the last complete
 * batch says where to go on.
 */
export const compactedBatches: KafkajsPatch = {
  name: 'compacted-batches',
  apply: (modules) => {
    const path = 'protocol/requests/fetch/v4/decodeMessages.js'
    const DecoderClass = modules.load<new (bytes: Buffer) => Decoder>('protocol/decoder.js')
    const decodeBatch = modules.load<(decoder: Decoder) => Promise<RecordBatch>>('protocol/recordBatch/v0/decoder.js')
    const stock = modules.load<DecodeMessages>(path)

    modules.replace(path, async (decoder: Decoder): Promise<DecodedRecords> => {
      const bytes = takeBatches(decoder)
      if (bytes === undefined) return stock(decoder)
      const batches = new DecoderClass(bytes)
      const records: DecodedRecords = []
      while (batches.canReadBytes(BATCH_OVERHEAD)) {
        const batch = await decodeBatch(batches).catch(undefinedWhenPartial)
        if (batch === undefined) break
        for (const record of batch.records) records.push(record)
        records.nextOffset = BigInt(batch.firstOffset) + BigInt(batch.lastOffsetDelta) + 1n
      }
      return records
    })
    advanceBatches(modules.load<{ prototype: Batch }>('consumer/batch.js').prototype)
  },
}

/** The bytes of the record batches, or undefined (and nothing consumed) for an empty or a pre-0.11 message set. */
const takeBatches = (decoder: Decoder): Buffer | undefined => {
  const start = decoder.offset
  const size = decoder.readInt32()
  const bytes = size > MAGIC_AT && decoder.canReadBytes(size) ? decoder.readBytes(size) : undefined
  if (bytes?.readInt8(MAGIC_AT) === MAGIC_V2) return bytes
  decoder.offset = start
  return undefined
}

/** A fetch is cut at its byte limit, so its last batch may be incomplete: it comes whole with the next one. */
const undefinedWhenPartial = (error: Error): undefined => {
  if (error.name !== 'KafkaJSPartialMessageError') throw error
  return undefined
}

const advanceBatches = (batch: Batch): void => {
  const stockLastOffset = batch.lastOffset
  const passes = ({ rawMessages, fetchedOffset }: Batch): boolean =>
    (rawMessages.nextOffset ?? 0n) > BigInt(fetchedOffset)
  batch.lastOffset = function (this: Batch): string {
    return passes(this) ? String((this.rawMessages.nextOffset ?? 0n) - 1n) : stockLastOffset.call(this)
  }
  batch.isEmptyDueToFiltering = function (this: Batch): boolean {
    return this.isEmpty() && (this.rawMessages.length > 0 || passes(this))
  }
}
