import type { Clock } from '../../platform/clock.ts'
import { abortMultipart, createMultipart, type MultipartRef } from '../../storage/multipart.ts'
import { sourceKey } from '../../storage/object-keys.ts'
import { type PartToSign, presignPart, type SignedRequest } from '../../storage/presign.ts'
import type { S3Client } from '../../storage/s3-client.ts'

/**
 * What the gateway asks of S3: to begin an upload, to give up one that lost a race, and to sign parts. Bytes never pass
 * through the gateway.
 */
export interface UploadStore {
  /**
   * A new multipart upload for the source of this video.
   * @throws UpstreamError S3_UNAVAILABLE when S3 is away or too slow; then one may have been made that nobody knows
   */
  begin(upload: { readonly videoId: string; readonly contentType: string }): Promise<MultipartRef>
  abort(ref: MultipartRef): Promise<void>
  /** Arithmetic only, no request. */
  signPart(ref: MultipartRef, part: PartToSign, expiresInSeconds: number): Promise<SignedRequest>
}

/** A client waits for the answer: better an early 503, which it repeats, than a late success. */
const TIMEOUT_MS = 8_000

export const s3UploadStore = (options: {
  readonly s3: S3Client
  readonly presigner: S3Client
  readonly bucket: string
  readonly clock: Clock
  /** How long a caller waits for S3, ms. */
  readonly timeoutMs?: number
}): UploadStore => {
  const { s3, presigner, bucket, clock, timeoutMs = TIMEOUT_MS } = options
  return {
    begin({ videoId, contentType }) {
      const key = sourceKey(videoId)
      return createMultipart(s3, { bucket, key, contentType }, { signal: AbortSignal.timeout(timeoutMs) })
    },
    abort: (ref) => abortMultipart(s3, ref, { signal: AbortSignal.timeout(timeoutMs) }),
    signPart: (ref, part, expiresInSeconds) => presignPart(presigner, ref, part, { expiresInSeconds, clock }),
  }
}
