/**
 * Why an upload failed. `code` is stable: the gateway's (docs/errors.md), the one that the pipeline aborted the upload
 * with, or one of the client's own:
 *
 *     CANCELLED          cancel() was called
 *     INTERRUPTED        interrupt() was called; the upload is still open
 *     CONNECTION_FAILED  no answer, after all repetitions
 *     EMPTY_FILE         a stream ended without a byte
 *     FILE_CHANGED       the source is not what it was when the upload began
 *     FILE_DIFFERS       the upload of this key is complete, with other bytes
 *     FILE_UNREADABLE    the source could not be read
 *     ETAG_HIDDEN        the bucket's CORS rules hide the ETag from pages
 *     INSECURE_CONTEXT   the page is not on https or localhost, so there is no crypto.subtle
 *     MEMORY_FAILED      the memory of open uploads does not work; said by an event, never a failure
 *     PART_LOST          the server wants a part of a stream again
 *     S3_REFUSED         S3 refused a part for good
 */
export class UploadError extends Error {
  readonly code: string
  /** HTTP status of the answer; null without one. */
  readonly status: number | null

  constructor(code: string, message: string, status: number | null = null, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'UploadError'
    this.code = code
    this.status = status
  }
}

export const asUploadError = (error: unknown): UploadError =>
  error instanceof UploadError
    ? error
    : new UploadError('CONNECTION_FAILED', error instanceof Error ? error.message : String(error), null, error)
