import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { GetObjectCommand, HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { BugError, type ReelstreamError, UpstreamError } from '../platform/errors.ts'
import { abortableBy, about, type CallOptions, type ObjectName, unquoted } from './s3-call.ts'
import { hasCode, toStorageError, withS3Errors } from './s3-errors.ts'

/**
 * Reading objects: heads, ranges, whole small ones.
 *
 * Whoever reads an object piece by piece passes the ETag that the log names: every request then says If-Match, and an
 * object that was replaced between two reads is PRECONDITION_FAILED instead of a file made of two. Only single ranges
 * are asked for (servers disagree about several), never by part number (some answer 501).
 *
 * `readObject` hands out the stream of ONE response. It can break in the middle, which the SDK cannot repair, because
 * the request had succeeded. `readRange` repairs that: it asks again for the bytes that are missing.
 */
export interface ObjectRef extends ObjectName {
  /** Without quotes. The bytes that are meant; undefined for whatever is there. */
  readonly etag?: string | undefined
}

export interface ObjectHead {
  /** Without quotes. */
  readonly etag: string
  readonly sizeBytes: number
  readonly contentType: string | null
  readonly cacheControl: string | null
  /** SHA-256, base64, with `-<parts>` for a multipart object; null where the server keeps none. */
  readonly checksumSha256: string | null
  readonly lastModifiedMs: number | null
}

/** Bytes `first` to `last`, both included, from 0. Without `last`: to the end. */
export interface ByteRange {
  readonly first: number
  readonly last?: number | undefined
}

export interface ObjectBody {
  /** Must be consumed or destroyed: until then it holds a connection. Errors are those of the network, unmapped. */
  readonly body: Readable
  /** Length of this body, not of the object. */
  readonly bodyBytes: number
  /** Length of the whole object. */
  readonly sizeBytes: number
  readonly etag: string
  readonly contentType: string | null
  readonly cacheControl: string | null
}

/**
 * What S3 knows of the object; null if there is none.
 * @throws BadInputError PRECONDITION_FAILED if `ref.etag` is not the object's
 */
export const headObject = async (
  s3: S3Client,
  ref: ObjectRef,
  { signal }: CallOptions = {},
): Promise<ObjectHead | null> => {
  const command = new HeadObjectCommand({ ...named(ref), ChecksumMode: 'ENABLED' })
  try {
    const head = await withS3Errors(about('look at the object', ref, signal), () =>
      s3.send(command, abortableBy(signal)),
    )
    return {
      etag: unquoted(head.ETag),
      sizeBytes: head.ContentLength ?? 0,
      contentType: head.ContentType ?? null,
      cacheControl: head.CacheControl ?? null,
      checksumSha256: head.ChecksumSHA256 ?? null,
      lastModifiedMs: head.LastModified?.getTime() ?? null,
    }
  } catch (error) {
    if (hasCode(error, 'OBJECT_NOT_FOUND')) return null
    throw error
  }
}

/**
 * Opens the object, or one range of it, as a stream.
 * @throws BadInputError OBJECT_NOT_FOUND, PRECONDITION_FAILED, RANGE_NOT_SATISFIABLE; UpstreamError (retryable as it says)
 */
export const readObject = async (
  s3: S3Client,
  ref: ObjectRef,
  { range, signal }: CallOptions & { readonly range?: ByteRange | undefined } = {},
): Promise<ObjectBody> => {
  const command = new GetObjectCommand({ ...named(ref), ...(range === undefined ? {} : { Range: rangeHeader(range) }) })
  const answer = await withS3Errors(about('read the object', ref, signal), () => s3.send(command, abortableBy(signal)))
  if (answer.Body === undefined) throw new BugError('S3_PROTOCOL', 'S3 answered a read without a body.')
  const bodyBytes = answer.ContentLength ?? 0
  return {
    // The SDK types the body for browsers too; in Node it is the response stream.
    body: answer.Body as Readable,
    bodyBytes,
    sizeBytes: totalBytes(answer.ContentRange) ?? bodyBytes,
    etag: unquoted(answer.ETag),
    contentType: answer.ContentType ?? null,
    cacheControl: answer.CacheControl ?? null,
  }
}

/**
 * The bytes `range.first` … `range.last`, in order, each once, over as many connections as it takes: after a cut, or
 * while S3 is away, it asks again from the next missing byte. Gives up with S3_UNAVAILABLE when eight requests in a row
 * (about 15 s with the pauses between them) brought no byte. What will not heal is thrown at once.
 * Pass `ref.etag`, or a replaced object is not noticed. Ends the connection when the consumer stops early.
 */
export async function* readRange(
  s3: S3Client,
  ref: ObjectRef,
  range: { readonly first: number; readonly last: number },
  { signal }: CallOptions = {},
): AsyncGenerator<Buffer> {
  let next = range.first
  let fruitless = 0
  while (next <= range.last) {
    const begin = next
    let failure: ReelstreamError | undefined
    let atConsumer = false
    try {
      const { body } = await readObject(s3, ref, { range: { first: next, last: range.last }, signal })
      for await (const chunk of body as AsyncIterable<Buffer>) {
        next += chunk.length
        atConsumer = true
        yield chunk
        atConsumer = false
      }
    } catch (error) {
      // A stream that is destroyed throws its error into its source: not a fault of S3, nothing to try again.
      if (atConsumer) throw error
      failure = toStorageError(error, about('read the object', ref, signal))
      if (!failure.retryable || signal?.aborted) throw failure
    }
    // A connection that ends early without an error is a cut as well.
    if (next > range.last) return
    fruitless = next > begin ? 0 : fruitless + 1
    if (fruitless > MAX_FRUITLESS) throw failure ?? cutOff(ref)
    await pause(Math.min(FIRST_PAUSE_MS * 2 ** fruitless, MAX_PAUSE_MS), signal)
  }
}

/**
 * A whole small object: a playlist, a poster.
 * @param maxBytes refused with OBJECT_TOO_LARGE above that, before it is read
 */
export const readWhole = async (
  s3: S3Client,
  ref: ObjectRef,
  maxBytes: number,
  { signal }: CallOptions = {},
): Promise<Buffer> => {
  const { body, sizeBytes, etag } = await readObject(s3, ref, { signal })
  if (sizeBytes > maxBytes) {
    body.destroy()
    throw tooLarge(ref, sizeBytes, maxBytes)
  }
  const chunks: Buffer[] = []
  let haveBytes = 0
  const take = async (from: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of from) {
      chunks.push(chunk)
      haveBytes += chunk.length
    }
  }
  // Whatever cuts the first connection, what is missing is asked for next; a lasting fault is thrown there.
  await take(body as AsyncIterable<Buffer>).catch(() => undefined)
  await take(readRange(s3, { ...ref, etag }, { first: haveBytes, last: sizeBytes - 1 }, { signal }))
  return Buffer.concat(chunks)
}

const MAX_FRUITLESS = 8
const FIRST_PAUSE_MS = 50
const MAX_PAUSE_MS = 4_000

/** Ends early, without an error, when the signal aborts: the next request then says so. */
const pause = (ms: number, signal: AbortSignal | undefined): Promise<void> =>
  sleep(ms, undefined, abortableSleep(signal)).catch(() => undefined)

const abortableSleep = (signal: AbortSignal | undefined) => (signal === undefined ? {} : { signal })

const tooLarge = (ref: ObjectRef, sizeBytes: number, maxBytes: number): UpstreamError =>
  new UpstreamError('OBJECT_TOO_LARGE', `An object of at most ${maxBytes} bytes was expected, not ${sizeBytes}.`, {
    retryable: false,
    facts: { bucket: ref.bucket, key: ref.key, sizeBytes, maxBytes },
  })

const cutOff = (ref: ObjectRef): UpstreamError =>
  new UpstreamError('S3_UNAVAILABLE', 'S3 ended every connection before the first byte.', {
    facts: { bucket: ref.bucket, key: ref.key },
  })

const rangeHeader = ({ first, last }: ByteRange): string => `bytes=${first}-${last ?? ''}`

/** The number behind the slash of `bytes 0-9/100`. */
const totalBytes = (contentRange: string | undefined): number | undefined => {
  const total = Number(contentRange?.split('/')[1])
  return Number.isSafeInteger(total) ? total : undefined
}

const named = (ref: ObjectRef) => ({
  Bucket: ref.bucket,
  Key: ref.key,
  ...(ref.etag === undefined ? {} : { IfMatch: `"${ref.etag}"` }),
})
