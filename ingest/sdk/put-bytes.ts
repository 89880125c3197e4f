import { withPatience } from './patience.ts'

/**
 * One PUT of bytes that says how many of them have left. `fetch` alone cannot say that, so it depends on where we are:
 *
 *     browsers            XMLHttpRequest, whose `upload` has progress events
 *     Node                fetch with a stream that counts what is taken from it, and a Content-Length, which S3 insists on
 *     somebody's own fetch in a browser   whole: there, streams need HTTP/2 and cannot have a length
 *
 * "Left" means handed to the system; S3 has a part when it has answered. A connection on which no byte leaves and no
 * answer comes for a minute is given up, except in the last case, where nobody can tell.
 */
export interface PutRequest {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly signal: AbortSignal
  /** Called with the bytes that have left so far: ascending, the last one perhaps below the total. */
  onSent(sentBytes: number): void
}

/** Rejects as fetch does: with the signal's reason, or when there is no answer. */
export type PutBytes = (request: PutRequest) => Promise<Response>

/** @param own the fetch that the caller of the SDK wants used; undefined = whatever is best here */
export const putBytesWith = (own: typeof fetch | undefined): PutBytes => {
  if (typeof XMLHttpRequest === 'undefined') return patient(streamingPut(own ?? globalThis.fetch.bind(globalThis)))
  return own === undefined ? patient(xhrPut) : wholePut(own)
}

/** What the system holds back of a slow line has left long before it arrives: shorter would be too short. */
const SILENCE_MS = 60_000

const patient =
  (put: PutBytes): PutBytes =>
  (request) =>
    withPatience(SILENCE_MS, request.signal, (signal, happened) => {
      const onSent = (sentBytes: number): void => {
        happened()
        request.onSent(sentBytes)
      }
      return put({ ...request, signal, onSent })
    })

const wholePut =
  (fetch: typeof globalThis.fetch): PutBytes =>
  ({ url, headers, bytes, signal }) =>
    fetch(url, { method: 'PUT', headers, body: bytes, signal })

/** Small enough for a bar that moves, large enough to cost nothing. */
const CHUNK_BYTES = 256 * 1024

const streamingPut =
  (fetch: typeof globalThis.fetch): PutBytes =>
  ({ url, headers, bytes, signal, onSent }) => {
    const init = {
      method: 'PUT',
      headers: { ...headers, 'content-length': String(bytes.byteLength) },
      body: counted(bytes, onSent),
      signal,
      duplex: 'half',
    }
    return fetch(url, init as RequestInit)
  }

const counted = (bytes: Uint8Array, onSent: (sentBytes: number) => void): ReadableStream<Uint8Array> => {
  let at = 0
  const pull = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    onSent(at)
    if (at === bytes.length) return controller.close()
    const chunk = bytes.subarray(at, at + CHUNK_BYTES)
    at += chunk.length
    controller.enqueue(chunk)
  }
  // Nothing is taken ahead: a chunk counts when the next one is asked for.
  return new ReadableStream({ pull }, { highWaterMark: 0 })
}

const xhrPut: PutBytes = ({ url, headers, bytes, signal, onSent }) =>
  new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const xhr = new XMLHttpRequest()
    const abort = () => xhr.abort()
    xhr.open('PUT', url)
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value)
    xhr.upload.addEventListener('progress', ({ loaded }) => onSent(loaded))
    xhr.addEventListener('load', () => resolve(answerOf(xhr)))
    xhr.addEventListener('error', () => reject(new TypeError('no answer')))
    xhr.addEventListener('abort', () => reject(signal.reason))
    xhr.addEventListener('loadend', () => signal.removeEventListener('abort', abort))
    signal.addEventListener('abort', abort, { once: true })
    xhr.send(bytes)
  })

/** As fetch would have given it, without the body: S3 says everything in the status and the headers. */
const answerOf = (xhr: XMLHttpRequest): Response => {
  // All of them, for asking for one that the bucket does not expose is a complaint in the console.
  const lines = xhr.getAllResponseHeaders().split('\r\n').filter(Boolean)
  const headers = lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()])
  return new Response(null, { status: xhr.status, headers: headers as [string, string][] })
}
