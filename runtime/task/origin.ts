import { deriveId } from '../../platform/ids.ts'
import { isTraceparent } from '../../platform/trace-context.ts'
import { headerOf, offsetNumberOf } from '../kafka/fetched-records.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import type { Cause } from '../processor.ts'
import type { StepOrigin } from './step.ts'

/**
 * Where a step comes from. What a record says of itself is looked up when somebody asks: a handler that emits nothing, or
 * nothing with an envelope, needs none of it.
 */
export const originOf = (record: LogRecord, key: string, nowMs: number): StepOrigin =>
  new RecordOrigin(record, key, nowMs)

/** What an effect or a timer keeps of the step that asked for it. */
interface KeptCause {
  readonly causeId: string
  readonly traceparent: string | null
}

/** A step that no record caused directly. */
export const derivedOrigin = (
  key: string,
  identity: string,
  { causeId, traceparent }: KeptCause,
  nowMs: number,
): StepOrigin => ({
  key,
  nowMs,
  identity,
  traceparent,
  causeId,
  cause: { id: causeId, topic: '', partition: -1, offset: null, timestampMs: nowMs, causationId: null, source: null },
})

class RecordOrigin implements StepOrigin {
  readonly key: string
  readonly nowMs: number
  readonly #record: LogRecord
  #identity: string | null = null
  #causeId: string | null = null
  #cause: Cause | null = null

  constructor(record: LogRecord, key: string, nowMs: number) {
    this.#record = record
    this.key = key
    this.nowMs = nowMs
  }

  get identity(): string {
    this.#identity ??= identityOf(this.#record)
    return this.#identity
  }

  get cause(): Cause {
    this.#cause ??= this.#causeOf(this.#record)
    return this.#cause
  }

  get causeId(): string {
    this.#causeId ??= headerOf(this.#record, 'ce_id') ?? deriveId('record', this.identity)
    return this.#causeId
  }

  get traceparent(): string | null {
    const traceparent = headerOf(this.#record, 'traceparent')
    // What a foreign producer has garbled must not go on from fact to fact.
    return traceparent !== undefined && isTraceparent(traceparent) ? traceparent : null
  }

  #causeOf(record: LogRecord): Cause {
    const { topic, partition, offset, timestampMs } = record
    const causationId = headerOf(record, 'causationid') ?? null
    const source = headerOf(record, 'ce_source') ?? null
    return { id: this.causeId, topic, partition, offset, timestampMs, causationId, source }
  }
}

/** A topic that was deleted and made again starts at offset 0 again: the timestamp tells the two apart. */
const identityOf = (record: LogRecord): string =>
  `${record.topic}/${record.partition}/${offsetNumberOf(record)}@${record.timestampMs}`
