import swagger from '@fastify/swagger'
import type { FastifyBaseLogger } from 'fastify'
import { systemClock } from '../../platform/clock.ts'
import { readConfig, requireSettings } from '../../platform/config.ts'
import { endGracefully, patiently } from '../../platform/graceful-end.ts'
import { clientPolicy } from '../../platform/http/client-policy.ts'
import { answerWithProblems } from '../../platform/http/fastify-problems.ts'
import { createHttpServer } from '../../platform/http/http-server.ts'
import { createLogger } from '../../platform/log.ts'
import { openSpanExporter } from '../../platform/span-exporter.ts'
import { createDatabase } from '../../prisma/client.ts'
import { createIdempotentProducer } from '../../runtime/kafka/idempotent-producer.ts'
import { openSession } from '../../runtime/run/session.ts'
import { bucketExists } from '../../storage/bucket.ts'
import { createPresignClient, createS3Client, s3SettingsOf } from '../../storage/s3-client.ts'
import { startReconciler } from '../reconciler/schedule.ts'
import { reconcilerSettings, reconcilerWorld } from '../reconciler/world.ts'
import gateway from './app.ts'
import { gatewayOptions } from './gateway-options.ts'

/**
 * The gateway as a process of its own, as docker-compose runs it behind the proxy that makes one origin of everything.
 * `npm start` mounts the same plugin beside the API and the pages instead (local/front.ts).
 *
 * It keeps nothing but hints: any number may run, and each may be killed at any moment. Now and then each compares S3 with
 * the log (../reconciler): it is the process that has the clients for it, and whose death makes what is found.
 */
const config = readConfig()
requireSettings(config, ['kafkaBrokers', 'schemaRegistryUrl', 'databaseUrl', 's3Endpoint'])
const log = createLogger('gateway', config.logLevel)
const atEnd = endGracefully(log)
const spans = await openSpanExporter({ endpoint: config.otlpEndpoint, service: 'gateway', log })
const session = await patiently(
  () =>
    openSession({
      brokers: config.kafkaBrokers,
      registryUrl: config.schemaRegistryUrl,
      clientId: `${config.appId}-gateway`,
      log,
    }),
  log,
)
const producer = createIdempotentProducer(session.kafka)
const database = createDatabase({ url: config.databaseUrl, maxConnections: 10, log })
const s3 = createS3Client(s3SettingsOf(config, 'gateway'))
const presigner = createPresignClient(s3SettingsOf(config, 'gateway'))

const { trustProxy, signIns } = clientPolicy(config)
const app = createHttpServer({
  loggerInstance: log as FastifyBaseLogger,
  trustProxy,
})
answerWithProblems(app)
const { codec } = session
await app.register(swagger, { openapi: { info: { title: 'Reelstream gateway', version: '1' } } })
await app.register(
  gateway,
  gatewayOptions(config, { database, producer, codec, s3, presigner, signIns, clock: systemClock, spans, log }),
)
app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
app.get('/healthz', { schema: { hide: true } }, () => ({ status: 'ok' }))
app.get('/readyz', { schema: { hide: true } }, async (_request, reply) => {
  const checks = { database: database.$queryRaw`select 1`, s3: bucketExists(s3, config.s3Bucket) }
  const outcomes = await Promise.allSettled(Object.values(checks))
  const away = Object.keys(checks).filter((_name, i) => outcomes[i]?.status === 'rejected')
  return reply.status(away.length === 0 ? 200 : 503).send({ status: away.length === 0 ? 'ready' : 'not ready', away })
})

const { kafka, reader } = session
const reconciler = startReconciler(
  reconcilerWorld(config, { database, producer, codec, kafka, reader, s3, clock: systemClock }),
  { ...reconcilerSettings(config), log },
)
atEnd(async () => {
  await reconciler.stop()
  await app.close()
  await Promise.all([producer.close(), spans.close()])
  await session.close()
  await database.$disconnect()
  s3.destroy()
  presigner.destroy()
})
await app.listen({ host: config.host, port: config.webPort })
