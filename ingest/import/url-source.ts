import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { BadInputError, isRetryable, UpstreamError } from '../../platform/errors.ts'
import type { GuardedAnswer, GuardedRequests } from './guarded-request.ts'

/**
 * A file behind a URL, as something to upload.
 *
 * Where the server gives ranges and a validator (a strong ETag, else Last-Modified), it is like a file on disk: its
 * length is known, its pieces are read in parallel and each again after a fault, from the byte that is missing. Every
 * range is asked for with If-Range, so pieces of two versions never become one file. Elsewhere it is one stream, read
 * once: when that breaks, the import begins anew.
 *
 * What the server says is not believed: neither that a body has the length that was announced, nor that a range is the
 * one that was asked for.
 */
export type UrlSource = RangedSource | StreamedSource

interface Described {
  /** From the path, for titles and file names. */
  readonly name: string
  readonly type: string
  /** What the bytes are named by: the URL and its validator, if it has one. The same name, the same bytes. */
  readonly version: string | null
}

export interface RangedSource extends Described {
  readonly kind: 'ranged'
  readonly size: number
  /** By an ETag: what is recorded under this version need not be read again. */
  readonly isNamedByKey: boolean
  /** Fills `bytes` with what is at `start` and after it; resolves to how many there were, which is all of them. */
  readInto(bytes: Uint8Array, start: number): Promise<number>
}

export interface StreamedSource extends Described {
  readonly kind: 'streamed'
  /** Announced; null where the server does not say. */
  readonly size: number | null
  readonly stream: ReadableStream<Uint8Array>
}

export interface UrlSourceOptions {
  readonly requests: GuardedRequests
  readonly maxBytes: number
  /** Ends everything that is under way, with its reason: the time limit of the import, and Ctrl-C. */
  readonly signal: AbortSignal
  /** Waits between two attempts at a range, ms. Default: 0.5 s, doubling. */
  readonly backoffMs?: (failure: number) => number
}

/**
 * Opens it: one request.
 * @throws BadInputError IMPORT_REFUSED (the server says no), IMPORT_TOO_LARGE, IMPORT_ENCODED, EMPTY_FILE, and what
 *   GuardedRequests throws
 */
export const openUrl = async (url: string, options: UrlSourceOptions): Promise<UrlSource> => {
  const answer = await get(url, 'bytes=0-0', {}, options)
  const about = { name: nameOf(answer.url), type: String(answer.headers['content-type'] ?? 'application/octet-stream') }
  const validator = validatorOf(answer)
  const size = answer.status === 206 ? rangeOf(answer)?.total : lengthOf(answer)
  if (size === 0 || answer.status === 416) throw emptied(answer)
  if (size !== undefined && size > options.maxBytes) throw tooLarge(answer, options.maxBytes)
  const version = validator === null ? null : `${url} ${validator}`
  if (answer.status === 206 && size !== undefined && validator !== null) {
    answer.body.destroy()
    const readInto = (bytes: Uint8Array, start: number) => readRange(url, validator, bytes, start, options)
    return { kind: 'ranged', ...about, version, size, isNamedByKey: isStrong(validator), readInto }
  }
  if (answer.status === 200) return streamed(answer, { ...about, version }, size ?? null, options)
  // Ranges without a validator are of no use: asked for as a whole, it is of one piece.
  answer.body.destroy()
  const whole = await get(url, undefined, {}, options)
  const announced = lengthOf(whole) ?? null
  if (announced !== null && announced > options.maxBytes) throw tooLarge(whole, options.maxBytes)
  return streamed(whole, { ...about, version }, announced, options)
}

const ATTEMPTS = 6

const readRange = async (
  url: string,
  validator: string,
  bytes: Uint8Array,
  start: number,
  options: UrlSourceOptions,
): Promise<number> => {
  const { backoffMs = (failure) => 500 * 2 ** (failure - 1), signal } = options
  const end = start + bytes.length
  let filled = 0
  for (let failures = 0; filled < bytes.length; ) {
    const before = filled
    try {
      const answer = await get(url, `bytes=${start + filled}-${end - 1}`, { 'if-range': validator }, options)
      requireRange(answer, start + filled, end)
      for await (const chunk of answer.body as AsyncIterable<Buffer>) {
        if (filled + chunk.length > bytes.length) throw changed(answer, 'a range has more bytes than were asked for')
        bytes.set(chunk, filled)
        filled += chunk.length
      }
      if (filled < bytes.length) throw cut(answer)
    } catch (error) {
      signal.throwIfAborted()
      const failure = asReadFailure(error)
      failures = filled > before ? 1 : failures + 1
      if (!isRetryable(failure) || failures === ATTEMPTS) throw failure
      await sleep(backoffMs(failures), undefined, { signal })
    }
  }
  return filled
}

const get = async (
  url: string,
  range: string | undefined,
  headers: Readonly<Record<string, string>>,
  { requests, signal }: UrlSourceOptions,
): Promise<GuardedAnswer> => {
  const answer = await requests.get(url, { ...headers, ...(range === undefined ? {} : { range }) }, signal)
  const encoding = answer.headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity') {
    answer.body.destroy()
    throw new BadInputError('IMPORT_ENCODED', `${answer.url.host} sends the file encoded (${encoding}), unasked.`)
  }
  if (answer.status === 200 || answer.status === 206 || answer.status === 416) return answer
  answer.body.destroy()
  const said = `${answer.url.host} answered ${answer.status}.`
  if (answer.status >= 500 || answer.status === 429) throw new UpstreamError('IMPORT_UNREACHABLE', said)
  throw new BadInputError('IMPORT_REFUSED', said)
}

/** With If-Range, anything but the very range that was asked for means that the file is another one by now. */
const requireRange = (answer: GuardedAnswer, first: number, end: number): void => {
  const range = rangeOf(answer)
  if (answer.status === 206 && range?.first === first && range.last === end - 1) return
  answer.body.destroy()
  throw changed(answer, 'it answered another range than was asked for')
}

const streamed = (
  answer: GuardedAnswer,
  about: Described,
  size: number | null,
  { maxBytes, signal }: UrlSourceOptions,
): StreamedSource => {
  const bytes = async function* () {
    let seen = 0
    try {
      for await (const chunk of answer.body as AsyncIterable<Buffer>) {
        seen += chunk.length
        if (seen > maxBytes) throw tooLarge(answer, maxBytes)
        yield chunk
      }
    } catch (error) {
      signal.throwIfAborted()
      throw asReadFailure(error)
    }
    // A body that ends early looks like one that ends: only its announced length tells.
    if (size !== null && seen !== size) throw cut(answer)
    if (seen === 0) throw emptied(answer)
  }
  const stream = Readable.toWeb(Readable.from(bytes(), { objectMode: false })) as ReadableStream<Uint8Array>
  return { kind: 'streamed', ...about, size, stream }
}

/** Weak ETags say that two things are alike, not that they are the same bytes (RFC 9110, 8.8.1 and 13.1.5). */
const validatorOf = ({ headers }: GuardedAnswer): string | null => {
  const { etag } = headers
  if (etag !== undefined && isStrong(etag)) return etag
  return headers['last-modified'] ?? null
}

/** Of two files within one second Last-Modified says the same (RFC 9110, 8.8.2.2). */
const isStrong = (validator: string): boolean => validator.startsWith('"')

const rangeOf = ({ headers }: GuardedAnswer) => {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(headers['content-range'] ?? '')
  return match === null ? undefined : { first: Number(match[1]), last: Number(match[2]), total: Number(match[3]) }
}

const lengthOf = ({ headers }: GuardedAnswer): number | undefined =>
  /^\d{1,15}$/.test(headers['content-length'] ?? '') ? Number(headers['content-length']) : undefined

const nameOf = (url: URL): string => {
  const last = url.pathname.split('/').findLast((segment) => segment !== '') ?? url.hostname
  try {
    return decodeURIComponent(last).slice(0, 200)
  } catch {
    return last.slice(0, 200) // Not every path is UTF-8 in percents.
  }
}

const asReadFailure = (error: unknown): unknown =>
  error instanceof BadInputError || error instanceof UpstreamError
    ? error
    : new UpstreamError('IMPORT_UNREACHABLE', 'The download broke off.', { cause: error })

const cut = ({ url }: GuardedAnswer) => new UpstreamError('IMPORT_UNREACHABLE', `${url.host} ended before its time.`)

const changed = ({ url }: GuardedAnswer, why: string) =>
  new BadInputError('IMPORT_SOURCE_CHANGED', `${url.host} has another file by now: ${why}.`)

const tooLarge = (answer: GuardedAnswer, maxBytes: number) => {
  answer.body.destroy()
  return new BadInputError('IMPORT_TOO_LARGE', `The file has more than ${maxBytes} bytes.`)
}

const emptied = (answer: GuardedAnswer) => {
  answer.body.destroy()
  return new BadInputError('EMPTY_FILE', 'The file is empty.')
}
