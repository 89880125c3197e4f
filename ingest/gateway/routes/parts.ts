import { type Static, Type } from 'typebox'
import { BadInputError } from '../../../platform/errors.ts'
import { problemResponses } from '../../../platform/http/problem-schema.ts'
import { MAX_PARTS, partRange } from '../../../storage/part-size.ts'
import { partClaim } from '../../part-claim.ts'
import { checkOpen, ownUpload } from '../access.ts'
import type { GatewayContext } from '../context.ts'
import { checkGrowth } from '../open-uploads.ts'
import { createPartsUnderWay, isSamePart, type PartsUnderWay } from '../parts-under-way.ts'
import type { RecordedUpload } from '../upload-reads.ts'
import { ClaimAnswer, type Routes, UploadParams } from './routes.ts'

/** A window of parts: enough for any client's parallelism, small enough for one answer. */
const MAX_WINDOW = 100

const DAY_MS = 24 * 3_600_000
const PartNumber = Type.Integer({ minimum: 1, maximum: MAX_PARTS })
const SizeBytes = Type.Integer({ minimum: 1 })
/** 32 bytes in base64. */
const Sha256 = Type.String({ pattern: '^[A-Za-z0-9+/]{43}=$', description: 'SHA-256 of the part, base64.' })
const Etag = Type.String({ pattern: '^"?[!#-~]{1,200}"?$', description: 'As S3 answered it.' })

const PartToSign = Type.Object({
  partNumber: PartNumber,
  sizeBytes: SizeBytes,
  checksumSha256: Sha256,
  unlessSignedWithinMs: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: DAY_MS,
      description:
        'Answers taken, and does not count as a signature, if the part was signed less than so long ago: another client ' +
        'may be sending it. A hint, of this gateway alone. Default: 0, whatever others do.',
    }),
  ),
})
type PartToSign = Static<typeof PartToSign>
const StoredPart = Type.Object({ etag: Etag, sizeBytes: SizeBytes, checksumSha256: Sha256 })
const NumberedPart = Type.Object({ partNumber: PartNumber, ...StoredPart.properties })
const windowOf = <T extends typeof PartToSign | typeof NumberedPart>(part: T) =>
  Type.Object({ parts: Type.Array(part, { minItems: 1, maxItems: MAX_WINDOW }) }, { additionalProperties: false })

const SignedPart = Type.Object({
  partNumber: PartNumber,
  url: Type.String({ description: 'A secret while it lives.' }),
  headers: Type.Record(Type.String(), Type.String(), { description: 'To be sent exactly so.' }),
  expiresAtMs: Type.Integer(),
  state: Type.Union([Type.Literal('free'), Type.Literal('taken'), Type.Literal('recorded')], {
    description:
      'Whether others send parts of this upload, too. recorded: somebody reported this part with this length and checksum, ' +
      'it need neither be sent nor reported. taken: see unlessSignedWithinMs. free: neither. The URL is good in any case.',
  }),
})

export const partsRoutes: Routes = (app, context) => {
  const underWay = createPartsUnderWay(context.clock)

  app.route({
    method: 'POST',
    url: '/uploads/:uploadId/parts/sign',
    schema: {
      tags: ['uploads'],
      summary: 'Sign the PUT of parts',
      description: 'Each URL is good for exactly these bytes: S3 refuses any other length or checksum.',
      params: UploadParams,
      body: windowOf(PartToSign),
      response: { 200: Type.Object({ parts: Type.Array(SignedPart) }), ...problemResponses },
    },
    handler: async (request) => {
      const { upload } = await ownUpload(context, request, request.params.uploadId)
      checkOpen(context, upload)
      for (const part of request.body.parts) checkPlan(context, upload, part)
      const numbers = request.body.parts.map(({ partNumber }) => partNumber)
      const [recorded] = await Promise.all([
        context.reads.findPartsAmong(upload.videoId, numbers),
        checkGrowth(context, upload, request.body.parts),
      ])
      const { bucket, objectKey: key, s3UploadId: uploadId } = upload
      const take = ({ partNumber, unlessSignedWithinMs = 0 }: PartToSign) =>
        underWay.take(upload, partNumber, unlessSignedWithinMs)
      const sign = async (part: PartToSign) => {
        const signed = await context.store.signPart(
          { bucket, key, uploadId },
          part,
          context.limits.signatureLifeSeconds,
        )
        const { partNumber } = part
        const isRecorded = recorded.some((other) => isSamePart(part, other)) || underWay.isReported(upload, part)
        const state = isRecorded ? 'recorded' : take(part) ? 'free' : 'taken'
        return { partNumber, ...signed, state } as const
      }
      return { parts: await Promise.all(request.body.parts.map(sign)) }
    },
  })

  app.route({
    method: 'PUT',
    url: '/uploads/:uploadId/parts/:partNumber',
    schema: {
      tags: ['uploads'],
      summary: 'Report a stored part',
      params: Type.Object({ ...UploadParams.properties, partNumber: PartNumber }),
      body: Type.Object(StoredPart.properties, { additionalProperties: false }),
      response: { 202: ClaimAnswer, ...problemResponses },
    },
    handler: async (request, reply) => {
      const { uploadId, partNumber } = request.params
      const { upload } = await ownUpload(context, request, uploadId)
      checkOpen(context, upload)
      return reply.status(202).send(await report(context, underWay, upload, { ...request.body, partNumber }))
    },
  })

  app.route({
    method: 'POST',
    url: '/uploads/:uploadId/parts',
    schema: {
      tags: ['uploads'],
      summary: 'Report stored parts',
      params: UploadParams,
      body: windowOf(NumberedPart),
      response: {
        202: Type.Object({
          parts: Type.Array(Type.Object({ partNumber: PartNumber, claimId: Type.String() })),
        }),
        ...problemResponses,
      },
    },
    handler: async (request, reply) => {
      const { upload } = await ownUpload(context, request, request.params.uploadId)
      checkOpen(context, upload)
      for (const part of request.body.parts) checkPlan(context, upload, part)
      const reported = request.body.parts.map(async (part) => ({
        partNumber: part.partNumber,
        ...(await report(context, underWay, upload, part)),
      }))
      return reply.status(202).send({ parts: await Promise.all(reported) })
    },
  })
}

interface PlannedPart {
  readonly partNumber: number
  readonly sizeBytes: number
}

interface ReportedPart extends PlannedPart {
  readonly etag: string
  readonly checksumSha256: string
}

const report = async (
  context: GatewayContext,
  underWay: PartsUnderWay,
  upload: RecordedUpload,
  part: ReportedPart,
): Promise<{ readonly claimId: string }> => {
  const { partNumber, sizeBytes, checksumSha256 } = part
  checkPlan(context, upload, part)
  const claim = partClaim(upload, { partNumber, sizeBytes, checksumSha256, etag: part.etag.replaceAll('"', '') })
  const answer = await context.claims.claim('PartUploaded', upload.videoId, claim.data, { id: claim.id })
  underWay.reported(upload, part)
  return answer
}

/** A part has the length that the plan gives it: a file that changed while it is uploaded is noticed here. */
const checkPlan = ({ limits }: GatewayContext, upload: RecordedUpload, part: PlannedPart): void => {
  const { partNumber, sizeBytes } = part
  if (upload.sizeBytes === null) return checkUnsized(limits, upload, part)
  const range = partRange(upload.sizeBytes, upload.partSizeBytes, partNumber)
  if (range?.sizeBytes === sizeBytes) return
  const expected = range === undefined ? 'does not exist' : `has ${range.sizeBytes} bytes, not ${sizeBytes}`
  throw new BadInputError('PART_INVALID', `By the plan of this upload, part ${partNumber} ${expected}.`)
}

/** Only the last part may be shorter, and which one that is nobody knows before the upload is sealed. */
const checkUnsized = (
  { maxUploadBytes }: GatewayContext['limits'],
  { partSizeBytes }: RecordedUpload,
  { partNumber, sizeBytes }: PlannedPart,
): void => {
  if (sizeBytes > partSizeBytes) {
    throw new BadInputError(
      'PART_INVALID',
      `A part of this upload has ${partSizeBytes} bytes at most, not ${sizeBytes}.`,
    )
  }
  if ((partNumber - 1) * partSizeBytes + sizeBytes <= maxUploadBytes) return
  throw new BadInputError('FILE_TOO_LARGE', `With part ${partNumber} the file has more than ${maxUploadBytes} bytes.`)
}
