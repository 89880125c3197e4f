import type { Clock } from '../../platform/clock.ts'
import { abortMultipart, createMultipart, listMultipartUploads, type MultipartRef } from '../../storage/multipart.ts'
import { sourceKey } from '../../storage/object-keys.ts'
import { type PartToSign, presignPart, type SignedRequest } from '../../storage/presign.ts'
import type { S3Client } from '../../storage/s3-client.ts'

/**
 * What the gateway asks of S3: to begin an upload, to give up one that lost a race, and to sign parts. Bytes never pass
 * through the gateway.
 */
export interface UploadStore {
  /**
   * The multipart upload for the source of this video. One that an earlier, failed attempt of the same create left open
   * is taken up again: so the same Idempotency-Key means the same multipart, repeated attempts pile nothing up, and the
   * claim of an attempt whose outcome is in doubt stays true.
   * @throws UpstreamError when S3 is away or silent for too long
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
}): UploadStore => {
  const { s3, presigner, bucket, clock } = options
  return {
    async begin({ videoId, contentType }) {
      const key = sourceKey(videoId)
      const signal = AbortSignal.timeout(TIMEOUT_MS)
      for await (const open of listMultipartUploads(s3, { bucket, prefix: key }, { signal })) {
        if (open.key === key) return { bucket, key, uploadId: open.uploadId }
      }
      return createMultipart(s3, { bucket, key, contentType }, { signal })
    },
    abort: (ref) => abortMultipart(s3, ref, { signal: AbortSignal.timeout(TIMEOUT_MS) }),
    signPart: (ref, part, expiresInSeconds) => presignPart(presigner, ref, part, { expiresInSeconds, clock }),
  }
}
