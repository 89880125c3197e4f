import { silentLogger } from '../../platform/log.ts'
import { openSession } from '../../runtime/run/session.ts'
import { videoEvents } from '../../schemas/topics.ts'
import type { RunFile } from './product.ts'

/** A fact of video-events, decoded. */
export interface Fact {
  readonly videoId: string
  readonly type: string
  readonly id: string
  readonly causationId: string | null
  readonly data: Record<string, unknown>
}

/** Every fact on video-events, partition by partition, as a reader with read_committed sees them. */
export const readFacts = async (run: Pick<RunFile, 'kafkaBrokers' | 'schemaRegistryUrl'>): Promise<readonly Fact[]> => {
  const session = await openSession({
    brokers: run.kafkaBrokers.split(','),
    registryUrl: run.schemaRegistryUrl,
    clientId: 'test-facts',
    log: silentLogger,
  })
  const schemas = new Map(Object.entries(videoEvents.events).map(([type, schema]) => [schema.name, { type, schema }]))
  const facts: Fact[] = []
  try {
    const partitions = await session.kafka.admin()
    await partitions.connect()
    const offsets = await partitions.fetchTopicOffsets(videoEvents.name)
    await partitions.disconnect()
    for (const { partition } of offsets) {
      await session.reader.readToEnd(videoEvents.name, partition, 0n, (records) => {
        for (const { key, value, headers } of records) {
          const known = schemas.get(headers.ce_type ?? '')
          if (known === undefined || value === null) throw new Error(`a fact of unknown type ${headers.ce_type}`)
          facts.push({
            videoId: key ?? '',
            type: known.type,
            id: headers.ce_id ?? '',
            causationId: headers.causationid ?? null,
            data: session.codec.decode<Record<string, unknown>>(known.schema as never, value),
          })
        }
      })
    }
  } finally {
    await session.close()
  }
  return facts
}

/**
 * What makes two facts the same statement, by the idempotency rules of docs/events.md. Facts that have none may be said
 * again (a part that is uploaded again).
 */
export const statementOf = ({ videoId, type, data }: Fact): string => {
  const of = (...fields: readonly string[]) => [videoId, type, ...fields.map((field) => String(data[field]))].join('/')
  switch (type) {
    case 'PartUploaded':
      return of('partNumber', 'checksum')
    case 'SegmentsTranscoded':
      return of('generation', 'track', 'firstIndex')
    case 'ChunkTranscoded':
      return of('generation', 'track', 'chunkIndex')
    case 'ChunkFailed':
      return of('generation', 'track', 'chunkIndex', 'attempt')
    case 'RenditionTranscoded':
      return of('generation', 'track', 'rendition')
    case 'PlaylistPublished':
      return of('generation', 'revision')
    case 'ClaimRefused':
      return of('causeId')
    case 'VideoDetailsChanged':
      return of('revision')
    default:
      return of()
  }
}

export const twice = (items: readonly string[]): readonly string[] =>
  items.filter((item, index) => items.indexOf(item) !== index)
