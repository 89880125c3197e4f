import { Type } from 'typebox'
import { problemResponses } from '../../../platform/http/problem-schema.ts'
import { MAX_PARTS } from '../../../storage/part-size.ts'
import { ownUpload } from '../access.ts'
import { type Routes, UploadParams } from './routes.ts'

const PAGE = 1000

const nullable = (description: string) => Type.Union([Type.Integer(), Type.Null()], { description })
const text = (description: string) => Type.Union([Type.String(), Type.Null()], { description })

const StoredPartsBody = Type.Object({
  status: Type.Union([Type.Literal('open'), Type.Literal('completed'), Type.Literal('aborted')]),
  code: text('Why it was aborted.'),
  detail: text('The sentence of the code.'),
  rejections: Type.Integer({ description: 'How often parts turned out not to be in S3 as reported, so far.' }),
  partSizeBytes: Type.Integer({ description: 'Length of every part but the last.' }),
  partCount: nullable('Null while the length is not known.'),
  sizeBytes: nullable('Null while it is not known.'),
  parts: Type.Array(
    Type.Object({
      partNumber: Type.Integer(),
      sizeBytes: Type.Integer(),
      checksumSha256: Type.String({ description: 'Base64: whoever resumes compares it with the file.' }),
      etag: Type.String(),
    }),
    { description: 'Ascending.' },
  ),
  nextPart: nullable('For `afterPart` of the next page; null on the last.'),
})

/** What is recorded, not what S3 lists: servers list what they like, and the log alone says what an upload is made of. */
export const storedPartsRoute: Routes = (app, context) => {
  app.route({
    method: 'GET',
    url: '/uploads/:uploadId/parts',
    schema: {
      tags: ['uploads'],
      summary: 'The parts that are stored',
      description:
        'For whoever resumes, or waits for the end (with limit=1, by the upload token). A part that S3 turned out not to ' +
        'have is taken off the list, and is to be sent again: rejections says that there are such.',
      params: UploadParams,
      querystring: Type.Object({
        afterPart: Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_PARTS, description: 'Default: 0.' })),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: PAGE, description: 'Default: 1000.' })),
      }),
      response: { 200: StoredPartsBody, ...problemResponses },
    },
    handler: async (request, reply) => {
      const { upload } = await ownUpload(context, request, request.params.uploadId)
      const { afterPart = 0, limit = PAGE } = request.query
      const found = await context.reads.findParts(upload.videoId, afterPart, limit + 1)
      const parts = found.slice(0, limit)
      const { status, code, detail, rejections, partSizeBytes, partCount, sizeBytes } = upload
      void reply.header('cache-control', 'private, no-store')
      const nextPart = found.length > limit ? (parts.at(-1)?.partNumber ?? null) : null
      return { status, code, detail, rejections, partSizeBytes, partCount, sizeBytes, parts: [...parts], nextPart }
    },
  })
}
