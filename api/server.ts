/** The read API as a process of its own. `npm start` serves the same plugin beside the gateway and the pages. */
import type { FastifyBaseLogger } from 'fastify'
import pg from 'pg'
import { readConfig, requireSettings } from '../platform/config.ts'
import { endGracefully } from '../platform/graceful-end.ts'
import { createAuthenticator } from '../platform/http/author-token.ts'
import { clientPolicy } from '../platform/http/client-policy.ts'
import { answerWithProblems } from '../platform/http/fastify-problems.ts'
import { createHttpServer } from '../platform/http/http-server.ts'
import { createLogger } from '../platform/log.ts'
import { createDatabase } from '../prisma/client.ts'
import { createS3Client, s3SettingsOf } from '../storage/s3-client.ts'
import api from './app.ts'

const CONNECTIONS = 8

const config = readConfig()
requireSettings(config, ['databaseUrl', 's3Endpoint'])
const log = createLogger('api', config.logLevel)
const atEnd = endGracefully(log)
const db = createDatabase({ url: config.databaseUrl, maxConnections: CONNECTIONS, log })

const { trustProxy, signIns } = clientPolicy(config)
const app = createHttpServer({ loggerInstance: log as FastifyBaseLogger, trustProxy, forceCloseConnections: true })
answerWithProblems(app)
await app.register(api, {
  db,
  createClient: () => new pg.Client({ connectionString: config.databaseUrl, keepAlive: true }),
  viewers: createAuthenticator(config),
  signIns,
  media: { s3: createS3Client(s3SettingsOf(config, 'api')), bucket: config.s3Bucket },
  log,
})
atEnd(async () => {
  await app.close()
  await db.$disconnect()
})
await app.listen({ host: config.host, port: config.webPort })
