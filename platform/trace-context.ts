import { randomBytes } from 'node:crypto'

/**
 * W3C trace context (www.w3.org/TR/trace-context): which trace a piece of work belongs to, and which span of it was the
 * cause. It travels as the header `traceparent`, over HTTP and from event to event.
 */
export interface TraceContext {
  /** 32 hex digits. */
  readonly traceId: string
  /** 16 hex digits: of the span that what carries this was caused by. */
  readonly spanId: string
  /** 2 hex digits; 01: somebody records it. */
  readonly flags: string
}

/** Any version; all zeros is no id. */
const TRACEPARENT = /^[\da-f]{2}-((?!0{32})[\da-f]{32})-((?!0{16})[\da-f]{16})-([\da-f]{2})$/

/** Null: there is none, or it is not one, which counts as none: the standard wants a new trace then. */
export const parseTraceparent = (text: string | null | undefined): TraceContext | null => {
  const [, traceId, spanId, flags] = (text && TRACEPARENT.exec(text)) || []
  return traceId === undefined || spanId === undefined || flags === undefined ? null : { traceId, spanId, flags }
}

export const isTraceparent = (text: string): boolean => TRACEPARENT.test(text)

export const traceparentOf = ({ traceId, spanId, flags }: TraceContext): string => `00-${traceId}-${spanId}-${flags}`

/** The first span of a trace that is recorded. */
export const newTrace = (): TraceContext => ({
  traceId: randomBytes(16).toString('hex'),
  spanId: randomBytes(8).toString('hex'),
  flags: '01',
})
