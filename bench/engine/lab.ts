import type { Config } from '../../platform/config.ts'
import { silentLogger } from '../../platform/log.ts'
import { createKafka } from '../../runtime/kafka/client.ts'
import { createPartitionReader } from '../../runtime/kafka/partition-reader.ts'
import { startBroker } from './broker.ts'
import { foldCodec } from './fold.ts'
import type { Lab } from './topics.ts'

/** Measures on a broker with everything that a measurement works with, and takes it all down. */
export const withLab = async (config: Config, measure: (lab: Lab) => Promise<void>): Promise<void> => {
  const broker = await startBroker(config)
  const kafka = createKafka({ brokers: broker.brokers, clientId: 'bench', logger: silentLogger })
  const reader = await createPartitionReader(kafka)
  try {
    await measure({ brokers: broker.brokers, kafka, reader, codec: foldCodec() })
  } finally {
    await reader.close()
    await broker.stop()
  }
}
