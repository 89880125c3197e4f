import { describeError } from './errors.ts'
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

export interface SpanExporterSettings {
  /** Base URL of a collector that takes OTLP over HTTP; empty = spans are not exported. */
  readonly endpoint: string
  /** Which process it is: `service.name`. */
  readonly service: string
  readonly log: Logger
  /** How long a span waits for others at most, milliseconds. Default: 5 s, as OpenTelemetry has it. */
  readonly sendEveryMs?: number
}

export const exportNothing: SpanExporter = { export: () => undefined, close: async () => undefined }

/**
 * Observing must not harm what is observed: the collector may be slow, away or wrong, its URL may be none, and all that
 * comes of it is spans that are missing and one line of the log.
 *
 * OpenTelemetry is loaded here and not before: its two hundred modules take a tenth of a second, which a process that nobody
 * traces does not pay.
 */
export const openSpanExporter = async (settings: SpanExporterSettings): Promise<SpanExporter> => {
  if (settings.endpoint === '') return exportNothing
  try {
    const { createOtlpSpanExporter } = await import('./otlp-span-exporter.ts')
    return createOtlpSpanExporter(settings)
  } catch (error) {
    settings.log.warn({ detail: describeError(error) }, 'spans cannot be exported')
    return exportNothing
  }
}
