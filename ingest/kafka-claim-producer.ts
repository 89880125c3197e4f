import type { Clock } from '../platform/clock.ts'
import { UpstreamError } from '../platform/errors.ts'
import type { Codec } from '../runtime/codec/avro.ts'
import { envelopeHeaders } from '../runtime/codec/envelope.ts'
import type { IdempotentProducer } from '../runtime/kafka/idempotent-producer.ts'
import type { OutputRecord } from '../runtime/kafka/log-records.ts'
import type { AvroSchema } from '../schemas/generated.ts'
import { videoIntake } from '../schemas/topics.ts'
import { hasCode } from '../storage/s3-errors.ts'
import { CLAIM_DOUBTFUL, type ClaimProducer } from './claim-producer.ts'

/** ClaimProducer on Kafka: Avro in the Confluent wire format, CloudEvents headers, key = videoId. */
export const kafkaClaimProducer = (options: {
  readonly producer: IdempotentProducer
  readonly codec: Codec
  readonly clock: Clock
  /** `ce_source`: who claims, for people and for what each producer may import. Default: the gateway. */
  readonly source?: string
  /** How long a caller waits, milliseconds. The producer itself goes on trying for longer. */
  readonly timeoutMs?: number
}): ClaimProducer => {
  const { producer, codec, clock, source = '/reelstream/gateway', timeoutMs = 8_000 } = options
  return {
    async claim(type, videoId, data, { id }) {
      // The map is exact per event; TypeScript does not follow it through a type parameter.
      const schema = videoIntake.events[type] as AvroSchema<typeof data>
      const headers = envelopeHeaders({
        id,
        type: schema.name,
        source,
        timeMs: clock.now(),
        causationId: null,
        traceparent: null,
      })
      await append(
        producer,
        { topic: videoIntake.name, key: videoId, value: codec.encode(schema, data), headers },
        timeoutMs,
      )
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
