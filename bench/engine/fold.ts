import { type AvroSchema, type Codec, createCodec } from '../../runtime/codec/avro.ts'
import { envelopeHeaders } from '../../runtime/codec/envelope.ts'
import { createDirectory } from '../../runtime/codec/schema-directory.ts'
import type { OutputRecord } from '../../runtime/kafka/log-records.ts'
import { defineProcessor, from, type Processor, type TopicRef, to } from '../../runtime/processor.ts'
import { ENGINE_SCHEMAS } from '../../runtime/state/schemas.ts'

/**
 * What the engine is measured with: bytes served are counted per video. Each input changes one value of state (one
 * changelog record) and makes one output; java/StreamsFold.java is the same fold, byte for byte.
 */
export interface SegmentServed {
  readonly id: string
  readonly videoId: string
  readonly seq: number
  readonly atMs: number
  readonly kind: string
  readonly bytes: number
  readonly note: string
}
interface Traffic {
  readonly videoId: string
  readonly count: number
  readonly bytes: number
  readonly lastSeq: number
}
interface TrafficCounted {
  readonly id: string
  readonly videoId: string
  readonly count: number
  readonly atMs: number
  readonly kind: string
  readonly bytes: number
  readonly note: string
}

const record = <T>(name: string, fields: Readonly<Record<keyof T & string, 'string' | 'long'>>): AvroSchema<T> => ({
  name: `bench.${name}`,
  schema: JSON.stringify({
    type: 'record',
    name,
    namespace: 'bench',
    fields: Object.entries(fields).map(([field, type]) => ({ name: field, type })),
  }),
})

const SegmentServedSchema = record<SegmentServed>('SegmentServed', {
  id: 'string',
  videoId: 'string',
  seq: 'long',
  atMs: 'long',
  kind: 'string',
  bytes: 'long',
  note: 'string',
})
export const TrafficSchema = record<Traffic>('Traffic', {
  videoId: 'string',
  count: 'long',
  bytes: 'long',
  lastSeq: 'long',
})
const TrafficCountedSchema = record<TrafficCounted>('TrafficCounted', {
  id: 'string',
  videoId: 'string',
  count: 'long',
  atMs: 'long',
  kind: 'string',
  bytes: 'long',
  note: 'string',
})

/** Their ids are their places in the list, from 1: the Java side knows the first three by them. */
const SCHEMAS: readonly AvroSchema<unknown>[] = [
  SegmentServedSchema,
  TrafficSchema,
  TrafficCountedSchema,
  ...ENGINE_SCHEMAS,
]

/** The schemas that the Java side is given, one a line. */
export const javaSchemas = (): string =>
  SCHEMAS.slice(0, 3)
    .map(({ schema }) => `${schema}\n`)
    .join('')

export const foldCodec = (): Codec => {
  const directory = createDirectory((id) => Promise.reject(new RangeError(`there is no schema ${id}`)))
  for (const [index, { schema }] of SCHEMAS.entries()) directory.add(index + 1, schema)
  return createCodec(directory)
}

/** Both sides stamp what they write with this time, so that their outputs can be equal to the byte. */
export const CLOCK_MS = Date.UTC(2026, 0, 1)

export interface FoldNames {
  /** Consumer group and prefix of the changelog. */
  readonly name: string
  readonly input: string
  readonly output: string
  /** CloudEvents headers on what is written, or none. */
  readonly envelope: boolean
}

export const foldProcessor = ({ name, input, output, envelope }: FoldNames): Processor => {
  const topic = (topicName: string, events: TopicRef['events']): TopicRef => ({
    name: topicName,
    partitions: 'bench',
    events,
    envelope: envelope ? 'cloudevents' : 'none',
  })
  return defineProcessor(
    {
      name,
      reads: [from(topic(input, { SegmentServed: SegmentServedSchema }), ['SegmentServed'])],
      writes: [to(topic(output, { TrafficCounted: TrafficCountedSchema }), ['TrafficCounted'])],
      state: { traffic: TrafficSchema },
    },
    {
      on: {
        [input]: {
          SegmentServed: (ctx, event) => {
            const { id, seq, atMs, bytes, note } = event as SegmentServed
            const before = ctx.state.traffic.get()
            const traffic = {
              videoId: ctx.key,
              count: (before?.count ?? 0) + 1,
              bytes: (before?.bytes ?? 0) + bytes,
              lastSeq: seq,
            }
            ctx.state.traffic.put(traffic)
            const { videoId, count } = traffic
            ctx.emit.TrafficCounted?.({ id, videoId, count, atMs, kind: 'counted', bytes: traffic.bytes, note })
          },
        },
      },
    },
  )
}

/** Input n of a run: about 130 bytes of Avro; `keys` inputs in succession have different keys. */
export const sampleInput = (codec: Codec, topic: string, n: number, keys: number, envelope: boolean): OutputRecord => {
  const event: SegmentServed = {
    id: `served-${String(n).padStart(24, '0')}`,
    videoId: `video-${(n * 7919) % keys}`,
    seq: n,
    atMs: 1_700_000_000_000 + n,
    kind: 'segment-served',
    bytes: n % 5000,
    note: 'x'.repeat(40),
  }
  const { id, atMs: timeMs, videoId: key } = event
  const said = { id, type: SegmentServedSchema.name, source: '/edge', timeMs, causationId: null, traceparent: null }
  return {
    topic,
    key,
    value: codec.encode(SegmentServedSchema, event),
    headers: envelope ? envelopeHeaders(said) : {},
  }
}
