import { GetObjectCommand, type S3Client, UploadPartCommand } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import type { Clock } from '../platform/clock.ts'
import type { MultipartRef } from './multipart.ts'
import { withS3Errors } from './s3-errors.ts'

/**
 * Presigned URLs: one request, to be made by somebody without credentials. Signing is arithmetic, no request is made.
 *
 * A part's URL is good for exactly these bytes: its SHA-256 is a SIGNED HEADER (not hoisted into the query string,
 * where servers ignore it), and so is its length. A flipped bit is answered 400, a missing header 403, and a part
 * that was cut short never arrives. Without the header one server made a 6 MB part with a zero tail of a connection
 * that died after 1 MB.
 *
 * S3 checks the expiry when a request begins, not while it runs: a URL for a slow link needs no long life if it is
 * signed when its turn comes. At most seven days (Signature Version 4), and no longer than a temporary key lives that
 * signed it, whatever the URL says: S3 refuses it after that.
 *
 * A URL is a secret while it lives: never log one.
 */
export interface PartToSign {
  readonly partNumber: number
  readonly sizeBytes: number
  /** SHA-256 of the part, base64. */
  readonly checksumSha256: string
}

export interface SignedRequest {
  readonly url: string
  /** To be sent exactly so. Content-Length is signed too; every HTTP client sets it by itself. */
  readonly headers: Readonly<Record<string, string>>
  /** Milliseconds since the epoch; earlier than asked for where the key that signed ends earlier. */
  readonly expiresAtMs: number
}

export interface SigningOptions {
  readonly expiresInSeconds: number
  readonly clock: Clock
}

const CHECKSUM_HEADER = 'x-amz-checksum-sha256'

/** Signs the PUT of one part. `presigner` is the client of createPresignClient, never the ordinary one. */
export const presignPart = async (
  presigner: S3Client,
  ref: MultipartRef,
  part: PartToSign,
  { expiresInSeconds, clock }: SigningOptions,
): Promise<SignedRequest> => {
  const command = new UploadPartCommand({
    Bucket: ref.bucket,
    Key: ref.key,
    UploadId: ref.uploadId,
    PartNumber: part.partNumber,
    ContentLength: part.sizeBytes,
    ChecksumSHA256: part.checksumSha256,
  })
  const now = clock.now()
  const about = { action: 'sign the part', bucket: ref.bucket, key: ref.key }
  const signed = await withS3Errors(about, async () => ({
    expiresAtMs: await endOf(presigner, now + expiresInSeconds * 1000),
    url: await getSignedUrl(presigner, command, {
      expiresIn: expiresInSeconds,
      signingDate: new Date(now),
      unhoistableHeaders: new Set([CHECKSUM_HEADER]),
      signableHeaders: new Set(['host', 'content-length', CHECKSUM_HEADER]),
    }),
  }))
  return { ...signed, headers: { [CHECKSUM_HEADER]: part.checksumSha256 } }
}

/** Signs the GET of an object; the holder may add a Range. `contentType` replaces the stored one in the answer. */
export const presignGet = async (
  presigner: S3Client,
  object: { readonly bucket: string; readonly key: string; readonly contentType?: string },
  { expiresInSeconds, clock }: SigningOptions,
): Promise<SignedRequest> => {
  const { bucket, key, contentType } = object
  const command = new GetObjectCommand({
    Bucket: bucket,
    Key: key,
    ...(contentType === undefined ? {} : { ResponseContentType: contentType }),
  })
  const now = clock.now()
  const signed = await withS3Errors({ action: 'sign the read', bucket, key }, async () => ({
    expiresAtMs: await endOf(presigner, now + expiresInSeconds * 1000),
    url: await getSignedUrl(presigner, command, { expiresIn: expiresInSeconds, signingDate: new Date(now) }),
  }))
  return { ...signed, headers: {} }
}

/** Asked before signing: what signs is the key that the client has now, or one that lives longer. */
const endOf = async (presigner: S3Client, wantedMs: number): Promise<number> => {
  const { expiration } = await presigner.config.credentials()
  return expiration === undefined ? wantedMs : Math.min(wantedMs, expiration.getTime())
}
