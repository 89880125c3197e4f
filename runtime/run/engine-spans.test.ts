import t from 'tap'
import type { Span } from '../../platform/span-exporter.ts'
import { withSpans } from './engine-spans.ts'
import { type EndedRun, unobserved } from './observer.ts'

const RUN: EndedRun = {
  processor: 'probe-source',
  effect: 'probe',
  effectId: 'e-1',
  attempt: 2,
  end: 'failed',
  code: 'S3_UNAVAILABLE',
  startedAtMs: 1_000,
  durationMs: 50,
  span: { traceId: 't'.repeat(32), spanId: 's'.repeat(16), flags: '01', parentSpanId: 'p'.repeat(16) },
}

t.test('a run of a trace is told as a span, any run to the observer', async (t) => {
  const spans: Span[] = []
  const ran: EndedRun[] = []
  const observer = withSpans(
    { ...unobserved, ran: (run) => void ran.push(run) },
    { export: (span) => void spans.push(span), close: async () => undefined },
  )
  const untraced = { ...RUN, span: null }
  observer.ran(RUN)
  observer.ran(untraced)
  t.same(ran, [RUN, untraced])
  t.same(spans, [
    {
      context: { traceId: 't'.repeat(32), spanId: 's'.repeat(16), flags: '01' },
      parentSpanId: 'p'.repeat(16),
      name: 'probe-source/probe',
      kind: 'internal',
      startedAtMs: 1_000,
      durationMs: 50,
      failure: 'S3_UNAVAILABLE',
      attributes: { processor: 'probe-source', effect: 'probe', effectId: 'e-1', attempt: 2, end: 'failed' },
    },
  ])
})
