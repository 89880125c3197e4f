import { BadInputError, type ReelstreamError, UpstreamError } from '../../../platform/errors.ts'
import type { EffectRun, Executor } from '../../../runtime/run/executors.ts'
import {
  type CompletedPart,
  completeMultipart,
  findCompleted,
  listParts,
  type MultipartRef,
} from '../../../storage/multipart.ts'
import type { ObjectHead } from '../../../storage/read-object.ts'
import type { S3Client } from '../../../storage/s3-client.ts'
import { hasCode } from '../../../storage/s3-errors.ts'
import { compareParts } from '../compare-parts.ts'
import type { CompleteInput, CompleteOutcome, Part } from '../generated.ts'

/**
 * Makes the object of its parts: looks whether it is there already, compares what the log says with what S3 lists,
 * completes the parts with their checksums, verifies the object. Done again, by us or by a process that died, it finds
 * the object and says the same.
 *
 * The object is looked for BEFORE the list is asked: once it exists the list is gone, and some servers then list no
 * parts and no error, which would read like a client that sent nothing.
 *
 * What can never succeed is an outcome (single parts that are wrong, or the whole); an S3 that is away is an error, and
 * tried again. So is one that complains of checksums: with parts that were just compared that is what a server says while
 * it still assembles the object for a process that died, and it is believed when that could have ended long ago.
 *
 * @param completing of createCompletingClient
 */
export const completeWith =
  (s3: S3Client, completing: S3Client): Executor<CompleteInput, CompleteOutcome> =>
  async (input, run) => {
    try {
      return await complete({ s3, completing }, input, run)
    } catch (error) {
      if (!isRejection(error)) throw error
      if (error.code === 'CHECKSUM_MISMATCH' && run.attempt < SURE_FROM_ATTEMPT) {
        throw new UpstreamError('S3_CONFLICT', `${error.message} An earlier completion may still be under way.`, {
          cause: error,
          facts: error.facts,
        })
      }
      return { completed: null, rejection: { code: error.code, detail: error.message }, wrongParts: [] }
    }
  }

/** By the effect's back-off about twenty minutes after the first. */
const SURE_FROM_ATTEMPT = 12

const complete = async (
  { s3, completing }: { readonly s3: S3Client; readonly completing: S3Client },
  input: CompleteInput,
  run: EffectRun<unknown>,
): Promise<CompleteOutcome> => {
  const ref = { bucket: input.bucket, key: input.objectKey, uploadId: input.s3UploadId }
  const reported = partsOf(input, run)
  const found = await findCompleted(s3, ref, reported.map(asReported), run)
  if (found !== null) return completedAs(found)
  const stored = await listed(s3, ref, run)
  const { wrong, etags } = stored === null ? { wrong: [], etags: new Map() } : compareParts(input, reported, stored)
  if (wrong.length > 0) {
    // Parts vanish one by one when an earlier completion ends.
    const meanwhile = await findCompleted(s3, ref, reported.map(asReported), run)
    if (meanwhile !== null) return completedAs(meanwhile)
    return { completed: null, rejection: null, wrongParts: [...wrong] }
  }
  const parts = reported.map((part) => ({ ...asReported(part), etag: etags.get(part.partNumber) ?? part.etag }))
  return completedAs(await completeMultipart(completing, ref, parts, run))
}

/** Null when the upload is not there: Complete then says whether an object is, whoever made it meanwhile. */
const listed = async (s3: S3Client, ref: MultipartRef, run: EffectRun<unknown>) => {
  try {
    return await listParts(s3, ref, run)
  } catch (error) {
    if (hasCode(error, 'MULTIPART_NOT_FOUND')) return null
    throw error
  }
}

const asReported = ({ checksum, ...part }: Part): CompletedPart => ({ ...part, checksumSha256: checksum })

const completedAs = ({ etag, sizeBytes, checksumSha256 }: ObjectHead): CompleteOutcome => ({
  completed: { etag, sizeBytes, checksum: checksumSha256 },
  rejection: null,
  wrongParts: [],
})

const REJECTIONS: readonly string[] = [
  'PARTS_INVALID',
  'CHECKSUM_MISMATCH',
  'MULTIPART_NOT_FOUND',
  'OBJECT_MISMATCH',
  'SIZE_MISMATCH',
]

const isRejection = (error: unknown): error is ReelstreamError =>
  error instanceof BadInputError && REJECTIONS.includes(error.code)

const partsOf = ({ partCount, partSizeBytes, sizeBytes }: CompleteInput, run: EffectRun<unknown>): readonly Part[] => {
  const parts = run.read<Part>('part').map(([, part]) => part)
  const numbered = parts.filter(({ partNumber }) => partNumber <= partCount)
  const total = numbered.reduce((sum, part) => sum + part.sizeBytes, 0)
  if (numbered.length !== partCount) {
    throw new BadInputError('PARTS_INVALID', `expected ${partCount} parts, ${numbered.length} were reported`)
  }
  // Where the plan is known, the parts that break it are named, and wanted again.
  if (partSizeBytes === null && total !== sizeBytes) {
    throw new BadInputError('SIZE_MISMATCH', `the parts have ${total} bytes, the file was announced with ${sizeBytes}`)
  }
  return numbered
}
