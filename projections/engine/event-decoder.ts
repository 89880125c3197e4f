import { BadInputError } from '../../platform/errors.ts'
import type { LogRecord } from '../../runtime/kafka/log-records.ts'
import type { AvroSchema } from '../../schemas/generated.ts'
import type { AnyEvent, Projection } from './projection.ts'

/** Bytes of the Confluent wire format to a value of the schema. May ask the registry for ids it does not know yet. */
export type DecodeValue = (schema: AvroSchema<unknown>, value: Buffer) => Promise<unknown>

/** ce_type is the full record name: the namespace, a dot, and the name that the topic lists. */
const NAMESPACE = 'reelstream.'

/**
 * The events of a fetched batch that the projection's topic declares. Others are skipped by their ce_type alone, so a
 * newer writer's events cost nothing and stop nobody. What is declared and cannot be decoded is an error that names the
 * record: flowing past a hole would make tables that no log explains.
 */
export const decodeEvents = async (
  projection: Projection,
  records: readonly LogRecord[],
  decode: DecodeValue,
): Promise<AnyEvent[]> => {
  const events: AnyEvent[] = []
  for (const record of records) {
    const type = record.headers.ce_type?.startsWith(NAMESPACE) ? record.headers.ce_type.slice(NAMESPACE.length) : ''
    const schema = Object.hasOwn(projection.reads.events, type) ? projection.reads.events[type] : undefined
    if (schema === undefined || record.value === null || record.key === null) continue
    const data = await decode(schema, record.value).catch((error: unknown) => {
      throw undecodable(record, type, error)
    })
    events.push(envelope(record, record.key, type, data))
  }
  return events
}

const envelope = (record: LogRecord, key: string, type: string, data: unknown): AnyEvent => ({
  type,
  data,
  key,
  topic: record.topic,
  partition: record.partition,
  offset: Number(record.offset),
  recordedAt: new Date(record.timestampMs).toISOString(),
  eventId: record.headers.ce_id ?? `${record.topic}/${record.partition}/${record.offset}`,
  causeId: record.headers.causationid ?? null,
})

const undecodable = ({ topic, partition, offset }: LogRecord, type: string, cause: unknown): BadInputError =>
  new BadInputError('RECORD_UNDECODABLE', `${topic}/${partition}/${offset} (${type}) cannot be decoded`, {
    cause,
    facts: { topic, partition, offset: Number(offset), type },
  })
