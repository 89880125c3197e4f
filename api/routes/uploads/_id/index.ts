import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { BadInputError } from '../../../../platform/errors.ts'
import { problemResponses } from '../../../../platform/http/problem-schema.ts'
import { reading } from '../../../../prisma/reading.ts'
import { countStoredOf } from '../../../../prisma/stored-parts.ts'
import type { RouteOptions } from '../../../context.ts'
import { AfterQuery, waitForAfter } from '../../../reading/after.ts'
import { UploadBody, type UploadStatus, VideoParams } from '../../../reading/schemas.ts'
import { isOwner, viewerOf } from '../../../reading/viewer.ts'

/**
 * GET /uploads/:id: the state of an upload and how much of it is stored. Not which parts: it is asked again and again, and
 * whoever resumes has the gateway's list. For its author, or an admin: the id is in the URL of the watch page, so knowing
 * it says nothing. To everybody else there is no such upload.
 */
const getUpload: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { context }) => {
  app.get(
    '/',
    {
      schema: {
        summary: 'State of an upload, for its author',
        tags: ['uploads'],
        security: [{ author: [] }],
        params: VideoParams,
        querystring: Type.Object({ after: AfterQuery }),
        response: { 200: UploadBody, ...problemResponses },
      },
    },
    async (request, reply) => {
      const viewer = await viewerOf(context, request)
      await waitForAfter(context, request.query.after, ['video-catalogue'])
      const upload = await reading(() => context.db.upload.findUnique({ where: { videoId: request.params.id } }))
      if (upload === null || !isOwner(upload, viewer))
        throw new BadInputError('UPLOAD_NOT_FOUND', 'There is no such upload.')
      const stored = await reading(() => countStoredOf(context.db, upload))
      void reply.header('vary', 'authorization').header('cache-control', 'private, no-cache')
      return {
        videoId: upload.videoId,
        status: upload.status as UploadStatus,
        sizeBytes: upload.sizeBytes === null ? null : Number(upload.sizeBytes),
        partSizeBytes: Number(upload.partSizeBytes),
        partCount: upload.partCount,
        storedParts: stored.parts,
        storedBytes: stored.bytes,
        code: upload.code,
        detail: upload.detail,
        expiresAt: upload.expiresAt.toISOString(),
      }
    },
  )
}

export default getUpload
