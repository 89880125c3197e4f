import type { FetchedBatch } from '../fetched-records.ts'
import { BatchBuilder, type BatchRecord } from '../record-batch.ts'

/** What a batch on a broker's disk says beyond its records. */
export interface BatchFacts {
  readonly firstOffset: number
  readonly records: readonly BatchRecord[]
  readonly producerId?: number
  readonly transactional?: boolean
  /** The batch is a transaction marker. */
  readonly control?: boolean
  readonly logAppendTimeMs?: number
}

const ATTRIBUTES_AT = 21
const MAX_TIMESTAMP_AT = 35
const RECORDS_AT = 61
const LOG_APPEND_TIME = 8
const CONTROL = 32

/** A batch as a broker would hand it out. */
export const batchBytes = ({ firstOffset, records, ...facts }: BatchFacts): Buffer => {
  const builder = new BatchBuilder()
  for (const record of records) builder.add(record, 0)
  const { producerId = -1, transactional = false, control = false, logAppendTimeMs } = facts
  const bytes = Buffer.from(builder.seal({ producerId, producerEpoch: 0, firstSequence: 0, transactional }))
  bytes.writeBigInt64BE(BigInt(firstOffset), 0)
  const attributes = bytes.readInt16BE(ATTRIBUTES_AT) | (control ? CONTROL : 0)
  bytes.writeInt16BE(attributes | (logAppendTimeMs === undefined ? 0 : LOG_APPEND_TIME), ATTRIBUTES_AT)
  if (logAppendTimeMs !== undefined) bytes.writeBigInt64BE(BigInt(logAppendTimeMs), MAX_TIMESTAMP_AT)
  return bytes
}

/** The marker by which the broker ends a transaction. */
export const markerBytes = (firstOffset: number, producerId: number, committed: boolean): Buffer => {
  const key = Buffer.from([0, 0, 0, committed ? 1 : 0])
  return batchBytes({ firstOffset, records: [{ key, value: '' }], producerId, transactional: true, control: true })
}

/** A batch without a transaction as a fetch brings it. */
export const fetchedBatch = (firstOffset: number, records: readonly BatchRecord[]): FetchedBatch => ({
  firstOffset,
  nextOffset: firstOffset + records.length,
  attributes: 0,
  firstTimestampMs: Number(records[0]?.timestamp ?? 0),
  maxTimestampMs: Math.max(...records.map(({ timestamp }) => Number(timestamp ?? 0))),
  producerId: -1n,
  count: records.length,
  bytes: batchBytes({ firstOffset, records }),
  recordsAt: RECORDS_AT,
})
