/**
 * The one origin of `npm start`: pages, read API and gateway in one process on WEB_PORT, so that browsers need no CORS
 * and cookies, tokens and links have one home. The plugins are the same that run as processes of their own behind an
 * edge; here they only share the clients.
 *
 * Everything is made while everything else is: the pages are built, Kafka is asked for the schemas, and the modules of
 * the plugins load at the same time, for the port is answered only when all are there.
 */
import type { FastifyBaseLogger } from 'fastify'
import plugin from 'fastify-plugin'
import pg from 'pg'
import api from '../api/app.ts'
import gateway from '../ingest/gateway/app.ts'
import { gatewayOptions } from '../ingest/gateway/gateway-options.ts'
import { startReconciler } from '../ingest/reconciler/schedule.ts'
import { reconcilerSettings, reconcilerWorld } from '../ingest/reconciler/world.ts'
import { systemClock } from '../platform/clock.ts'
import { readConfig, requireSettings } from '../platform/config.ts'
import { endGracefully, patiently } from '../platform/graceful-end.ts'
import { createAuthenticator } from '../platform/http/author-token.ts'
import { clientPolicy } from '../platform/http/client-policy.ts'
import { createHttpServer } from '../platform/http/http-server.ts'
import { createLogger } from '../platform/log.ts'
import { openSpanExporter } from '../platform/span-exporter.ts'
import { createDatabase } from '../prisma/client.ts'
import { createIdempotentProducer } from '../runtime/kafka/idempotent-producer.ts'
import { openSession } from '../runtime/run/session.ts'
import { createPresignClient, createS3Client, s3SettingsOf } from '../storage/s3-client.ts'
import { buildPages } from '../web/build.ts'
import web from '../web/plugin.ts'

const DATABASE_CONNECTIONS = 12

const config = readConfig()
requireSettings(config, ['kafkaBrokers', 'schemaRegistryUrl', 'databaseUrl', 's3Endpoint'])
const log = createLogger('front', config.logLevel)
const atEnd = endGracefully(log)
const spans = await openSpanExporter({ endpoint: config.otlpEndpoint, service: 'front', log })
const s3Settings = s3SettingsOf(config, 'gateway')
const s3 = createS3Client(s3Settings)
const presigner = createPresignClient(s3Settings)
// One of its own, so that an access log of S3 tells players from uploads, as it does where the two are apart.
const apiS3 = createS3Client(s3SettingsOf(config, 'api'))
const database = createDatabase({ url: config.databaseUrl, maxConnections: DATABASE_CONNECTIONS, log })
const [session] = await Promise.all([
  patiently(
    () =>
      openSession({
        brokers: config.kafkaBrokers,
        registryUrl: config.schemaRegistryUrl,
        clientId: `${config.appId}-front`,
        log,
      }),
    log,
  ),
  buildPages(),
])
const producer = createIdempotentProducer(session.kafka)

const { trustProxy, signIns } = clientPolicy(config)
const app = createHttpServer({
  loggerInstance: log as FastifyBaseLogger,
  trustProxy,
  forceCloseConnections: true,
})
// Not encapsulated: its error handler, its refusal under load and its OpenAPI document are those of the whole origin.
await app.register(plugin(api), {
  db: database,
  createClient: () => new pg.Client({ connectionString: config.databaseUrl, keepAlive: true }),
  viewers: createAuthenticator(config),
  signIns,
  media: { s3: apiS3, bucket: config.s3Bucket },
  log,
})
await app.register(
  gateway,
  gatewayOptions(config, {
    ...{ database, producer, codec: session.codec, s3, presigner, signIns },
    ...{ clock: systemClock, spans, log },
  }),
)
const { codec, kafka, reader } = session
const reconciler = startReconciler(
  reconcilerWorld(config, { database, producer, codec, kafka, reader, s3, clock: systemClock }),
  { ...reconcilerSettings(config), log },
)
await app.register(web, { storageOrigins: [new URL(s3Settings.publicEndpoint).origin] })

atEnd(async () => {
  await reconciler.stop()
  // Uploads and players keep connections open: what is still under way is cut.
  await app.close()
  await Promise.all([producer.close(), session.close(), database.$disconnect(), spans.close()])
  for (const client of [s3, apiS3, presigner]) client.destroy()
})
await app.listen({ host: config.host, port: config.webPort })
