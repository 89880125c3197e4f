import { BadInputError } from '../../../platform/errors.ts'
import { problemResponses } from '../../../platform/http/problem-schema.ts'
import { deriveId } from '../../../platform/ids.ts'
import { ownUpload } from '../access.ts'
import { ClaimAnswer, type Routes, UploadParams } from './routes.ts'

export const abortRoute: Routes = (app, context) => {
  app.route({
    method: 'DELETE',
    url: '/uploads/:uploadId',
    schema: {
      tags: ['uploads'],
      summary: 'Give an upload up',
      description: 'Without effect on an upload that completes at the same moment: finish-upload decides.',
      params: UploadParams,
      response: { 202: ClaimAnswer, ...problemResponses },
    },
    handler: async (request, reply) => {
      const { upload, actor } = await ownUpload(context, request, request.params.uploadId)
      if (upload.status === 'completed') throw new BadInputError('UPLOAD_CLOSED', 'The upload is complete already.')
      const wish = { actor, reason: 'Given up by the client.' }
      const id = deriveId('UploadAbortRequested', upload.s3UploadId)
      return reply.status(202).send(await context.claims.claim('UploadAbortRequested', upload.videoId, wish, { id }))
    },
  })
}
