import { type Config, SETTINGS } from '../platform/config.ts'
import { eventTopicSpec, type Replicas, type TopicCounts } from '../runtime/kafka/event-topic.ts'
import type { TopicSpec } from '../runtime/kafka/topics.ts'
import type { Processor } from '../runtime/processor.ts'
import { engineTopics } from '../runtime/topology.ts'
import { type Topic, topics } from '../schemas/topics.ts'

/**
 * Every topic that these processors need, as it must be on the broker: the events of schemas/, and what the engine keeps
 * for itself. The migrate step makes them; a role that is about to rely on them compares.
 */
export const topicSpecs = (config: Config, processors: readonly Processor[]): readonly TopicSpec[] => [
  ...topics.map((topic) => eventTopicSpec(topic, countsOf(config, topic.partitions))),
  ...engineTopics(processors, replicasOf(config), ({ partitions }) =>
    countsOf(config, partitions as Topic['partitions']),
  ),
]

/** How many partitions, from which setting, on how many brokers. */
export const countsOf = (config: Config, partitions: Topic['partitions']): TopicCounts => {
  const replicas = replicasOf(config)
  if (partitions === 'one') return { partitions: 1, ...replicas }
  const { env: setting } = SETTINGS[partitions]
  const otherwise = partitions === 'lanes' ? { otherwise: `run: reelstream lanes set ${config.lanes}` } : {}
  return { partitions: config[partitions], partitionsFrom: { setting, ...otherwise }, ...replicas }
}

const replicasOf = ({ replicationFactor }: Config): Replicas => ({
  replicationFactor,
  replicationFrom: SETTINGS.replicationFactor.env,
})
