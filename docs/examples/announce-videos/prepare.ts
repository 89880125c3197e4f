import { readConfig, requireSettings } from '../../../platform/config.ts'
import { createLogger } from '../../../platform/log.ts'
import { createKafka } from '../../../runtime/kafka/client.ts'
import { eventTopicSpec } from '../../../runtime/kafka/event-topic.ts'
import { prepare } from '../../../runtime/run/prepare.ts'
import { engineTopics, schemasOf } from '../../../runtime/topology.ts'
import { videoEvents } from '../../../schemas/topics.ts'
import { announcements, announceVideos } from './processor.ts'

/** Makes what is missing of the topics and schemas, and says what is there but differs. Doing it again changes nothing. */
const config = readConfig()
requireSettings(config, ['kafkaBrokers', 'schemaRegistryUrl'])
const log = createLogger('prepare', config.logLevel)
const processors = [announceVideos]
const counts = { partitions: config.videoPartitions, replicationFactor: config.replicationFactor }
await prepare({
  kafka: createKafka({ brokers: config.kafkaBrokers, clientId: 'prepare', logger: log }),
  registryUrl: config.schemaRegistryUrl,
  processors,
  topics: [
    ...[videoEvents, announcements].map((topic) => eventTopicSpec(topic, counts)),
    ...engineTopics(processors, counts, () => counts),
  ],
  schemas: schemasOf(processors),
  log,
})
