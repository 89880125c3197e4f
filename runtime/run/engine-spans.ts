import type { SpanExporter } from '../../platform/span-exporter.ts'
import type { EngineObserver } from './observer.ts'

/** What the observer is told, with runs of effects as spans of the traces that they belong to. */
export const withSpans = (observer: EngineObserver, spans: SpanExporter): EngineObserver => ({
  ...observer,
  ran: (run) => {
    observer.ran(run)
    if (run.span === null) return
    const { processor, effect, effectId, attempt, end, code, startedAtMs, durationMs } = run
    const { parentSpanId, ...context } = run.span
    spans.export({
      context,
      parentSpanId,
      name: `${processor}/${effect}`,
      kind: 'internal',
      startedAtMs,
      durationMs,
      failure: code,
      attributes: { processor, effect, effectId, attempt, end },
    })
  },
})
