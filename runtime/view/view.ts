import { describeError, ReelstreamError, UpstreamError } from '../../platform/errors.ts'
import type { Logger } from '../../platform/log.ts'
import type { AvroSchema, Codec } from '../codec/avro.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import type { PartitionReader } from '../kafka/partition-reader.ts'
import type { TopicRef } from '../processor.ts'

/**
 * A view is a read-only table in memory, folded from a topic: for lookups in a process that is no task of it (a gateway
 * that asks who an author is, a tool). Every process that opens one has all of it. It joins no group and writes nothing, so
 * it can be opened and closed at will; what it knows is rebuilt from the log each time.
 *
 *     const owners = defineView({
 *       topic: videoEvents,
 *       fold: { UploadStarted: (_before, { authorId }) => authorId, VideoDeleted: () => undefined },
 *     })
 *     const view = await openView(owners, { reader, codec, learn, log })
 *     view.get(videoId)
 *
 * It is eventually consistent: what was committed a moment ago may be a few milliseconds away. A tombstone, or a fold that
 * returns undefined, removes the key. Memory: one entry per key that is there, of what the fold keeps, not of the events.
 */
export interface ViewDeclaration<T extends TopicRef, V> {
  readonly topic: T
  /** Pure. By event; events without a function change nothing. */
  readonly fold: {
    readonly [N in keyof T['events'] & string]?: (before: V | undefined, event: DataOf<T, N>) => V | undefined
  }
}

type DataOf<T extends TopicRef, N extends string> =
  T['events'][N] extends AvroSchema<infer D> ? Exclude<D, undefined> : never

export interface View<V> {
  get(key: string): V | undefined
  /** Entries whose key begins with `prefix`, in code-unit order of the key. Looks at every key. */
  entries(prefix?: string): readonly (readonly [key: string, value: V])[]
  readonly size: number
  /** `failed`: it follows no longer, and answers with what it has. */
  readonly state: 'following' | 'failed' | 'closed'
  readonly failure: ReelstreamError | null
  close(): Promise<void>
}

export interface ViewTools {
  readonly reader: PartitionReader
  readonly codec: Codec
  /** Resolves once the codec knows the schema id. */
  readonly learn: (schemaId: number) => Promise<void>
  readonly log: Logger
}

export const defineView = <const T extends TopicRef, V>(declaration: ViewDeclaration<T, V>): ViewDeclaration<T, V> =>
  declaration

/**
 * Resolves when the view holds everything that was committed when it was called, and follows the log from then on.
 * Throws UpstreamError PARTITION_UNREADABLE, REGISTRY_UNAVAILABLE (retryable), BadInputError UNDECODABLE.
 */
export const openView = async <T extends TopicRef, V>(
  declaration: ViewDeclaration<T, V>,
  { reader, codec, learn, log }: ViewTools,
): Promise<View<V>> => {
  const entries = new Map<string, V>()
  const fold = foldInto(entries, declaration, codec, learn)
  const stop = new AbortController()
  let failure: ReelstreamError | null = null
  const topic = declaration.topic.name
  const positions = await Promise.all(
    (await reader.partitions(topic)).map(async (partition) => {
      const { beginning } = await reader.offsets(topic, partition)
      return { partition, position: await reader.readToEnd(topic, partition, beginning, fold) }
    }),
  )
  const follow = async ({ partition, position }: (typeof positions)[number]): Promise<void> => {
    for await (const { records } of reader.tail(topic, partition, position, stop.signal)) await fold(records)
  }
  const following = positions.map((start) =>
    follow(start).catch((error: unknown) => {
      failure ??= asReelstreamError(error)
      log.error({ err: error, topic, partition: start.partition }, 'view follows no longer')
    }),
  )
  return {
    get: (key) => entries.get(key),
    entries: (prefix = '') =>
      [...entries].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
    get size() {
      return entries.size
    },
    get state() {
      if (stop.signal.aborted) return 'closed'
      return failure === null ? 'following' : 'failed'
    },
    get failure() {
      return failure
    },
    close: async () => {
      stop.abort()
      await Promise.all(following)
    },
  }
}

type AnyFold<V> = ((before: V | undefined, event: unknown) => V | undefined) | undefined

const foldInto = <T extends TopicRef, V>(
  entries: Map<string, V>,
  { topic, fold }: ViewDeclaration<T, V>,
  codec: Codec,
  learn: (schemaId: number) => Promise<void>,
) => {
  const bySchema = new Map(
    Object.entries(topic.events).map(([event, schema]) => [
      schema.name,
      { schema, apply: fold[event as keyof typeof fold] as AnyFold<V> },
    ]),
  )
  const foldOne = async ({ key, value, headers }: LogRecord): Promise<void> => {
    if (key === null) return
    if (value === null) return void entries.delete(key)
    const schemaId = codec.schemaId(value)
    if (schemaId !== undefined && !codec.knows(schemaId)) await learn(schemaId)
    const route = bySchema.get(headers.ce_type ?? codec.writerName(value) ?? '')
    if (route?.apply === undefined) return
    const after = route.apply(entries.get(key), codec.decode(route.schema, value))
    if (after === undefined) entries.delete(key)
    else entries.set(key, after)
  }
  return async (records: readonly LogRecord[]): Promise<void> => {
    for (const record of records) await foldOne(record)
  }
}

const asReelstreamError = (error: unknown): ReelstreamError =>
  error instanceof ReelstreamError ? error : new UpstreamError('VIEW_FAILED', describeError(error), { cause: error })
