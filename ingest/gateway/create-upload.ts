import { LRUCache } from 'lru-cache'
import { BadInputError, UpstreamError } from '../../platform/errors.ts'
import type { Author } from '../../platform/http/author-token.ts'
import { deriveId, videoIdFor } from '../../platform/ids.ts'
import type { UploadStarted, VideoDetails } from '../../schemas/generated.ts'
import type { MultipartRef } from '../../storage/multipart.ts'
import { partPlanFor, partSizeFor } from '../../storage/part-size.ts'
import { hasCode } from '../../storage/s3-errors.ts'
import { CLAIM_DOUBTFUL, SEND_QUEUE_FULL } from '../claim-producer.ts'
import type { GatewayContext, GatewayLimits } from './context.ts'
import { sameDetails } from './details.ts'
import { checkOpenUploads } from './open-uploads.ts'
import type { RecordedUpload } from './upload-reads.ts'

/**
 * Creating an upload: a multipart in S3, a claim in Kafka, a row in Postgres, and no transaction around the three.
 *
 * The rule that makes it safe: THE ANSWER COMES FROM THE ROW, never from what this request did. The Idempotency-Key
 * names the video (videoIdFor), the first UploadStarted of a video wins in the log, and everybody who creates with that
 * key, now or later, here or on another gateway, is told what the winner's row says. So:
 *
 *     the row is there already     answer from it; the same body is a repetition, another body is refused
 *     two creates race             both are told the winner's upload; the loser aborts its own multipart
 *     the claim was refused        the refusal's code; the multipart is aborted
 *     the claim is in doubt        503. The multipart STAYS: the claim may be in the log, and a fact that names an
 *                                  aborted multipart would be an upload that can never succeed. The repetition takes
 *                                  the same multipart up again and sends the same claim id, so repeating piles nothing
 *                                  up; one that reaches another gateway makes another, and the log says which counts.
 *     the row does not come        503, likewise. What nobody repeats is swept by age.
 */
export interface NewUpload {
  readonly contentType: string
  /** Null while nobody knows: the client seals the upload when it does. */
  readonly sizeBytes: number | null
  readonly details: VideoDetails
}

/** Multiparts of creates that are under way or ended in doubt, by video: what a repetition goes on with. */
export type UnfinishedCreates = Pick<LRUCache<string, UnfinishedCreate>, 'get' | 'set' | 'delete'>

interface UnfinishedCreate {
  readonly multipart: MultipartRef
  /** Another request has gone on with it: its claim may have been written, or may yet be. */
  isShared: boolean
}

/**
 * Bounded: this is a saving, not a truth. And short-lived: the reconciler aborts multiparts that no claim names, once
 * they are old enough that no claim can follow any more (docs/adr/0018). Repeating does not make one younger.
 */
export const createUnfinished = (): UnfinishedCreates =>
  new LRUCache({ max: 10_000, ttl: UNFINISHED_LIFE_MS, noUpdateTTL: true })
const UNFINISHED_LIFE_MS = 15 * 60_000

export interface CreatedUpload {
  readonly upload: RecordedUpload
  /** ce_id of the claim that made it. */
  readonly claimId: string
}

/**
 * @throws BadInputError EMPTY_FILE, FILE_TOO_LARGE, TOO_MANY_OPEN_UPLOADS, UPLOAD_QUOTA_EXCEEDED, IDEMPOTENCY_KEY_REUSED
 *   or a refusal's
 * @throws UpstreamError (retryable)
 */
export const createUpload = async (
  context: GatewayContext,
  unfinished: UnfinishedCreates,
  author: Author,
  idempotencyKey: string,
  wanted: NewUpload,
): Promise<CreatedUpload> => {
  checkSize(wanted.sizeBytes, context.limits.maxUploadBytes)
  const videoId = videoIdFor(author.id, idempotencyKey)
  const recorded =
    (await context.reads.findUpload(videoId)) ?? (await begin(context, unfinished, author, videoId, wanted))
  await checkSameRequest(context, recorded, wanted)
  return { upload: recorded, claimId: claimIdFor(videoId, recorded.s3UploadId) }
}

const checkSize = (sizeBytes: number | null, maxBytes: number): void => {
  if (sizeBytes === 0) throw new BadInputError('EMPTY_FILE', 'The file is empty.')
  if (sizeBytes === null || sizeBytes <= maxBytes) return
  throw new BadInputError('FILE_TOO_LARGE', `The file has ${sizeBytes} bytes; at most ${maxBytes} are accepted.`)
}

/** One multipart of one video is one claim, however often it is sent. */
const claimIdFor = (videoId: string, s3UploadId: string): string => deriveId('UploadStarted', videoId, s3UploadId)

const begin = async (
  context: GatewayContext,
  unfinished: UnfinishedCreates,
  author: Author,
  videoId: string,
  wanted: NewUpload,
): Promise<RecordedUpload> => {
  const { contentType, sizeBytes } = wanted
  await checkOpenUploads(context, author.id, { uploads: 1, bytes: sizeBytes ?? 0 })
  const left = unfinished.get(videoId)
  if (left !== undefined) left.isShared = true
  const attempt = left ?? { multipart: await context.store.begin({ videoId, contentType }), isShared: false }
  const { multipart } = attempt
  // From here on until the end is known: two requests may go on with it, and both then send the same claim.
  unfinished.set(videoId, attempt)
  try {
    await claim(context, author, videoId, multipart, wanted)
  } catch (error) {
    // However certain it is that this attempt did not write the claim: an earlier one, or one beside it, may have.
    if (!attempt.isShared && !isDoubtful(error)) {
      unfinished.delete(videoId)
      await giveUp(context, multipart)
    }
    throw error
  }
  const recorded = await readOutcome(context, videoId, multipart).catch((error: unknown) => {
    if (!isDoubtful(error)) unfinished.delete(videoId)
    throw error
  })
  unfinished.delete(videoId)
  return recorded
}

/** After these the claim, of this attempt or an earlier one, may be in the log, and may yet become a fact. */
const isDoubtful = (error: unknown): boolean =>
  hasCode(error, CLAIM_DOUBTFUL, SEND_QUEUE_FULL, NOT_RECORDED_YET, 'DATABASE_UNAVAILABLE')
const NOT_RECORDED_YET = 'UPLOAD_NOT_RECORDED_YET'

const claim = async (
  context: GatewayContext,
  author: Author,
  videoId: string,
  multipart: MultipartRef,
  wanted: NewUpload,
): Promise<void> => {
  const started = uploadStarted(context, author, multipart, wanted)
  const id = claimIdFor(videoId, multipart.uploadId)
  await context.claims.claim('UploadStarted', videoId, started, { id })
}

/** What admission made of it. A multipart that is not the recorded one is given up. */
const readOutcome = async (
  context: GatewayContext,
  videoId: string,
  multipart: MultipartRef,
): Promise<RecordedUpload> => {
  const claimId = claimIdFor(videoId, multipart.uploadId)
  const outcome = await context.reads.waitForOutcome(claimId, context.limits.outcomeTimeoutMs)
  const recorded = await context.reads.findUpload(videoId)
  if (recorded?.s3UploadId === multipart.uploadId) return recorded
  if (recorded !== null || (outcome !== null && outcome.code !== null)) await giveUp(context, multipart)
  if (recorded !== null) return recorded
  if (outcome !== null && outcome.code !== null) {
    throw new BadInputError(outcome.code, outcome.detail ?? 'The upload was refused.')
  }
  throw new UpstreamError(NOT_RECORDED_YET, 'The upload is not recorded yet. Repeat with the same key.')
}

const uploadStarted = (
  { limits, clock }: GatewayContext,
  author: Author,
  { bucket, key, uploadId }: MultipartRef,
  { contentType, sizeBytes, details }: NewUpload,
): UploadStarted => ({
  authorId: author.id,
  details,
  sealedDetails: null,
  contentType,
  sizeBytes,
  ...planFor(sizeBytes, limits),
  checksumAlgorithm: 'SHA256',
  bucket,
  objectKey: key,
  s3UploadId: uploadId,
  expiresAtMs: clock.now() + limits.uploadLifeMs,
})

const planFor = (sizeBytes: number | null, { partSizeBytes, unsizedPartSizeBytes }: GatewayLimits) =>
  sizeBytes === null
    ? { partSizeBytes: partSizeFor(1, unsizedPartSizeBytes), partCount: null }
    : partPlanFor(sizeBytes, partSizeBytes)

/** The caller's answer does not depend on it: a multipart that cannot be aborted now is swept by age. */
const giveUp = async ({ store, log }: GatewayContext, multipart: MultipartRef): Promise<void> => {
  try {
    await store.abort(multipart)
  } catch (error) {
    log.warn({ err: error, objectKey: multipart.key }, 'multipart upload not aborted, left to the sweep')
  }
}

/**
 * A key names one file with one set of details. The details can be compared only as long as nobody changed them; after
 * that the file alone is compared, because nothing keeps what was asked for first.
 */
const checkSameRequest = async (
  { reads }: GatewayContext,
  recorded: RecordedUpload,
  wanted: NewUpload,
): Promise<void> => {
  // Of an upload that began without a length, the length may be known by now.
  const sameSize = wanted.sizeBytes === null || recorded.sizeBytes === wanted.sizeBytes
  const sameFile = sameSize && recorded.contentType === wanted.contentType
  const video = sameFile ? await reads.findVideo(recorded.videoId) : null
  const untouched = video !== null && video.revision === 1
  if (sameFile && (!untouched || sameDetails(video.details, wanted.details))) return
  throw new BadInputError('IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key was used for an upload with another body.')
}
