import type { Executor } from '../../../runtime/run/executors.ts'
import { abortMultipart } from '../../../storage/multipart.ts'
import type { S3Client } from '../../../storage/s3-client.ts'
import type { AbortInput, AbortOutcome } from '../generated.ts'

/** Frees the parts. An upload that is gone counts as done, so it may be repeated. */
export const abortWith =
  (s3: S3Client): Executor<AbortInput, AbortOutcome> =>
  async ({ bucket, objectKey, s3UploadId }, { signal }) => {
    await abortMultipart(s3, { bucket, key: objectKey, uploadId: s3UploadId }, { signal })
    return { existed: true }
  }
