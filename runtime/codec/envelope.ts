import { isTraceparent } from '../../platform/trace-context.ts'

/**
 * CloudEvents 1.0 in Kafka's binary mode: the event is the value, what is said about it are headers named `ce_…`.
 * Readers route on `ce_type` before they decode anything. `causationid` and `traceparent` are extensions: the `ce_id` of
 * what caused the event, and the W3C trace context that goes on through it.
 * Sources: CloudEvents v1.0.2 and its Kafka protocol binding; www.w3.org/TR/trace-context.
 */
export interface Envelope {
  readonly id: string
  /** Full name of the record: `reelstream.UploadStarted`. */
  readonly type: string
  /** Who says it: a path of ours, or a URI of a producer. */
  readonly source: string
  readonly timeMs: number
  readonly causationId: string | null
  readonly traceparent: string | null
}

export const AVRO_CONTENT_TYPE = 'application/vnd.confluent.avro'

export const envelopeHeaders = (envelope: Envelope): Record<string, string> => {
  const headers: Record<string, string> = {
    // What is the same for many events in front: a batch writes it once (record-batch.ts).
    ce_specversion: '1.0',
    'content-type': AVRO_CONTENT_TYPE,
    ce_source: envelope.source,
    ce_type: envelope.type,
    ce_time: isoTime(envelope.timeMs),
    ce_id: envelope.id,
  }
  if (envelope.causationId !== null) headers.causationid = envelope.causationId
  if (envelope.traceparent !== null) headers.traceparent = envelope.traceparent
  return headers
}

let lastTimeMs = Number.NaN
let lastTime = ''

/** Events of one millisecond share their text: making it takes as long as encoding the event. */
const isoTime = (timeMs: number): string => {
  if (timeMs !== lastTimeMs) {
    lastTime = new Date(timeMs).toISOString()
    lastTimeMs = timeMs
  }
  return lastTime
}

/**
 * What the headers of a record say; foreign producers may leave any of it out. A traceparent that is not one counts as
 * left out: the standard wants a new trace then.
 */
export const parseEnvelope = (headers: Readonly<Record<string, string>>): Partial<Envelope> => {
  const timeMs = Date.parse(headers.ce_time ?? '')
  return {
    ...(headers.ce_id === undefined ? {} : { id: headers.ce_id }),
    ...(headers.ce_type === undefined ? {} : { type: headers.ce_type }),
    ...(headers.ce_source === undefined ? {} : { source: headers.ce_source }),
    ...(Number.isNaN(timeMs) ? {} : { timeMs }),
    causationId: headers.causationid ?? null,
    traceparent: isTraceparent(headers.traceparent ?? '') ? (headers.traceparent ?? null) : null,
  }
}
