import t from 'tap'
import { UpstreamError } from '../platform/errors.ts'
import { exportNothing, type Span, type SpanExporter } from '../platform/span-exporter.ts'
import { traceparentOf } from '../platform/trace-context.ts'
import { createCodec } from '../runtime/codec/avro.ts'
import { memoryDirectory } from '../runtime/codec/schema-directory.ts'
import type { OutputRecord } from '../runtime/kafka/log-records.ts'
import { PartUploadedSchema } from '../schemas/generated.ts'
import { kafkaClaimProducer } from './kafka-claim-producer.ts'

const codec = createCodec(memoryDirectory())
const clock = { now: () => Date.UTC(2026, 0, 2) }
const part = { partNumber: 1, sizeBytes: 5, etag: 'e', checksum: 'c' }
const producing = (
  send: (records: readonly OutputRecord[]) => Promise<never[]>,
  timeoutMs?: number,
  spans: SpanExporter = exportNothing,
) =>
  kafkaClaimProducer({
    producer: { send, close: async () => {} },
    codec,
    clock,
    spans,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  })

t.test('a claim is a CloudEvent on video-intake, keyed by its video', async (t) => {
  const sent: OutputRecord[] = []
  const claims = producing(async (records) => {
    sent.push(...records)
    return []
  })
  t.same(await claims.claim('PartUploaded', 'v1', part, { id: 'c1' }), { claimId: 'c1' })
  const [record] = sent
  t.match(record, {
    topic: 'video-intake',
    key: 'v1',
    headers: {
      ce_specversion: '1.0',
      ce_id: 'c1',
      ce_type: 'reelstream.PartUploaded',
      ce_source: '/reelstream/gateway',
      ce_time: '2026-01-02T00:00:00.000Z',
    },
  })
  t.notOk(record?.partition, 'the key decides the partition')
  t.same(codec.decode(PartUploadedSchema, record?.value as Buffer), part)
})

t.test('what may or may not have been written is in doubt; what was not is not', async (t) => {
  const failing = (code: string) => () => Promise.reject(new UpstreamError(code, 'No.'))
  const claim = (producer: ReturnType<typeof producing>) => producer.claim('PartUploaded', 'v1', part, { id: 'c1' })
  await t.rejects(claim(producing(failing('SEND_FAILED'))), { code: 'CLAIM_DOUBTFUL', retryable: true })
  await t.rejects(claim(producing(() => new Promise(() => {}), 5)), { code: 'CLAIM_DOUBTFUL' }, 'a silent Kafka')
  await t.rejects(claim(producing(failing('RECORD_TOO_LARGE'))), { code: 'RECORD_TOO_LARGE' })
  await t.rejects(claim(producing(failing('SEND_QUEUE_FULL'))), { code: 'SEND_QUEUE_FULL', retryable: true })
})

t.test('each claim begins a trace, of which it is the first span', async (t) => {
  const sent: OutputRecord[] = []
  const spans: Span[] = []
  const exporter = { export: (span: Span) => void spans.push(span), close: async () => undefined }
  const keep = async (records: readonly OutputRecord[]) => {
    sent.push(...records)
    return []
  }
  for (const id of ['c1', 'c2']) await producing(keep, 100, exporter).claim('PartUploaded', 'v1', part, { id })
  const refused = () => Promise.reject(new UpstreamError('SEND_QUEUE_FULL', 'No.'))
  await t.rejects(producing(refused, 100, exporter).claim('PartUploaded', 'v1', part, { id: 'c3' }))
  t.match(spans, [
    { name: 'claim PartUploaded', kind: 'producer', parentSpanId: null, failure: null, attributes: { claimId: 'c1' } },
    { failure: null, attributes: { claimId: 'c2', videoId: 'v1' } },
    { failure: 'SEND_QUEUE_FULL', attributes: { claimId: 'c3' } },
  ])
  t.same(
    sent.map(({ headers }) => headers.traceparent),
    spans.slice(0, 2).map(({ context }) => traceparentOf(context)),
  )
  t.equal(new Set(spans.map(({ context }) => context.traceId)).size, 3)
})
