import { atMost } from './at-most.ts'
import { type Scheduler, systemClock } from './clock.ts'
import { describeError, UpstreamError } from './errors.ts'
import type { Logger } from './log.ts'
import type { TraceContext } from './trace-context.ts'

/** A piece of work that has ended, as part of a trace. */
export interface Span {
  readonly context: TraceContext
  /** Null: the trace begins with it. */
  readonly parentSpanId: string | null
  readonly name: string
  readonly kind: 'internal' | 'producer'
  readonly startedAtMs: number
  readonly durationMs: number
  /** Why it failed; null when it did not. */
  readonly failure: string | null
  /** Few and short: never a secret, never a signed URL. */
  readonly attributes: Readonly<Record<string, string | number>>
}

export interface SpanExporter {
  /** Takes note and returns; what cannot be sent is dropped. Spans of traces that nobody records are not sent. */
  export(span: Span): void
  /** Sends what is left, within half a second. Never throws. */
  close(): Promise<void>
}

export const exportNothing: SpanExporter = { export: () => undefined, close: async () => undefined }

interface Settings {
  /** Base URL of a collector that takes OTLP over HTTP; empty = spans are not exported. */
  readonly endpoint: string
  /** Which process it is: `service.name`. */
  readonly service: string
  readonly log: Logger
  readonly clock?: Scheduler
}

/** As OpenTelemetry's batch processor has them (OTEL_BSP_*). */
const SEND_EVERY_MS = 5_000
const BATCH_SPANS = 512
const QUEUE_SPANS = 2_048
const REQUEST_MS = 4_000
/** A process ends within 5 s (graceful-end.ts), most of which its work may take. */
const CLOSE_MS = 400
/** The collector is busy, or behind a proxy that cannot reach it: the same spans again later (OTLP, "Retryable responses"). */
const RETRYABLE: readonly number[] = [429, 502, 503, 504]

/**
 * Sends spans to a collector as OTLP/HTTP in JSON (opentelemetry.io/docs/specs/otlp). Observing must not harm what is
 * observed: a span costs an object in a queue of bounded length, the collector may be slow, away or wrong, and all that
 * comes of it is spans that are missing and one line of the log.
 */
export const createSpanExporter = ({ endpoint, service, log, clock = systemClock }: Settings): SpanExporter => {
  if (endpoint === '') return exportNothing
  const url = `${endpoint.replace(/\/+$/, '')}/v1/traces`
  const queue: Span[] = []
  let dropped = 0
  let sending: Promise<void> | null = null
  let cancelTimer: (() => void) | null = null
  let isFailing = false
  let isClosed = false
  let giveUp = (): void => undefined

  const post = async (spans: readonly Span[]): Promise<void> => {
    const controller = new AbortController()
    giveUp = () => controller.abort()
    const cancel = clock.after(REQUEST_MS, giveUp)
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(otlpOf(service, spans)),
        signal: controller.signal,
      })
      await response.body?.cancel()
      if (response.ok) return
      const retryable = RETRYABLE.includes(response.status)
      throw new UpstreamError('SPANS_REFUSED', `the collector answered ${response.status}`, { retryable })
    } finally {
      cancel()
    }
  }

  const send = async (): Promise<void> => {
    const batch = queue.slice(0, BATCH_SPANS)
    try {
      await post(batch)
      queue.splice(0, batch.length)
      if (isFailing) log.info({ dropped }, 'spans are exported again')
      isFailing = false
      dropped = 0
    } catch (error) {
      if (error instanceof UpstreamError && !error.retryable) dropped += queue.splice(0, batch.length).length
      if (!isFailing) log.warn({ detail: describeError(error) }, 'spans cannot be exported')
      isFailing = true
    }
  }

  const flush = (): Promise<void> => {
    cancelTimer?.()
    cancelTimer = null
    sending ??= send().finally(() => {
      sending = null
      if (queue.length > 0) sendLater()
    })
    return sending
  }

  const sendLater = (): void => {
    if (!isClosed) cancelTimer ??= clock.after(SEND_EVERY_MS, () => void flush())
  }

  const drain = async (): Promise<void> => {
    await sending
    while (queue.length > 0 && !isFailing && !isClosed) await flush()
  }

  return {
    export: (span) => {
      if (isClosed || (Number.parseInt(span.context.flags, 16) & RECORDED) === 0) return
      if (queue.length >= QUEUE_SPANS) {
        dropped += 1
        return
      }
      queue.push(span)
      if (queue.length >= BATCH_SPANS && !isFailing) void flush()
      else sendLater()
    },
    close: async () => {
      await atMost(clock, CLOSE_MS, drain())
      isClosed = true
      cancelTimer?.()
      giveUp()
    },
  }
}

/** Bit of the flags of a trace context. */
const RECORDED = 1
const KIND = { internal: 1, producer: 4 }
const FAILED = 2

const otlpOf = (service: string, spans: readonly Span[]): object => ({
  resourceSpans: [
    {
      resource: { attributes: attributesOf({ 'service.name': service, 'service.namespace': 'reelstream' }) },
      scopeSpans: [{ scope: { name: 'reelstream' }, spans: spans.map(otlpSpanOf) }],
    },
  ],
})

const otlpSpanOf = (span: Span): object => ({
  traceId: span.context.traceId,
  spanId: span.context.spanId,
  ...(span.parentSpanId === null ? {} : { parentSpanId: span.parentSpanId }),
  name: span.name,
  kind: KIND[span.kind],
  startTimeUnixNano: nanoseconds(span.startedAtMs),
  endTimeUnixNano: nanoseconds(span.startedAtMs + span.durationMs),
  attributes: attributesOf(span.attributes),
  ...(span.failure === null ? {} : { status: { code: FAILED, message: span.failure } }),
})

/** 64-bit numbers are text in the JSON of protobuf. */
const nanoseconds = (ms: number): string => `${Math.round(ms)}000000`

const attributesOf = (attributes: Span['attributes']): readonly object[] =>
  Object.entries(attributes).map(([key, value]) => ({
    key,
    value: typeof value === 'string' ? { stringValue: value } : { intValue: String(value) },
  }))
