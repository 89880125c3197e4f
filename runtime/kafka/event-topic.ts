import type { TopicSpec } from './topics.ts'

/** A topic of events as schemas/ declares it. */
export interface DeclaredTopic {
  readonly name: string
  readonly cleanup: 'delete' | 'compact'
  /** Milliseconds that records are kept; -1 = for ever. */
  readonly retentionMs: number
  readonly timestamps: 'LogAppendTime' | 'CreateTime'
  /** Producers outside write to it. */
  readonly door?: boolean
}

/** What configuration says of every topic. */
export type Replicas = Pick<TopicSpec, 'replicationFactor' | 'replicationFrom'>

/** What configuration says of a topic. */
export type TopicCounts = Replicas & Pick<TopicSpec, 'partitions' | 'partitionsFrom'>

/**
 * Largest batch that a topic of ours takes, bytes: the broker's own default, and enough, for writers cut batches at
 * 900 KB (MAX_RECORD_BYTES). Said for each topic, because a cluster may have another default.
 */
export const MAX_MESSAGE_BYTES = 1_048_588

/**
 * What every topic of ours is made with: one replica may be away, none that has lost the end of the log leads it, and no
 * batch of ours is refused.
 */
export const commonTopicConfig = (replicationFactor: number): Readonly<Record<string, string>> => ({
  'max.message.bytes': String(MAX_MESSAGE_BYTES),
  'min.insync.replicas': String(Math.max(1, replicationFactor - 1)),
  'unclean.leader.election.enable': 'false',
})

/**
 * The topic as it must be on the broker. Time alone ends what is kept: a limit on bytes would delete facts. What comes
 * through a door may be packed in any way, and kafkajs cannot unpack lz4, snappy and zstd: one such batch would stop its
 * partition for as long as it is kept. The broker unpacks it; for what is not packed that costs nothing.
 */
export const eventTopicSpec = (
  { name, cleanup, retentionMs, timestamps, door = false }: DeclaredTopic,
  counts: TopicCounts,
): TopicSpec => ({
  name,
  ...counts,
  config: {
    ...commonTopicConfig(counts.replicationFactor),
    'cleanup.policy': cleanup,
    'retention.ms': String(retentionMs),
    'retention.bytes': '-1',
    'message.timestamp.type': timestamps,
    ...(door && { 'compression.type': 'uncompressed' }),
  },
})
