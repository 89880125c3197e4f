import rateLimit from '@fastify/rate-limit'
import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import type { FastifyPluginAsync } from 'fastify'
import { answerWithProblems } from '../../platform/http/fastify-problems.ts'
import { authenticateAuthor, authenticateCaller, rateKey } from './access.ts'
import type { GatewayContext } from './context.ts'
import { abortRoute } from './routes/abort.ts'
import { createRoute } from './routes/create.ts'
import { partsRoutes } from './routes/parts.ts'
import { sealRoute } from './routes/seal.ts'
import { sessionRoute } from './routes/session.ts'
import { storedPartsRoute } from './routes/stored-parts.ts'
import { videosRoutes } from './routes/videos.ts'

/**
 * The gateway: how people change anything. It authenticates, checks the form, signs URLs for S3 and appends CLAIMS to
 * video-intake; it decides nothing and writes no table. What it may answer it reads from the read models.
 *
 *     POST   /uploads                              begin (Idempotency-Key: the same key is the same video)
 *     GET    /uploads/:uploadId/parts              what is recorded, for whoever resumes
 *     POST   /uploads/:uploadId/parts/sign         URLs for up to 100 parts; the bytes go straight to S3
 *     POST   /uploads/:uploadId/parts              report up to 100 stored parts
 *     PUT    /uploads/:uploadId/parts/:partNumber  report one
 *     POST   /uploads/:uploadId/seal               say how long it is, if it began without a length
 *     DELETE /uploads/:uploadId                    give it up
 *     PATCH  /videos/:videoId                      change the details (If-Match: "revision")
 *     DELETE /videos/:videoId                      delete
 *     POST   /session                              one-click sign-in of a single machine, where it is switched on
 *
 * Everything that changes something answers 202 with the claim's id, and reads take `after=<claimId>`. Nothing tells
 * the gateway that all parts are there: finish-upload knows when it has folded the last one.
 *
 * When Kafka, S3 or Postgres is away the answer is 503 with Retry-After and nothing is half done (create-upload.ts).
 * A plugin, so that one process can serve it beside the API and the pages; server.ts runs it alone. It brings its own
 * error handler and validation and touches nothing of its neighbours.
 */
export interface GatewayOptions {
  readonly context: GatewayContext
  /** Secret that local sign-ins are signed with; undefined = there is no local sign-in. */
  readonly localSignInSecret?: string | undefined
}

/** Metadata (64 KiB), description and tags, with room for the escapes of JSON. */
const MAX_BODY_BYTES = 512 * 1024

const gateway: FastifyPluginAsync<GatewayOptions> = async (app, { context, localSignInSecret }) => {
  app.setValidatorCompiler(TypeBoxValidatorCompiler)
  answerWithProblems(app)
  app.decorateRequest('caller', null)
  await app.register(rateLimit, {
    max: context.limits.requestsPerMinute,
    timeWindow: '1 minute',
    // After authentication, so that people behind one address do not share a limit.
    hook: 'preValidation',
    keyGenerator: rateKey,
  })
  app.addHook('onRoute', (route) => {
    route.bodyLimit = MAX_BODY_BYTES
  })

  await app.register(async (authors) => {
    authors.addHook('onRequest', authenticateAuthor(context))
    createRoute(authors, context)
    videosRoutes(authors, context)
  })
  await app.register(async (uploaders) => {
    uploaders.addHook('onRequest', authenticateCaller(context))
    partsRoutes(uploaders, context)
    storedPartsRoute(uploaders, context)
    sealRoute(uploaders, context)
    abortRoute(uploaders, context)
  })
  if (localSignInSecret !== undefined) sessionRoute(app, localSignInSecret)
}

export default gateway
