import { randomUUID } from 'node:crypto'
import type { Codec } from '../../runtime/codec/avro.ts'
import { envelopeHeaders } from '../../runtime/codec/envelope.ts'
import type { Kafka } from '../../runtime/kafka/client.ts'
import { createIdempotentProducer } from '../../runtime/kafka/idempotent-producer.ts'
import type { OutputRecord } from '../../runtime/kafka/log-records.ts'
import { AddedSchema } from './tally.ts'

/**
 * Somebody who writes inputs at a steady pace and remembers each one that was acknowledged. An input whose send failed is
 * not sent again: it may be in the log or not, and either is right.
 */
export interface Load {
  /** Inputs handed to the producer so far. */
  sent(): number
  /** Ends it; resolves to the acknowledged inputs when the last send is answered. */
  stop(): Promise<readonly AckedInput[]>
}

export interface AckedInput {
  readonly key: string
  readonly n: number
}

export interface LoadOptions {
  readonly kafka: Kafka
  readonly codec: Codec
  readonly topic: string
  readonly keys: number
  readonly perSecond: number
}

const TICK_MS = 20

export const startLoad = ({ kafka, codec, topic, keys, perSecond }: LoadOptions): Load => {
  const producer = createIdempotentProducer(kafka)
  const numbers = new Map<string, number>()
  const acked: AckedInput[] = []
  const pending = new Set<Promise<void>>()
  const startedAtMs = performance.now()
  let sent = 0

  const next = (): AckedInput => {
    const key = `key-${Math.floor(Math.random() * keys)}`
    const n = (numbers.get(key) ?? 0) + 1
    numbers.set(key, n)
    return { key, n }
  }
  const tick = (): void => {
    const due = Math.floor(((performance.now() - startedAtMs) * perSecond) / 1000) - sent
    if (due <= 0) return
    const inputs = Array.from({ length: due }, next)
    sent += due
    const answered = producer.send(inputs.map((input) => toRecord(input, topic, codec))).then(
      () => void acked.push(...inputs),
      () => undefined, // a send that failed promises nothing
    )
    pending.add(answered)
    void answered.finally(() => pending.delete(answered))
  }
  const timer = setInterval(tick, TICK_MS)

  return {
    sent: () => sent,
    async stop() {
      clearInterval(timer)
      await Promise.all(pending)
      await producer.close()
      return acked
    },
  }
}

const toRecord = ({ key, n }: AckedInput, topic: string, codec: Codec): OutputRecord => ({
  topic,
  key,
  value: codec.encode(AddedSchema, { n, amount: 1 + Math.floor(Math.random() * 1000) }),
  headers: envelopeHeaders({
    id: randomUUID(),
    type: AddedSchema.name,
    source: '/chaos',
    timeMs: Date.now(),
    causationId: null,
    traceparent: null,
  }),
})
