import { BadInputError } from '../../platform/errors.ts'
import type { GatewayContext } from './context.ts'
import type { OpenUploads } from './upload-reads.ts'

/**
 * How much of S3 one author may hold open: uploads, and their bytes.
 *
 * Approximate, and meant to be. It is asked of the read model, which knows a create some 50 ms after it, so whoever
 * begins many uploads at once gets past the limit by as many as are under way; createsPerMinute bounds that, and expiry
 * ends it. A hard rule would belong to admission, which decides in the order of the log. But admission decides per
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
