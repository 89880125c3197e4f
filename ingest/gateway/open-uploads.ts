import { BadInputError } from '../../platform/errors.ts'
import type { GatewayContext } from './context.ts'
import type { OpenUploads, PartsSum, RecordedUpload } from './upload-reads.ts'

/**
 * How much of S3 one author may hold open: uploads, and their bytes.
 *
 * Approximate, and meant to be. It is asked of the read model, which knows a create some 50 ms after it, so whoever
 * begins many uploads at once gets past the limit by as many as are under way; createsPerMinute bounds that, and expiry
 * ends it. Of a stream of unknown length counts what is reported, so that each can hold MAX_UNREPORTED_PARTS parts more.
 * A hard rule would belong to admission, which decides in the order of the log. But admission decides per
 * video, and the videos of an author are on every partition: the rule would need a stage of its own, keyed by author, in
 * front of every create. What the limit protects is space that frees itself, and no invariant; that is not worth a hop.
 *
 * @param more what would be added
 * @throws BadInputError TOO_MANY_OPEN_UPLOADS, UPLOAD_QUOTA_EXCEEDED; UpstreamError DATABASE_UNAVAILABLE
 */
export const checkOpenUploads = async (
  { reads, limits }: GatewayContext,
  authorId: string,
  more: OpenUploads,
): Promise<void> => {
  const open = await reads.openUploads(authorId)
  if (open.uploads + more.uploads > limits.maxOpenUploads) {
    throw new BadInputError(
      'TOO_MANY_OPEN_UPLOADS',
      `${open.uploads} uploads are open, and ${limits.maxOpenUploads} may be. Finish one, or give one up.`,
    )
  }
  if (open.bytes + more.bytes <= limits.maxOpenBytes) return
  throw new BadInputError(
    'UPLOAD_QUOTA_EXCEEDED',
    `The open uploads have ${open.bytes} bytes, and with ${more.bytes} more they would have over ${limits.maxOpenBytes}.`,
  )
}

/**
 * Parts of an upload of unknown length that may be signed before they are recorded. Each of the SDK's 32 connections has
 * two at most: one on its way, and one that is signed while the one before is reported. The other 192 are for a read model
 * that is behind: with 16 MiB each, 25 seconds at 1 Gbit/s. Whoever gets there waits.
 */
const MAX_UNREPORTED_PARTS = 256

/**
 * What an upload of unknown length will hold is counted as it comes, up to its highest part, and what it may not hold is
 * not signed.
 * @throws BadInputError PARTS_NOT_REPORTED, UPLOAD_QUOTA_EXCEEDED; UpstreamError DATABASE_UNAVAILABLE
 */
export const checkGrowth = async (
  context: GatewayContext,
  upload: RecordedUpload,
  parts: readonly { readonly partNumber: number; readonly sizeBytes: number }[],
): Promise<void> => {
  if (upload.sizeBytes !== null) return
  const ends = parts.map(({ partNumber, sizeBytes }) => (partNumber - 1) * upload.partSizeBytes + sizeBytes)
  const recorded = await context.reads.sumParts(upload.videoId)
  checkReported(recorded, Math.max(...parts.map(({ partNumber }) => partNumber)))
  const moreBytes = Math.max(...ends) - recorded.bytes
  if (moreBytes > 0) await checkOpenUploads(context, upload.authorId, { uploads: 0, bytes: moreBytes })
}

/**
 * Parts that nobody was told of are in no sum.
 * @throws BadInputError PARTS_NOT_REPORTED
 */
export const checkReported = (recorded: PartsSum, highestPart: number): void => {
  if (highestPart <= recorded.parts + MAX_UNREPORTED_PARTS) return
  throw new BadInputError(
    'PARTS_NOT_REPORTED',
    `Of this upload ${recorded.parts} parts are recorded, and ${MAX_UNREPORTED_PARTS} more may be sent before they are, ` +
      `up to part ${recorded.parts + MAX_UNREPORTED_PARTS}. Report what is stored.`,
  )
}
