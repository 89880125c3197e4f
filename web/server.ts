/** The pages as a process of their own, for a deployment behind a proxy. `npm start` serves the same plugin in one. */
import type { FastifyBaseLogger } from 'fastify'
import { readConfig, requireSettings } from '../platform/config.ts'
import { endGracefully } from '../platform/graceful-end.ts'
import { answerWithProblems } from '../platform/http/fastify-problems.ts'
import { createHttpServer } from '../platform/http/http-server.ts'
import { createLogger } from '../platform/log.ts'
import web from './plugin.ts'

const config = readConfig()
requireSettings(config, ['s3Endpoint'])
const log = createLogger('web', config.logLevel)
const atEnd = endGracefully(log)

const app = createHttpServer({
  loggerInstance: log as FastifyBaseLogger,
})
answerWithProblems(app)
const storage = config.s3PublicEndpoint === '' ? config.s3Endpoint : config.s3PublicEndpoint
await app.register(web, { storageOrigins: [new URL(storage).origin] })
app.get('/healthz', () => ({ status: 'ok' }))
app.get('/readyz', () => ({ status: 'ready' }))

atEnd(() => app.close())
await app.listen({ host: config.host, port: config.webPort })
