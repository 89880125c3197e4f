import { readConfig } from '../../../platform/config.ts'
import { createLogger } from '../../../platform/log.ts'
import { openSession } from '../../../runtime/run/session.ts'
import { openView } from '../../../runtime/view/view.ts'
import { videoTitles } from './view.ts'

/** Prints the titles of what is in the log, then ends: `KAFKA_BROKERS=… SCHEMA_REGISTRY_URL=… npx node …/main.ts`. */
const { kafkaBrokers, schemaRegistryUrl } = readConfig()
const log = createLogger('video-titles', 'warn')
const session = await openSession({
  brokers: kafkaBrokers,
  registryUrl: schemaRegistryUrl,
  clientId: 'video-titles',
  log,
})
const view = await openView(videoTitles, { ...session, log })
for (const [videoId, title] of view.entries()) process.stdout.write(`${videoId} ${title}\n`)
await view.close()
await session.close()
