import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify'
import { Type } from 'typebox'
import { VideoIdSchema } from '../../../platform/http/video-id-schema.ts'
import { deriveId, newId } from '../../../platform/ids.ts'
import type { GatewayContext } from '../context.ts'

type App = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>

/** Adds routes to the gateway. */
export type Routes = (app: App, context: GatewayContext) => void

export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({ minLength: 1, maxLength: 255, pattern: '^[!-~]+$', description: 'A repetition uses the same.' }),
  ),
})

export const UploadParams = Type.Object({ uploadId: VideoIdSchema })
export const VideoParams = Type.Object({ videoId: VideoIdSchema })
export const ClaimAnswer = Type.Object({ claimId: Type.String({ description: 'For after=<claimId> on reads.' }) })

/** The id of a claim that carries no natural name: from the caller's Idempotency-Key, else a fresh one. */
export const claimIdFor = (idempotencyKey: string | undefined, ...about: readonly string[]): string =>
  idempotencyKey === undefined ? newId() : deriveId('claim', ...about, idempotencyKey)

export const originOf = (request: FastifyRequest): string => `${request.protocol}://${request.host}`
