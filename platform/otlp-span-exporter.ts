import {
  type Context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { type ExportResult, ExportResultCode } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import {
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from '@opentelemetry/resources'
import { BatchSpanProcessor, type SpanExporter as SpanSender, TracerProvider } from '@opentelemetry/sdk-trace'
import { atMost } from './at-most.ts'
import { systemClock } from './clock.ts'
import { describeError } from './errors.ts'
import type { Logger } from './log.ts'
import type { Span, SpanExporter, SpanExporterSettings } from './span-exporter.ts'
import type { TraceContext } from './trace-context.ts'

/** As OpenTelemetry's batch processor has them. */
const SEND_EVERY_MS = 5_000
const BATCH_SPANS = 512
const QUEUE_SPANS = 2_048
/** A process ends within 5 s (graceful-end.ts), most of which its work may take. */
const CLOSE_MS = 400

/**
 * Spans on OpenTelemetry's SDK: it batches, sends as OTLP/HTTP in JSON, and sends again for ten seconds what a collector
 * was too busy or not there for. What it reads of the environment holds as well (headers, timeout, compression,
 * certificates, attributes of the resource).
 *
 * Two things are ours. The spans come ended and with their ids, for these are in the log already. And the losses are
 * counted and told here: the SDK tells them to a logger of its own, one line for each.
 *
 * @throws Error when the endpoint is no URL
 */
export const createOtlpSpanExporter = (settings: SpanExporterSettings): SpanExporter => {
  const { endpoint, service, log, sendEveryMs = SEND_EVERY_MS } = settings
  const deliveries = createDeliveries(log)
  const url = `${endpoint.replace(/\/+$/, '')}/v1/traces`
  const batches = new BatchSpanProcessor({
    exporter: watched(new OTLPTraceExporter({ url }), deliveries),
    scheduledDelayMillis: sendEveryMs,
    maxExportBatchSize: BATCH_SPANS,
    maxQueueSize: QUEUE_SPANS,
  })
  let ids = { traceId: '', spanId: '' }
  const provider = new TracerProvider({
    resource: resourceOf(service),
    idGenerator: { generateTraceId: () => ids.traceId, generateSpanId: () => ids.spanId },
    spanProcessors: [batches],
  })
  const tracer = provider.getTracer('reelstream')
  return {
    export: (span) => {
      if (!isRecorded(span.context) || !deliveries.take()) return
      ids = span.context
      record(tracer, span)
    },
    close: async () => {
      // Why it failed has been told with the batch that did.
      await atMost(
        systemClock,
        CLOSE_MS,
        provider.shutdown().catch(() => undefined),
      )
      deliveries.close()
    },
  }
}

/** How many spans are under way, and how many were lost: of what was taken everything is delivered or lost at some time. */
interface Deliveries {
  /** False: the span is not to be sent, there are too many already, or it is too late. */
  take(): boolean
  delivered(spans: number): void
  lost(spans: number, error: unknown): void
  close(): void
}

const createDeliveries = (log: Logger): Deliveries => {
  let open = 0
  let dropped = 0
  let isFailing = false
  let isClosed = false
  return {
    take: () => {
      if (isClosed) return false
      // The SDK's own bound leaves out what is being sent, and does not say what it drops.
      if (open >= QUEUE_SPANS) {
        dropped += 1
        return false
      }
      open += 1
      return true
    },
    delivered: (spans) => {
      open -= spans
      if (!isFailing || isClosed) return
      log.info({ dropped }, 'spans are exported again')
      isFailing = false
      dropped = 0
    },
    lost: (spans, error) => {
      open -= spans
      dropped += spans
      if (isFailing || isClosed) return
      log.warn({ detail: describeError(error) }, 'spans cannot be exported')
      isFailing = true
    },
    close: () => {
      isClosed = true
      if (dropped + open > 0) log.warn({ dropped: dropped + open }, 'spans were not exported')
    },
  }
}

const watched = (sender: SpanSender, deliveries: Deliveries): SpanSender => ({
  export: (spans, done: (result: ExportResult) => void) =>
    sender.export(spans, (result) => {
      if (result.code === ExportResultCode.SUCCESS) deliveries.delivered(spans.length)
      else deliveries.lost(spans.length, result.error)
      done(result)
    }),
  shutdown: () => sender.shutdown(),
})

/** What an operator says in OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME comes before what we say. */
const resourceOf = (service: string) =>
  resourceFromAttributes({ 'service.name': service, 'service.namespace': 'reelstream' }).merge(
    detectResources({ detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector] }),
  )

const isRecorded = ({ flags }: TraceContext): boolean => (Number.parseInt(flags, 16) & TraceFlags.SAMPLED) !== 0

const KIND = { internal: SpanKind.INTERNAL, producer: SpanKind.PRODUCER }

const record = (tracer: Tracer, span: Span): void => {
  const { name, startedAtMs, durationMs, failure, attributes } = span
  // A bare number may be taken for one of performance.now().
  const [startTime, endTime] = [new Date(startedAtMs), new Date(startedAtMs + durationMs)]
  const recorded = tracer.startSpan(name, { kind: KIND[span.kind], startTime, attributes }, parentOf(span))
  if (failure !== null) recorded.setStatus({ code: SpanStatusCode.ERROR, message: failure })
  recorded.end(endTime)
}

const parentOf = ({ context: { traceId }, parentSpanId }: Span): Context =>
  parentSpanId === null
    ? ROOT_CONTEXT
    : trace.setSpanContext(ROOT_CONTEXT, {
        traceId,
        spanId: parentSpanId,
        traceFlags: TraceFlags.SAMPLED,
        isRemote: true,
      })
