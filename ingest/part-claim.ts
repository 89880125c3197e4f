import { deriveId } from '../platform/ids.ts'
import type { ClaimData } from './claim-producer.ts'

/** What is said of a stored part: by the client that sent it, or by S3 when it lists it. */
export interface StoredPart {
  readonly partNumber: number
  readonly sizeBytes: number
  /** SHA-256, base64. */
  readonly checksumSha256: string
  /** Without quotes. */
  readonly etag: string
}

/**
 * The claim of a stored part. The same part with the same bytes is the same claim, whoever reports it and however often,
 * so that a repetition is recognised. Once parts of the upload were rejected that must not hold any more: what S3 lost is
 * sent again with the very same bytes, and has to be admitted once more. Pure.
 */
export const partClaim = (
  upload: { readonly s3UploadId: string; readonly rejections: number },
  { partNumber, sizeBytes, checksumSha256: checksum, etag }: StoredPart,
): { readonly id: string; readonly data: ClaimData<'PartUploaded'> } => {
  const again = upload.rejections === 0 ? [] : [upload.rejections]
  const id = deriveId('PartUploaded', upload.s3UploadId, partNumber, etag, checksum, ...again)
  return { id, data: { partNumber, sizeBytes, etag, checksum } }
}
