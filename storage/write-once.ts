import { createHash } from 'node:crypto'
import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { UpstreamError } from '../platform/errors.ts'
import { headObject, readRange } from './read-object.ts'
import { abortableBy, about, type CallOptions, type ObjectName } from './s3-call.ts'
import { hasCode, withS3Errors } from './s3-errors.ts'

/**
 * Write-once objects: the key is written if nothing is there, and never again.
 *
 * Effects run at least once, and two zombies may run the same one at once. With If-None-Match: * the first to arrive
 * makes the object; whoever comes later, or again after a lost answer, learns whether what is there is the same:
 *
 *     'created'           this call made it
 *     'exists-equal'      it was there with the same bytes: as good as made
 *     'exists-different'  it was there with other bytes: write to another key (alternativeKey in object-keys.ts)
 *
 * so a segment that a playlist names can never change under a player. The bytes travel with their SHA-256, which the
 * server checks before the object becomes visible; a cut upload leaves nothing.
 */
export type PutOutcome = 'created' | 'exists-equal' | 'exists-different'

export interface WriteOnce extends ObjectName {
  readonly body: Uint8Array
  readonly contentType: string
  /** HTTP Cache-Control that the object is served with. */
  readonly cacheControl: string
  /** SHA-256 of the body, base64; computed when it is not given. */
  readonly checksumSha256?: string | undefined
}

/** For objects whose key is never written again. */
export const IMMUTABLE = 'public, max-age=31536000, immutable'

/**
 * @throws BadInputError CHECKSUM_MISMATCH: the given checksum is not the body's, or it was damaged on the way
 * @throws UpstreamError (retryable as it says; the call may be repeated as it is)
 */
export const putOnce = async (s3: S3Client, object: WriteOnce, { signal }: CallOptions = {}): Promise<PutOutcome> => {
  const checksumSha256 = object.checksumSha256 ?? sha256(object.body)
  const command = new PutObjectCommand({
    Bucket: object.bucket,
    Key: object.key,
    Body: object.body,
    ContentType: object.contentType,
    CacheControl: object.cacheControl,
    ChecksumSHA256: checksumSha256,
    IfNoneMatch: '*',
  })
  try {
    await withS3Errors(about('write the object', object, signal), () => s3.send(command, abortableBy(signal)))
    return 'created'
  } catch (error) {
    // 409 is AWS's "another conditional write of this key is under way": look at what came of it.
    if (!hasCode(error, 'PRECONDITION_FAILED', 'S3_CONFLICT')) throw error
    return compareWithStored(s3, object, checksumSha256, signal, error)
  }
}

/** SHA-256, base64: the form in which S3 and our events carry it. */
export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('base64')

const compareWithStored = async (
  s3: S3Client,
  object: WriteOnce,
  checksumSha256: string,
  signal: AbortSignal | undefined,
  cause: unknown,
): Promise<PutOutcome> => {
  const stored = await headObject(s3, { bucket: object.bucket, key: object.key }, { signal })
  if (stored === null) {
    const options = { cause, facts: { bucket: object.bucket, key: object.key } }
    throw new UpstreamError('S3_CONFLICT', 'Somebody else is writing this object right now.', options)
  }
  if (stored.sizeBytes !== object.body.byteLength) return 'exists-different'
  const storedChecksum = stored.checksumSha256 ?? (await checksumOfStored(s3, object, stored, signal))
  return storedChecksum === checksumSha256 ? 'exists-equal' : 'exists-different'
}

/** For servers that keep no checksum. Rare (only after a 412), so that reading the object again does not matter. */
const checksumOfStored = async (
  s3: S3Client,
  object: ObjectName,
  stored: { readonly etag: string; readonly sizeBytes: number },
  signal: AbortSignal | undefined,
): Promise<string> => {
  const hash = createHash('sha256')
  const ref = { bucket: object.bucket, key: object.key, etag: stored.etag }
  const range = { first: 0, last: stored.sizeBytes - 1 }
  for await (const chunk of readRange(s3, ref, range, { signal })) hash.update(chunk)
  return hash.digest('base64')
}
