import type { Config } from '../../platform/config.ts'
import type { Logger } from '../../platform/log.ts'
import { schemasOf } from '../../processors/schemas.ts'
import { topicSpecs } from '../../processors/topics.ts'
import { createKafka } from '../../runtime/kafka/client.ts'
import { prepare } from '../../runtime/run/prepare.ts'
import type { Topology } from '../../runtime/topology.ts'

/** What Kafka and the registry must hold before a process of the product starts. */
export const migrateKafka = async (config: Config, { processors }: Topology, log: Logger): Promise<void> => {
  await prepare({
    kafka: createKafka({ brokers: config.kafkaBrokers, clientId: `${config.appId}-migrate`, logger: log }),
    registryUrl: config.schemaRegistryUrl,
    processors,
    topics: topicSpecs(config, processors),
    schemas: schemasOf(processors),
    log,
  })
}
