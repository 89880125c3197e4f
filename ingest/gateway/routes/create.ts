import { Type } from 'typebox'
import { problemResponses } from '../../../platform/http/problem-schema.ts'
import { newId } from '../../../platform/ids.ts'
import { authorOf } from '../access.ts'
import type { GatewayContext } from '../context.ts'
import { createUnfinished, createUpload } from '../create-upload.ts'
import { detailsFrom, NewDetails } from '../details.ts'
import type { Routes } from './routes.ts'
import { IdempotencyHeaders, originOf } from './routes.ts'

/**
 * Beyond the expiry of its upload a handle only asks: completing what was whole in time may take hours (finish-upload), and
 * whoever comes with an old key wants to know what became of it.
 */
const HANDLE_OUTLIVES_MS = 24 * 3_600_000

const MEDIA_TYPE = '^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+( *;[ -~]*)?$'

const NewUploadBody = Type.Object(
  {
    ...NewDetails.properties,
    fileName: Type.String({ minLength: 1, maxLength: 255, description: 'Shown, never used as a path.' }),
    contentType: Type.Optional(Type.String({ maxLength: 255, pattern: MEDIA_TYPE, description: 'Never trusted.' })),
    sizeBytes: Type.Optional(
      Type.Integer({
        minimum: 0,
        description: 'Exact length of the file. Left out: not known yet, seal the upload later.',
      }),
    ),
  },
  { additionalProperties: false },
)

const UploadBody = Type.Object({
  videoId: Type.String(),
  uploadId: Type.String({ description: 'The same as videoId: an upload is identified by the video that it makes.' }),
  status: Type.Union([Type.Literal('open'), Type.Literal('completed'), Type.Literal('aborted')], {
    description: 'Not "open" only when the key was used before.',
  }),
  partSizeBytes: Type.Integer({ description: 'Length of every part but the last.' }),
  partCount: Type.Union([Type.Integer(), Type.Null()], { description: 'Null while the length is not known.' }),
  uploadToken: Type.String({ description: 'Bearer token for the parts of this upload alone.' }),
  claimId: Type.String({ description: 'For after=<claimId> on reads.' }),
  expiresAtMs: Type.Integer({ description: 'An upload that is not complete by then is aborted.' }),
  watchUrl: Type.String(),
})

export const createRoute: Routes = (app, context: GatewayContext) => {
  const unfinished = createUnfinished()
  app.route({
    method: 'POST',
    url: '/uploads',
    config: { rateLimit: { max: context.limits.createsPerMinute } },
    schema: {
      tags: ['uploads'],
      summary: 'Begin an upload',
      description: 'The same Idempotency-Key with the same body gives the same upload, whoever asks first.',
      headers: IdempotencyHeaders,
      body: NewUploadBody,
      response: { 201: UploadBody, ...problemResponses },
    },
    handler: async (request, reply) => {
      const { fileName, contentType = 'application/octet-stream', sizeBytes = null, ...given } = request.body
      const author = authorOf(request)
      const key = request.headers['idempotency-key'] ?? newId()
      const { upload, claimId } = await createUpload(context, unfinished, author, key, {
        contentType,
        sizeBytes,
        details: detailsFrom(given, fileName, author.name),
      })
      const { videoId, status, partSizeBytes, partCount, expiresAtMs, s3UploadId, authorId } = upload
      const handleExpiresAtMs = Math.max(expiresAtMs, context.clock.now()) + HANDLE_OUTLIVES_MS
      const uploadToken = await context.handles.issue({ uploadId: videoId, authorId, s3UploadId }, handleExpiresAtMs)
      const watchUrl = context.watchUrl(videoId, originOf(request))
      return reply.status(201).send({
        videoId,
        uploadId: videoId,
        status,
        partSizeBytes,
        partCount,
        uploadToken,
        claimId,
        expiresAtMs,
        watchUrl,
      })
    },
  })
}
