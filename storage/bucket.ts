import { CreateBucketCommand, HeadBucketCommand, PutBucketCorsCommand, type S3Client } from '@aws-sdk/client-s3'
import { abortableBy, type CallOptions } from './s3-call.ts'
import { hasCode, withS3Errors } from './s3-errors.ts'

/**
 * Sets the one bucket up: part of the migrate step, done at every start, without effect when all is well.
 *
 * Browsers put parts straight into the bucket, so it needs CORS: PUT from the pages' origins with any header (the
 * signed checksum among them), and ETag readable, because the client reports it. Some self-hosted servers have CORS in
 * their own configuration and answer 501 to PutBucketCors; then it is theirs, and the caller is told so.
 *
 * Needs s3:CreateBucket and s3:PutBucketCORS. Where operators make buckets themselves, a bucket that exists is enough;
 * without s3:PutBucketCORS the error S3_ACCESS_DENIED says so.
 */
export interface BucketSetup {
  readonly created: boolean
  /** `unsupported`: the server keeps CORS in its own configuration. */
  readonly cors: 'set' | 'unsupported' | 'not-asked'
}

/**
 * @param corsOrigins origins of the pages that upload, e.g. `https://video.example`; none = CORS is left as it is
 * @throws UpstreamError
 */
export const ensureBucket = async (
  s3: S3Client,
  bucket: string,
  { corsOrigins = [], signal }: CallOptions & { readonly corsOrigins?: readonly string[] } = {},
): Promise<BucketSetup> => {
  const created = !(await bucketExists(s3, bucket, signal)) && (await createBucket(s3, bucket, signal))
  if (corsOrigins.length === 0) return { created, cors: 'not-asked' }
  return { created, cors: await setCors(s3, bucket, corsOrigins, signal) }
}

/** Whether the bucket is there. Throws S3_ACCESS_DENIED where it belongs to somebody else. Also a readiness check. */
export const bucketExists = async (s3: S3Client, bucket: string, signal?: AbortSignal): Promise<boolean> => {
  try {
    await withS3Errors({ action: 'look at the bucket', bucket, signal }, () =>
      s3.send(new HeadBucketCommand({ Bucket: bucket }), abortableBy(signal)),
    )
    return true
  } catch (error) {
    // HEAD has no body, so that a missing bucket comes as a bare 404.
    if (hasCode(error, 'BUCKET_NOT_FOUND', 'OBJECT_NOT_FOUND')) return false
    throw error
  }
}

/** False if somebody else, another process starting at the same time, was first. */
const createBucket = async (s3: S3Client, bucket: string, signal: AbortSignal | undefined): Promise<boolean> => {
  try {
    await withS3Errors({ action: 'create the bucket', bucket, signal }, () =>
      s3.send(new CreateBucketCommand({ Bucket: bucket }), abortableBy(signal)),
    )
    return true
  } catch (error) {
    if (hasCode(error, 'S3_CONFLICT') && (await bucketExists(s3, bucket, signal))) return false
    throw error
  }
}

const setCors = async (
  s3: S3Client,
  bucket: string,
  origins: readonly string[],
  signal: AbortSignal | undefined,
): Promise<'set' | 'unsupported'> => {
  const rule = {
    AllowedOrigins: [...origins],
    AllowedMethods: ['GET', 'HEAD', 'PUT'],
    AllowedHeaders: ['*'],
    ExposeHeaders: ['ETag', 'x-amz-checksum-sha256'],
    MaxAgeSeconds: 3600,
  }
  const command = new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration: { CORSRules: [rule] } })
  try {
    await withS3Errors({ action: 'allow uploads from pages', bucket, signal }, () =>
      s3.send(command, abortableBy(signal)),
    )
    return 'set'
  } catch (error) {
    if (hasCode(error, 'S3_NOT_IMPLEMENTED')) return 'unsupported'
    throw error
  }
}
