import type { TopicSpec } from './topics.ts'

/** A topic of events as schemas/ declares it. */
export interface DeclaredTopic {
  readonly name: string
  readonly cleanup: 'delete' | 'compact'
  /** Milliseconds that records are kept; -1 = for ever. */
  readonly retentionMs: number
  readonly timestamps: 'LogAppendTime' | 'CreateTime'
}

/** What configuration says of a topic. */
export type TopicCounts = Pick<TopicSpec, 'partitions' | 'partitionsFrom' | 'replicationFactor'>

/**
 * Largest batch that a topic of ours takes, bytes: the broker's own default, and enough, for writers cut batches at
 * 900 KB (MAX_RECORD_BYTES). Said for each topic, because a cluster may have another default.
 */
export const MAX_MESSAGE_BYTES = 1_048_588

/** What every topic of ours is made with: one replica may be away, and no batch of ours is refused. */
export const commonTopicConfig = (replicationFactor: number): Readonly<Record<string, string>> => ({
  'max.message.bytes': String(MAX_MESSAGE_BYTES),
  'min.insync.replicas': String(Math.max(1, replicationFactor - 1)),
})

/** The topic as it must be on the broker. Time alone ends what is kept: a limit on bytes would delete facts. */
export const eventTopicSpec = (
  { name, cleanup, retentionMs, timestamps }: DeclaredTopic,
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
  },
})
