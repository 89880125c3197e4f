import { createHash } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListPartsCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { BadInputError, BugError } from '../platform/errors.ts'
import { headObject, type ObjectHead } from './read-object.ts'
import { abortableBy, about, type CallOptions, unquoted } from './s3-call.ts'
import { hasCode, withS3Errors } from './s3-errors.ts'

/**
 * S3 multipart uploads: create, list, complete, abort. Parts themselves go from the client straight to S3 over URLs
 * from presign.ts.
 *
 * What S3 does NOT promise, and what therefore is not asked of it:
 * - Whether an upload is open. Some servers take parts for aborted and invented upload ids. The log says what is open;
 *   the gateway does not sign for an upload that is closed there.
 * - What the parts are. Some servers list parts without their checksums, in one page however many there are. Lists are
 *   compared with what was recorded, never taken for it.
 * - That an error from Complete means failure. The answer can be lost after the object was made, and the SDK's own
 *   retry then finds no upload any more (404). So after any doubtful answer the object is looked at: if it is there
 *   with the expected length and checksum, the upload IS complete.
 *
 * Every upload uses composite SHA-256: each part carries its digest, Complete repeats all of them, and the object's
 * checksum is the SHA-256 of the parts' digests. Complete always says If-None-Match: * (sources are written once).
 *
 * Calls for one upload come from ONE owner at a time: ten Completes at once made half of the servers answer 5xx.
 */
export interface MultipartRef {
  readonly bucket: string
  readonly key: string
  /** The id that S3 gave the upload. */
  readonly uploadId: string
}

/** A part as S3 lists it. */
export interface StoredPart {
  /** 1 … 10,000. */
  readonly partNumber: number
  /** Without quotes. */
  readonly etag: string
  readonly sizeBytes: number
  /** SHA-256, base64; null where the server does not list checksums. */
  readonly checksumSha256: string | null
}

/** A part as it is named in Complete. */
export interface CompletedPart {
  readonly partNumber: number
  readonly etag: string
  readonly sizeBytes: number
  /** SHA-256 of the part, base64. */
  readonly checksumSha256: string
}

export interface OpenMultipart {
  readonly key: string
  readonly uploadId: string
  /** Milliseconds since the epoch; null where the server does not say. */
  readonly initiatedAtMs: number | null
}

/**
 * Opens a multipart upload with composite SHA-256 and returns the id that S3 gave it. NOT idempotent: every call, and
 * every retry whose first answer was lost, makes another upload; what nobody records is swept by age.
 * @throws UpstreamError (S3_UNAVAILABLE and others of s3-errors.ts)
 */
export const createMultipart = async (
  s3: S3Client,
  object: { readonly bucket: string; readonly key: string; readonly contentType: string },
  { signal }: CallOptions = {},
): Promise<MultipartRef> => {
  const { bucket, key, contentType } = object
  const command = new CreateMultipartUploadCommand({
    Bucket: bucket,
    Key: key,
    ContentType: contentType,
    ChecksumAlgorithm: 'SHA256',
    ChecksumType: 'COMPOSITE',
  })
  const answer = await withS3Errors({ action: 'begin a multipart upload', bucket, key, signal }, () =>
    s3.send(command, abortableBy(signal)),
  )
  if (answer.UploadId === undefined) throw new BugError('S3_PROTOCOL', 'S3 began a multipart upload without an id.')
  return { bucket, key, uploadId: answer.UploadId }
}

/**
 * All stored parts, ascending by number.
 * @throws BadInputError MULTIPART_NOT_FOUND; but an empty list may also mean an upload that never was (see above)
 */
export const listParts = async (
  s3: S3Client,
  ref: MultipartRef,
  { signal }: CallOptions = {},
): Promise<readonly StoredPart[]> => {
  const parts: StoredPart[] = []
  let marker: string | undefined
  do {
    const page = await withS3Errors(about('list the parts', ref, signal), () =>
      s3.send(new ListPartsCommand({ ...named(ref), PartNumberMarker: marker }), abortableBy(signal)),
    )
    for (const part of page.Parts ?? []) {
      parts.push({
        partNumber: part.PartNumber ?? 0,
        etag: unquoted(part.ETag),
        sizeBytes: part.Size ?? 0,
        checksumSha256: part.ChecksumSHA256 ?? null,
      })
    }
    marker = page.IsTruncated === true ? page.NextPartNumberMarker : undefined
  } while (marker !== undefined)
  return parts.sort((a, b) => a.partNumber - b.partNumber)
}

/**
 * Makes the object of the parts and returns its head, verified: its length is the sum of the parts, and its composite
 * checksum is the one of their digests (where the server keeps one). Idempotent: done again after a success, by us or
 * by a process that died, it verifies and returns the same. Whatever the server answers, the object decides: an earlier
 * Complete may have made it, or have been making it, and then the answers to this one are of all kinds.
 *
 * @param s3 of createCompletingClient, where objects may be large
 * @param parts all of them, in any order; at least one
 * @throws BadInputError PARTS_INVALID: a part is missing or is not the one that was named; the upload stays open
 * @throws BadInputError MULTIPART_NOT_FOUND: neither the upload nor an object is there
 * @throws BadInputError OBJECT_MISMATCH: an object is there, but not of these parts
 * @throws UpstreamError retryable as it says
 */
export const completeMultipart = async (
  s3: S3Client,
  ref: MultipartRef,
  parts: readonly CompletedPart[],
  { signal }: CallOptions = {},
): Promise<ObjectHead> => {
  const ordered = [...parts].sort((a, b) => a.partNumber - b.partNumber)
  const failure = await complete(s3, ref, ordered, signal).then(
    () => undefined,
    (error: unknown) => error,
  )
  const head = await headObject(s3, ref, { signal })
  if (head === null) throw failure ?? mismatch(ref, 'S3 reported success, but there is no object')
  verify(ref, head, ordered, failure)
  return head
}

/**
 * The object of these parts, verified, if it is there already: an earlier Complete counted, whose answer nobody heard.
 * Null if there is none.
 * @throws BadInputError OBJECT_MISMATCH: an object is there, but not of these parts; UpstreamError retryable as it says
 */
export const findCompleted = async (
  s3: S3Client,
  ref: MultipartRef,
  parts: readonly CompletedPart[],
  { signal }: CallOptions = {},
): Promise<ObjectHead | null> => {
  const head = await headObject(s3, ref, { signal })
  if (head !== null)
    verify(
      ref,
      head,
      [...parts].sort((a, b) => a.partNumber - b.partNumber),
    )
  return head
}

const verify = (ref: MultipartRef, head: ObjectHead, ordered: readonly CompletedPart[], failure?: unknown): void => {
  const expectedBytes = ordered.reduce((sum, part) => sum + part.sizeBytes, 0)
  if (head.sizeBytes !== expectedBytes) {
    throw mismatch(ref, `it has ${head.sizeBytes} bytes, its parts have ${expectedBytes}`, failure)
  }
  const expectedChecksum = compositeChecksum(ordered.map((part) => part.checksumSha256))
  if (head.checksumSha256 !== null && head.checksumSha256 !== expectedChecksum) {
    throw mismatch(ref, `its checksum is ${head.checksumSha256}, that of its parts ${expectedChecksum}`, failure)
  }
}

/** Gives the upload up and frees its parts. One that is not there (any more) counts as done. */
export const abortMultipart = async (s3: S3Client, ref: MultipartRef, { signal }: CallOptions = {}): Promise<void> => {
  try {
    await withS3Errors(about('abort the multipart upload', ref, signal), () =>
      s3.send(new AbortMultipartUploadCommand(named(ref)), abortableBy(signal)),
    )
  } catch (error) {
    if (!hasCode(error, 'MULTIPART_NOT_FOUND', 'OBJECT_NOT_FOUND')) throw error
  }
}

/** Every open upload below the prefix, page by page, by key. For sweeping: never for asking whether one is open. */
export async function* listMultipartUploads(
  s3: S3Client,
  within: { readonly bucket: string; readonly prefix: string },
  { signal }: CallOptions = {},
): AsyncGenerator<OpenMultipart> {
  let after: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {}
  while (after !== undefined) {
    const command: ListMultipartUploadsCommand = new ListMultipartUploadsCommand({
      Bucket: within.bucket,
      Prefix: within.prefix,
      ...after,
    })
    const page: ListMultipartUploadsCommandOutput = await withS3Errors(
      { action: 'list the open uploads', bucket: within.bucket, signal },
      () => s3.send(command, abortableBy(signal)),
    )
    for (const upload of page.Uploads ?? []) {
      if (upload.Key === undefined || upload.UploadId === undefined) continue
      const initiatedAtMs = upload.Initiated?.getTime() ?? null
      yield { key: upload.Key, uploadId: upload.UploadId, initiatedAtMs }
    }
    after = page.IsTruncated === true ? nextPage(page.NextKeyMarker, page.NextUploadIdMarker) : undefined
  }
}

/**
 * The composite SHA-256 that S3 gives an object of these parts: SHA-256 over their raw digests, base64, `-` and their
 * number. Source: "Checking object integrity" of the S3 user guide, composite checksums.
 * @param checksums SHA-256 of each part in ascending order, base64
 */
export const compositeChecksum = (checksums: readonly string[]): string => {
  const hash = createHash('sha256')
  for (const checksum of checksums) hash.update(Buffer.from(checksum, 'base64'))
  return `${hash.digest('base64')}-${checksums.length}`
}

const complete = async (
  s3: S3Client,
  ref: MultipartRef,
  parts: readonly CompletedPart[],
  signal: AbortSignal | undefined,
): Promise<void> => {
  const command = new CompleteMultipartUploadCommand({
    ...named(ref),
    IfNoneMatch: '*',
    MultipartUpload: {
      Parts: parts.map((part) => ({
        PartNumber: part.partNumber,
        ETag: `"${part.etag}"`,
        ChecksumSHA256: part.checksumSha256,
      })),
    },
  })
  await withS3Errors(about('complete the multipart upload', ref, signal), () => s3.send(command, abortableBy(signal)))
}

const mismatch = (ref: MultipartRef, why: string, cause?: unknown): BadInputError =>
  new BadInputError('OBJECT_MISMATCH', `The object is not what was uploaded: ${why}.`, {
    cause,
    facts: { bucket: ref.bucket, key: ref.key },
  })

const nextPage = (key: string | undefined, uploadId: string | undefined) =>
  key === undefined ? undefined : { KeyMarker: key, ...(uploadId === undefined ? {} : { UploadIdMarker: uploadId }) }

const named = (ref: MultipartRef) => ({ Bucket: ref.bucket, Key: ref.key, UploadId: ref.uploadId })
