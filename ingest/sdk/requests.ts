import { UploadError } from './errors.ts'
import type { Outage } from './outage.ts'
import { withPatience } from './patience.ts'
import { Retryable, retrying } from './retry.ts'
import type { TokenSource } from './types.ts'

/** JSON over HTTP to the gateway and the API, with our errors and repetitions. */
export interface Server {
  /** Base URL, with or without a slash at its end. */
  readonly url: string
  readonly token?: TokenSource | undefined
  readonly fetch: typeof fetch
  /** By default, 12 attempts are borne. */
  readonly outage?: Outage | undefined
}

interface Access {
  readonly token?: TokenSource | undefined
  /** Default: that of the platform. */
  readonly fetch?: typeof fetch | undefined
  readonly outage?: Outage | undefined
}

export const serverAt = (
  url: string,
  { token, fetch = globalThis.fetch.bind(globalThis), outage }: Access,
): Server => ({ url, token, fetch, outage })

/** Of one upload, at the gateway and at the API. */
export const uploadPath = (uploadId: string): string => `/uploads/${encodeURIComponent(uploadId)}`

interface Request {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  readonly signal?: AbortSignal | undefined
}

/** Longer than the gateway waits for anything before it answers 503. */
const ANSWER_WITHIN_MS = 30_000

/**
 * Only for requests that may be repeated: no answer, 5xx and 429 are tried again.
 * @throws UploadError with the problem's code
 */
export const requestJson = <T>(server: Server, path: string, request: Request = {}): Promise<T> =>
  retrying(
    () =>
      withPatience(ANSWER_WITHIN_MS, request.signal, async (signal) => {
        const answer = await send(server, path, { ...request, signal }, request.signal)
        if (!answer.ok) throw await failureOf(answer)
        return (await connecting(() => answer.json(), request.signal)) as T
      }),
    request.signal,
    server.outage,
  )

/**
 * One try. A connection that fails is Retryable; an answer, whatever its status, is returned.
 * @param ours the signal whose abort is our own wish, and no failure
 */
export const send = async (
  server: Server,
  path: string,
  request: Request,
  ours: AbortSignal | undefined = request.signal,
): Promise<Response> => {
  const { method = 'GET', headers = {}, body, signal } = request
  const token = typeof server.token === 'function' ? await server.token() : server.token
  const init: RequestInit = {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  }
  return connecting(() => server.fetch(server.url.replace(/\/+$/, '') + path, init), ours)
}

/** A fetch that got no answer, or only half of one, is Retryable, unless we ended it ourselves. */
export const connecting = async <T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> => {
  try {
    return await call()
  } catch (error) {
    if (signal?.aborted) throw error
    throw new Retryable(new UploadError('CONNECTION_FAILED', 'The server cannot be reached.', null, error))
  }
}

/** Limits that waiting does not lift: the author must end an upload first, or be given more. */
const NOT_CURED_BY_WAITING = ['TOO_MANY_OPEN_UPLOADS', 'UPLOAD_QUOTA_EXCEEDED']

/** Whether the server said no, and will say it again: neither time nor another token makes it a yes. */
export const isRefusal = ({ code, status }: UploadError): boolean =>
  NOT_CURED_BY_WAITING.includes(code) ||
  (status !== null && status >= 400 && status < 500 && ![401, 408, 429].includes(status))

/** An answer that is no success, as an UploadError; wrapped in Retryable where another try may help. */
export const failureOf = async (answer: Response): Promise<Error> => {
  const { code, detail } = await problemIn(answer)
  const error = new UploadError(code, detail, answer.status)
  const mayHeal = answer.status >= 500 || answer.status === 408 || answer.status === 429
  return mayHeal && !NOT_CURED_BY_WAITING.includes(code) ? new Retryable(error, retryAfterMs(answer)) : error
}

const problemIn = async (answer: Response): Promise<{ readonly code: string; readonly detail: string }> => {
  const fallback = { code: `HTTP_${answer.status}`, detail: `The server answered ${answer.status}.` }
  const problem: unknown = await answer.json().catch(() => null)
  if (typeof problem !== 'object' || problem === null) return fallback
  const { code, detail, errors } = problem as { code?: unknown; detail?: unknown; errors?: unknown }
  if (typeof code !== 'string' || typeof detail !== 'string') return fallback
  return { code, detail: [detail, ...fieldsIn(errors)].join(' ') }
}

const fieldsIn = (errors: unknown): readonly string[] =>
  Array.isArray(errors) ? errors.map(({ field, message }) => `${field}: ${message}.`) : []

const MAX_RETRY_AFTER_MS = 60_000

const retryAfterMs = (answer: Response): number => {
  const seconds = Number(answer.headers.get('retry-after'))
  return Number.isFinite(seconds) ? Math.min(seconds * 1000, MAX_RETRY_AFTER_MS) : 0
}
