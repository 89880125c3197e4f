import { type Static, Type } from 'typebox'
import { BadInputError } from '../../../platform/errors.ts'
import { problemResponses } from '../../../platform/http/problem-schema.ts'
import { deriveId } from '../../../platform/ids.ts'
import { MAX_PARTS } from '../../../storage/part-size.ts'
import { checkOpen, ownUpload } from '../access.ts'
import type { GatewayContext } from '../context.ts'
import { checkReported } from '../open-uploads.ts'
import type { RecordedUpload } from '../upload-reads.ts'
import { ClaimAnswer, type Routes, UploadParams } from './routes.ts'

const Seal = Type.Object(
  {
    partCount: Type.Integer({ minimum: 1, maximum: MAX_PARTS }),
    sizeBytes: Type.Integer({ minimum: 1, description: 'Length of the file.' }),
  },
  { additionalProperties: false },
)
type Seal = Static<typeof Seal>

/** Whoever uploads a stream says at its end how long it was. Before that nothing is completed, however many parts came. */
export const sealRoute: Routes = (app, context) => {
  app.route({
    method: 'POST',
    url: '/uploads/:uploadId/seal',
    schema: {
      tags: ['uploads'],
      summary: 'Say how long the file is',
      description: 'Once, for an upload that began without a length; before or after its last parts are reported.',
      params: UploadParams,
      body: Seal,
      response: { 202: ClaimAnswer, ...problemResponses },
    },
    handler: async (request, reply) => {
      const { upload } = await ownUpload(context, request, request.params.uploadId)
      const { body: seal } = request
      const id = deriveId('UploadSealed', upload.s3UploadId, seal.partCount, seal.sizeBytes)
      const isRecorded = upload.partCount === seal.partCount && upload.sizeBytes === seal.sizeBytes
      // The repetition of a seal whose answer was lost may come when the upload is complete already.
      if (isRecorded && upload.status === 'completed') return reply.status(202).send({ claimId: id })
      checkOpen(context, upload)
      if (!isRecorded) {
        checkSeal(context, upload, seal)
        checkReported(await context.reads.sumParts(upload.videoId), seal.partCount)
      }
      return reply.status(202).send(await context.claims.claim('UploadSealed', upload.videoId, seal, { id }))
    },
  })
}

const checkSeal = ({ limits }: GatewayContext, upload: RecordedUpload, { partCount, sizeBytes }: Seal): void => {
  if (upload.partCount !== null) {
    throw new BadInputError('ALREADY_SEALED', `The upload has ${upload.partCount} parts, and that does not change.`)
  }
  if (sizeBytes > limits.maxUploadBytes) {
    throw new BadInputError(
      'FILE_TOO_LARGE',
      `The file has ${sizeBytes} bytes; at most ${limits.maxUploadBytes} are accepted.`,
    )
  }
  const needed = Math.ceil(sizeBytes / upload.partSizeBytes)
  if (needed === partCount) return
  throw new BadInputError('PART_INVALID', `${sizeBytes} bytes are ${needed} parts of this upload, not ${partCount}.`)
}
