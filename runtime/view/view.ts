import type { Scheduler } from '../../platform/clock.ts'
import type { ReelstreamError } from '../../platform/errors.ts'
import type { Logger } from '../../platform/log.ts'
import type { AvroSchema, Codec } from '../codec/avro.ts'
import type { PartitionReader } from '../kafka/partition-reader.ts'
import type { TopicRef } from '../processor.ts'
import { ViewFeed } from './view-feed.ts'

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
 * It is not for deciding: a processor decides from its own state, which moves in the transaction of what it emits, while a
 * view is a few milliseconds behind the log. Who has written a record and wants to see it waits for its place (`until`).
 *
 * An entry's key is the key of its records, so it is a function of one partition in the order of that partition; a
 * tombstone, or a fold that returns undefined, removes it. Memory: one entry per key that is there, of what the fold keeps,
 * not of the events, and at most `maxEntries` of them.
 */
export interface ViewDeclaration<T extends TopicRef, V> {
  readonly topic: T
  /** Pure. By event; events without a function change nothing. */
  readonly fold: {
    readonly [N in keyof T['events'] & string]?: (before: V | undefined, event: DataOf<T, N>) => V | undefined
  }
  /** One more ends the view (VIEW_FULL), before it ends the process. Default 100,000. */
  readonly maxEntries?: number
}

type DataOf<T extends TopicRef, N extends string> =
  T['events'][N] extends AvroSchema<infer D> ? Exclude<D, undefined> : never

/** All but `lag` and `until` answer at once, from memory. */
export interface View<V> {
  get(key: string): V | undefined
  /** Entries whose key begins with `prefix`, in code-unit order of the key. Looks at every key. */
  entries(prefix?: string): readonly (readonly [key: string, value: V])[]
  readonly size: number
  /** Offset after the last record of the partition that was folded or passed over. */
  position(partition: number): bigint
  /** Offsets between the view and the end of the log, over all partitions; markers count. PARTITION_UNREADABLE. */
  lag(): Promise<number>
  /**
   * Resolves when `holds()` is true, asked now and whenever the view has moved: `() => view.position(p) > offset` waits
   * for a record. Rejects with its reason when the signal aborts, with `failure`, and with UpstreamError VIEW_CLOSED.
   */
  until(holds: () => boolean, signal?: AbortSignal): Promise<void>
  /** `failed`: it follows no longer, and answers with what it has. */
  readonly state: 'following' | 'failed' | 'closed'
  readonly failure: ReelstreamError | null
  /** Stops following, at once. */
  close(): Promise<void>
}

export interface ViewTools {
  readonly reader: Pick<PartitionReader, 'partitions' | 'offsets' | 'tail'>
  readonly codec: Codec
  /** Resolves once the codec knows the schema id. */
  readonly learn: (schemaId: number) => Promise<void>
  readonly log: Logger
  /** By which a registry that knows no such schema is believed after 10 s. Default: the process's. */
  readonly clock?: Pick<Scheduler, 'monotonicMs'>
}

export const defineView = <const T extends TopicRef, V>(declaration: ViewDeclaration<T, V>): ViewDeclaration<T, V> =>
  declaration

/**
 * Resolves when the view holds everything that was committed when it was called, and follows the log from then on. What
 * may pass (brokers or registry away) is tried again for ever and logged; what does not ends the view, for to go on would
 * be to answer wrongly: UpstreamError VIEW_FAILED (not retryable) with the place and the cause, which is a record that
 * cannot be read (also one whose schema an answering registry has not known for 10 s), a fold that throws, or a position
 * that the log no longer holds; or ConfigError VIEW_FULL. Here it throws that, PARTITION_UNREADABLE (retryable) while it
 * looks for the topic, and the signal's reason when that aborts.
 */
export const openView = async <T extends TopicRef, V>(
  declaration: ViewDeclaration<T, V>,
  tools: ViewTools,
  signal?: AbortSignal,
): Promise<View<V>> => {
  signal?.throwIfAborted()
  const { reader } = tools
  const topic = declaration.topic.name
  const ranges = await Promise.all(
    (await reader.partitions(topic)).map(async (partition) => ({
      partition,
      ...(await reader.offsets(topic, partition)),
    })),
  )
  const feed = new ViewFeed<V>(declaration, tools)
  for (const { partition, beginning } of ranges) feed.follow(partition, beginning)
  try {
    await feed.until(() => ranges.every(({ partition, end }) => feed.position(partition) >= end), signal)
  } catch (error) {
    await feed.close()
    throw error
  }
  return viewOf(feed, async () => {
    const behind = ranges.map(async ({ partition }) => {
      const { end } = await reader.offsets(topic, partition)
      return Math.max(0, Number(end - feed.position(partition)))
    })
    return (await Promise.all(behind)).reduce((sum, offsets) => sum + offsets, 0)
  })
}

const viewOf = <V>(feed: ViewFeed<V>, lag: () => Promise<number>): View<V> => ({
  get: (key) => feed.table.get(key),
  entries: (prefix = '') =>
    [...feed.table].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
  get size() {
    return feed.table.size
  },
  position: (partition) => feed.position(partition),
  lag,
  until: (holds, signal) => feed.until(holds, signal),
  get state() {
    if (feed.isClosed) return 'closed'
    return feed.failure === null ? 'following' : 'failed'
  },
  get failure() {
    return feed.failure
  },
  close: () => feed.close(),
})
