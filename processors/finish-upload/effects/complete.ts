import { BadInputError, type ReelstreamError } from '../../../platform/errors.ts'
import type { EffectRun, Executor } from '../../../runtime/run/executors.ts'
import { completeMultipart, listParts, type StoredPart } from '../../../storage/multipart.ts'
import type { S3Client } from '../../../storage/s3-client.ts'
import type { CompleteInput, CompleteOutcome, Part } from '../generated.ts'

/**
 * Makes the object of its parts: what the log says is compared with what S3 lists, the parts are completed with their
 * checksums, the object is verified. Done again it finds the object and says the same. What can never succeed (a client
 * that reported parts it did not send) is an outcome; an S3 that is away is an error, and tried again.
 */
export const completeWith =
  (s3: S3Client): Executor<CompleteInput, CompleteOutcome> =>
  async (input, run) => {
    const ref = { bucket: input.bucket, key: input.objectKey, uploadId: input.s3UploadId }
    try {
      const parts = partsOf(input, run)
      if (run.attempt === 1) comparePartLists(parts, await listParts(s3, ref, run))
      const completed = parts.map(({ checksum, ...part }) => ({ ...part, checksumSha256: checksum }))
      const head = await completeMultipart(s3, ref, completed, run)
      return {
        completed: { etag: head.etag, sizeBytes: head.sizeBytes, checksum: head.checksumSha256 },
        rejection: null,
      }
    } catch (error) {
      if (!isRejection(error)) throw error
      return { completed: null, rejection: { code: error.code, detail: error.message } }
    }
  }

const REJECTIONS: readonly string[] = ['PARTS_INVALID', 'MULTIPART_NOT_FOUND', 'OBJECT_MISMATCH', 'SIZE_MISMATCH']

const isRejection = (error: unknown): error is ReelstreamError =>
  error instanceof BadInputError && REJECTIONS.includes(error.code)

const partsOf = ({ partCount, sizeBytes }: CompleteInput, run: EffectRun<unknown>): readonly Part[] => {
  const parts = run.read<Part>('part').map(([, part]) => part)
  const numbered = parts.filter(({ partNumber }) => partNumber <= partCount)
  const total = numbered.reduce((sum, part) => sum + part.sizeBytes, 0)
  if (numbered.length !== partCount) {
    throw new BadInputError('PARTS_INVALID', `expected ${partCount} parts, ${numbered.length} were reported`)
  }
  if (total !== sizeBytes) {
    throw new BadInputError('SIZE_MISMATCH', `the parts have ${total} bytes, the file was announced with ${sizeBytes}`)
  }
  return numbered
}

/** Only in the first run: in a later one the upload may be completed already, and its list is gone. */
const comparePartLists = (reported: readonly Part[], stored: readonly StoredPart[]): void => {
  const byNumber = new Map(stored.map((part) => [part.partNumber, part]))
  for (const part of reported) {
    const found = byNumber.get(part.partNumber)
    if (found === undefined) throw mismatch(part, 'S3 does not have it')
    if (found.sizeBytes !== part.sizeBytes) throw mismatch(part, `S3 has ${found.sizeBytes} bytes of it`)
    if (found.checksumSha256 !== null && found.checksumSha256 !== part.checksum) {
      throw mismatch(part, 'S3 has other bytes of it')
    }
  }
}

const mismatch = ({ partNumber, sizeBytes }: Part, why: string): BadInputError =>
  new BadInputError('PARTS_INVALID', `part ${partNumber} (${sizeBytes} bytes) was reported, but ${why}`)
