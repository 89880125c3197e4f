import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { BadInputError } from '../../../../platform/errors.ts'
import { problemResponses } from '../../../../platform/http/problem-schema.ts'
import { reading } from '../../../../prisma/reading.ts'
import type { RouteOptions } from '../../../context.ts'
import { AfterQuery, waitForAfter } from '../../../reading/after.ts'
import { UploadBody, type UploadStatus, VideoParams } from '../../../reading/schemas.ts'
import { isOwner, viewerOf } from '../../../reading/viewer.ts'

/**
 * GET /uploads/:id: what is stored of an upload, for whoever resumes it. That is its author, or an admin: the id is in
 * the URL of the watch page, so knowing it says nothing. To everybody else there is no such upload.
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
      const upload = await reading(() =>
        context.db.upload.findUnique({
          where: { videoId: request.params.id },
          include: { parts: { where: { code: null }, orderBy: { partNumber: 'asc' } } },
        }),
      )
      if (upload === null || !isOwner(upload, viewer))
        throw new BadInputError('UPLOAD_NOT_FOUND', 'There is no such upload.')
      void reply.header('vary', 'authorization').header('cache-control', 'private, no-cache')
      return {
        videoId: upload.videoId,
        status: upload.status as UploadStatus,
        sizeBytes: upload.sizeBytes === null ? null : Number(upload.sizeBytes),
        partSizeBytes: Number(upload.partSizeBytes),
        partCount: upload.partCount,
        parts: upload.parts.map(({ partNumber, sizeBytes, etag, checksum }) => ({
          partNumber,
          sizeBytes: Number(sizeBytes),
          etag,
          checksum,
        })),
        code: upload.code,
        detail: upload.detail,
        expiresAt: upload.expiresAt.toISOString(),
      }
    },
  )
}

export default getUpload
