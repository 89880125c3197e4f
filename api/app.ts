/**
 * The read API: table → answer. It reads the stable views through Prisma and the media bucket, and nothing else: no
 * Kafka, no writes. A route is a folder below routes/ (path = URL, `_id` = `:id`) with its test beside it.
 *
 *     GET /videos · /videos/:id · /videos/:id/history · /videos/:id/events (SSE)
 *     GET /uploads · /uploads/:id
 *     GET /watch/:id/master.m3u8 and everything below it
 *     GET /healthz · /readyz · /documentation (OpenAPI 3.1)
 *
 * Reads may say `after=<claimId>`: then they include the caller's own write, or answer 503. Errors are problem+json with
 * stable codes. A plugin, so that one process can serve it beside the gateway and the pages; server.ts runs it alone.
 */
import path from 'node:path'
import autoload from '@fastify/autoload'
import helmet from '@fastify/helmet'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyPluginAsync } from 'fastify'
import type { Client } from 'pg'
import type { SignInLimit } from '../platform/http/client-policy.ts'
import { answerWithProblems } from '../platform/http/fastify-problems.ts'
import { problem, statusOfRefusal } from '../platform/http/problem.ts'
import type { Logger } from '../platform/log.ts'
import type { Database } from '../prisma/client.ts'
import type { ApiContext, MediaStore, Viewers } from './context.ts'
import { refuseWhenOverloaded } from './overload.ts'
import { ClaimRefusedError } from './reading/after.ts'
import { startPositionListener } from './reading/position-listener.ts'
import { createMediaOrigin, MEDIA_CACHE } from './watch/media-origin.ts'

export interface ApiOptions {
  readonly db: Database
  /** A new, unconnected client of the same database, for LISTEN. */
  createClient(): Client
  readonly viewers: Viewers
  readonly signIns: SignInLimit
  readonly media: MediaStore
  readonly log: Logger
}

const api: FastifyPluginAsync<ApiOptions> = async (app, options) => {
  const closing = new AbortController()
  const positions = startPositionListener(options)
  const context: ApiContext = {
    db: options.db,
    viewers: options.viewers,
    signIns: options.signIns,
    positions,
    media: createMediaOrigin({ ...options.media, ...MEDIA_CACHE }),
    closing: closing.signal,
  }
  app.addHook('preClose', async () => closing.abort())
  app.addHook('onClose', () => positions.close())

  answerWithProblems(app, (error) =>
    error instanceof ClaimRefusedError ? problem(statusOfRefusal(error.code), error.code, error.message) : undefined,
  )
  refuseWhenOverloaded(app)
  // Media and JSON are embedded by pages of other origins; what the pages may load is said by who serves the pages.
  await app.register(helmet, { contentSecurityPolicy: false, crossOriginResourcePolicy: { policy: 'cross-origin' } })
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Reelstream', version: '1', description: 'Lists, watch pages, live progress and HLS playback.' },
      components: { securitySchemes: { author: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } } },
    },
  })
  await app.register(swaggerUi, { routePrefix: '/documentation' })
  await app.register(autoload, {
    dir: path.join(import.meta.dirname, 'routes'),
    routeParams: true,
    ignorePattern: /\.test\.ts$/,
    options: { context },
  })
}

export default api
