import { type Config, SETTINGS } from '../platform/config.ts'
import { SCHEMA_IDS_TOPIC } from '../runtime/codec/schema-directory.ts'
import { commonTopicConfig, eventTopicSpec, type TopicCounts } from '../runtime/kafka/event-topic.ts'
import type { TopicSpec } from '../runtime/kafka/topics.ts'
import type { Processor } from '../runtime/processor.ts'
import { DEAD_LETTERS_TOPIC } from '../runtime/task/dead-letter.ts'
import { changelogSpec } from '../runtime/topology.ts'
import { type Topic, topics } from '../schemas/topics.ts'

/**
 * Every topic that these processors need, as it must be on the broker: the events of schemas/, their changelogs, and what
 * the engine keeps for itself. The migrate step makes them; a role that is about to rely on them compares.
 */
export const topicSpecs = (config: Config, processors: readonly Processor[]): readonly TopicSpec[] => [
  ...topics.map((topic) => eventTopicSpec(topic, countsOf(config, topic.partitions))),
  ...processors.map((processor) =>
    changelogSpec(processor, ({ partitions }) => countsOf(config, partitions as Topic['partitions'])),
  ),
  single(config, SCHEMA_IDS_TOPIC, { 'cleanup.policy': 'compact' }),
  // Kept until somebody has looked at them.
  single(config, DEAD_LETTERS_TOPIC, { 'cleanup.policy': 'delete', 'retention.ms': '-1' }),
]

/** How many partitions, from which setting, on how many brokers. */
export const countsOf = (config: Config, partitions: Topic['partitions']): TopicCounts => {
  const { replicationFactor } = config
  if (partitions === 'one') return { partitions: 1, replicationFactor }
  const { env: setting } = SETTINGS[partitions]
  const otherwise = partitions === 'lanes' ? { otherwise: `run: reelstream lanes set ${config.lanes}` } : {}
  return { partitions: config[partitions], partitionsFrom: { setting, ...otherwise }, replicationFactor }
}

const single = (
  { replicationFactor }: Config,
  name: string,
  settings: Readonly<Record<string, string>>,
): TopicSpec => ({
  name,
  partitions: 1,
  replicationFactor,
  config: { ...commonTopicConfig(replicationFactor), ...settings },
})
