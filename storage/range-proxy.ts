import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { S3Client } from '@aws-sdk/client-s3'
import { BugError, type ReelstreamError } from '../platform/errors.ts'
import { readRange } from './read-object.ts'
import { about } from './s3-call.ts'
import { toStorageError } from './s3-errors.ts'

/**
 * Lets FFmpeg read S3 objects without credentials, without a download and without seeing a network fault.
 *
 * FFmpeg is given `http://127.0.0.1:<port>/<token>`. It reads it with Range requests and seeks by opening another
 * connection; behind each request is readRange: GetObject with If-Match, the SDK's retries, and a new request from the
 * next missing byte when a connection is cut. So a dropped connection or a restarted S3 server costs a pause, and the
 * file that FFmpeg sees is one file or an error, never the beginning of one and the end of another. Nothing is written
 * to disk, and neither a key nor a signed URL appears in FFmpeg's arguments, in its log or in `ps`.
 *
 * A registration is one file: an object, or several end to end (init segment and media segments read as one file for
 * the thumbnails). Its token is random, good until `dispose`, and bound to the loopback interface.
 *
 * When a read fails for good the connection is destroyed, because HTTP has no way to say so after the head, and FFmpeg
 * reports an I/O error. Why is in `failure()`: ask it before blaming the file.
 */
export interface ProxiedObject {
  readonly bucket: string
  readonly key: string
  /** Without quotes. Only write-once objects may do without. */
  readonly etag?: string | undefined
  readonly sizeBytes: number
}

export interface ProxiedFile {
  /** `http://127.0.0.1:<port>/<token>` */
  readonly url: string
  /** The first error that ended a read for good: PRECONDITION_FAILED, OBJECT_NOT_FOUND, S3_UNAVAILABLE … */
  failure(): ReelstreamError | undefined
  /** Ends all reads and forgets the token. Idempotent. */
  dispose(): void
}

export interface RangeProxy {
  /** @param objects at least one; what is read is their bytes end to end */
  register(...objects: readonly ProxiedObject[]): ProxiedFile
  /** Ends everything; registering afterwards is a BugError. */
  close(): Promise<void>
}

/** One piece of a range: these bytes of that object. Both ends included. */
export interface Slice {
  readonly object: ProxiedObject
  readonly first: number
  readonly last: number
}

/** Binds a free loopback port. One proxy serves all jobs of a process. */
export const startRangeProxy = async (s3: S3Client): Promise<RangeProxy> => {
  const files = new Map<string, RegisteredFile>()
  const server = createServer((request, response) => {
    const file = files.get((request.url ?? '').slice(1))
    if (file === undefined) return void response.writeHead(404).end()
    void serve(s3, file, request, response)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    register(...objects) {
      if (!server.listening) throw new BugError('RANGE_PROXY_CLOSED', 'The range proxy is closed.')
      if (objects.length === 0) throw new BugError('RANGE_PROXY_EMPTY', 'A file of no objects cannot be read.')
      const token = randomBytes(24).toString('base64url')
      const file = new RegisteredFile(objects)
      files.set(token, file)
      return {
        url: `http://127.0.0.1:${port}/${token}`,
        failure: () => file.failure,
        dispose() {
          files.delete(token)
          file.ended.abort()
        },
      }
    },
    async close() {
      for (const file of files.values()) file.ended.abort()
      files.clear()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}

/** The pieces of `objects`, laid end to end, that make the bytes `first` … `last` (both included). Pure. */
export const slicesOf = (objects: readonly ProxiedObject[], first: number, last: number): readonly Slice[] => {
  const slices: Slice[] = []
  let begin = 0
  for (const object of objects) {
    const from = Math.max(first - begin, 0)
    const to = Math.min(last - begin, object.sizeBytes - 1)
    if (from <= to) slices.push({ object, first: from, last: to })
    begin += object.sizeBytes
  }
  return slices
}

/** A single `bytes=` range of a file of that length, RFC 9110 section 14.1.2; undefined if it cannot be satisfied. */
export const parseRange = (header: string, sizeBytes: number): { first: number; last: number } | undefined => {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header.trim())
  if (match === null || (match[1] === '' && match[2] === '')) return undefined
  const suffix = match[1] === ''
  const first = suffix ? Math.max(sizeBytes - Number(match[2]), 0) : Number(match[1])
  const last = suffix || match[2] === '' ? sizeBytes - 1 : Math.min(Number(match[2]), sizeBytes - 1)
  return first <= last ? { first, last } : undefined
}

class RegisteredFile {
  readonly objects: readonly ProxiedObject[]
  readonly sizeBytes: number
  readonly ended = new AbortController()
  failure: ReelstreamError | undefined

  constructor(objects: readonly ProxiedObject[]) {
    this.objects = objects
    this.sizeBytes = objects.reduce((sum, object) => sum + object.sizeBytes, 0)
  }
}

const serve = async (
  s3: S3Client,
  file: RegisteredFile,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  if (request.method !== 'GET' && request.method !== 'HEAD') return void response.writeHead(405).end()
  const asked = request.headers.range
  const range = asked === undefined ? { first: 0, last: file.sizeBytes - 1 } : parseRange(asked, file.sizeBytes)
  if (range === undefined) return void response.writeHead(416, { 'content-range': `bytes */${file.sizeBytes}` }).end()
  response.writeHead(asked === undefined ? 200 : 206, {
    'accept-ranges': 'bytes',
    'content-type': 'application/octet-stream',
    'content-length': range.last - range.first + 1,
    ...(asked === undefined ? {} : { 'content-range': `bytes ${range.first}-${range.last}/${file.sizeBytes}` }),
  })
  if (request.method === 'HEAD') return void response.end()
  await send(s3, file, range, response)
}

const send = async (
  s3: S3Client,
  file: RegisteredFile,
  range: { readonly first: number; readonly last: number },
  response: ServerResponse,
): Promise<void> => {
  // FFmpeg closes a connection whenever it seeks: the read behind it must end at once, not run to the end of the file.
  const left = new AbortController()
  response.once('close', () => left.abort())
  const signal = AbortSignal.any([file.ended.signal, left.signal])
  try {
    await pipeline(Readable.from(readSlices(s3, file, range, signal)), response)
  } catch {
    // Kept in file.failure, if it was one: a reader that left is none. All that can be said on the wire is an early end.
    response.destroy()
  }
}

async function* readSlices(
  s3: S3Client,
  file: RegisteredFile,
  range: { readonly first: number; readonly last: number },
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  for (const { object, first, last } of slicesOf(file.objects, range.first, range.last)) {
    try {
      yield* readRange(s3, object, { first, last }, { signal })
    } catch (error) {
      if (!signal.aborted) file.failure ??= toStorageError(error, about('read the object', object, signal))
      throw error
    }
  }
}
