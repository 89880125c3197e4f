import type { Clock } from '../platform/clock.ts'
import { ReelstreamError, UpstreamError } from '../platform/errors.ts'
import { exportNothing, type SpanExporter } from '../platform/span-exporter.ts'
import { newTrace, traceparentOf } from '../platform/trace-context.ts'
import type { Codec } from '../runtime/codec/avro.ts'
import { envelopeHeaders } from '../runtime/codec/envelope.ts'
import type { IdempotentProducer } from '../runtime/kafka/idempotent-producer.ts'
import type { OutputRecord } from '../runtime/kafka/log-records.ts'
import type { AvroSchema } from '../schemas/generated.ts'
import { videoIntake } from '../schemas/topics.ts'
import { hasCode } from '../storage/s3-errors.ts'
import { CLAIM_DOUBTFUL, type ClaimProducer } from './claim-producer.ts'

/**
 * ClaimProducer on Kafka: Avro in the Confluent wire format, CloudEvents headers, key = videoId.
 *
 * Each claim begins a trace, which goes on through every fact and effect that comes of it. What a client says of a trace of
 * its own is not taken over: it is from outside, and would be in the log for ever.
 */
export const kafkaClaimProducer = (options: {
  readonly producer: IdempotentProducer
  readonly codec: Codec
  readonly clock: Clock
  /** `ce_source`: who claims, for people and for what each producer may import. Default: the gateway. */
  readonly source?: string
  /** How long a caller waits, milliseconds. The producer itself goes on trying for longer. */
  readonly timeoutMs?: number
  /** Takes the first span of each trace. Default: nobody does. */
  readonly spans?: SpanExporter
}): ClaimProducer => {
  const { producer, codec, clock, source = '/reelstream/gateway', timeoutMs = 8_000, spans = exportNothing } = options
  return {
    async claim(type, videoId, data, { id }) {
      // The map is exact per event; TypeScript does not follow it through a type parameter.
      const schema = videoIntake.events[type] as AvroSchema<typeof data>
      const trace = newTrace()
      const startedAtMs = clock.now()
      const headers = envelopeHeaders({
        id,
        type: schema.name,
        source,
        timeMs: startedAtMs,
        causationId: null,
        traceparent: traceparentOf(trace),
      })
      const ended = (failure: string | null): void =>
        spans.export({
          context: trace,
          parentSpanId: null,
          name: `claim ${type}`,
          kind: 'producer',
          startedAtMs,
          durationMs: clock.now() - startedAtMs,
          failure,
          attributes: { source, claimId: id, videoId },
        })
      const record = { topic: videoIntake.name, key: videoId, value: codec.encode(schema, data), headers }
      try {
        await append(producer, record, timeoutMs)
      } catch (error) {
        ended(error instanceof ReelstreamError ? error.code : 'UNEXPECTED')
        throw error
      }
      ended(null)
      return { claimId: id }
    },
  }
}

const append = async (producer: IdempotentProducer, record: OutputRecord, timeoutMs: number): Promise<void> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(doubtful('Kafka is silent.')), timeoutMs)
  })
  try {
    await Promise.race([producer.send([record]), late])
  } catch (error) {
    throw hasCode(error, 'SEND_FAILED') ? doubtful('Kafka cannot be reached.', error) : error
  } finally {
    clearTimeout(timer)
  }
}

const doubtful = (why: string, cause?: unknown): UpstreamError =>
  new UpstreamError(CLAIM_DOUBTFUL, `${why} Repeat the request: a repetition is recognised.`, { cause })
