import closeWithGrace from 'close-with-grace'
import Fastify, { type FastifyBaseLogger } from 'fastify'
import pg from 'pg'
import api from '../api/app.ts'
import gateway from '../ingest/gateway/app.ts'
import { createAuthenticator } from '../ingest/gateway/author-token.ts'
import { gatewayOptions } from '../ingest/gateway/gateway-options.ts'
import { systemClock } from '../platform/clock.ts'
import { readConfig, requireSettings } from '../platform/config.ts'
import { answerUnknownPaths } from '../platform/http/fastify-problems.ts'
import { createLogger } from '../platform/log.ts'
import { createDatabase } from '../prisma/client.ts'
import { createIdempotentProducer } from '../runtime/kafka/idempotent-producer.ts'
import { openSession } from '../runtime/run/session.ts'
import { createPresignClient, createS3Client, s3SettingsOf } from '../storage/s3-client.ts'
import web from '../web/plugin.ts'

/**
 * The role `front`: pages, read API and gateway on one origin, as one process. In docker-compose the same three sit
 * behind a proxy instead; they know one another by path only, so none of them notices.
 */
const config = readConfig()
requireSettings(config, [
  'kafkaBrokers',
  'schemaRegistryUrl',
  'databaseUrl',
  's3Endpoint',
  's3AccessKeyId',
  's3SecretAccessKey',
])
const log = createLogger('front', config.logLevel)
const s3Settings = s3SettingsOf(config)
const s3 = createS3Client(s3Settings)
const presigner = createPresignClient(s3Settings)
const database = createDatabase({ url: config.databaseUrl, maxConnections: 10, log })
const session = await openSession({
  brokers: config.kafkaBrokers,
  registryUrl: config.schemaRegistryUrl,
  clientId: `${config.appId}-front`,
  log,
})
const producer = createIdempotentProducer(session.kafka)

const app = Fastify({
  loggerInstance: log as FastifyBaseLogger,
  forceCloseConnections: true,
  disableRequestLogging: true,
})
answerUnknownPaths(app)
await app.register(api, {
  db: database,
  createClient: () => new pg.Client({ connectionString: config.databaseUrl, keepAlive: true }),
  viewers: createAuthenticator(config),
  media: { s3, bucket: config.s3Bucket },
  log,
})
const { codec } = session
await app.register(
  gateway,
  gatewayOptions(config, { database, producer, codec, s3, presigner, clock: systemClock, log }),
)
await app.register(web, { storageOrigins: [s3Settings.publicEndpoint] })

closeWithGrace({ delay: 8_000, logger: false }, async ({ err }) => {
  if (err) log.fatal({ err }, 'front ends after an error that nobody handled')
  await app.close()
  await producer.close()
  await session.close()
  await database.$disconnect()
  s3.destroy()
  presigner.destroy()
})
await app.listen({ host: config.host, port: config.webPort })
