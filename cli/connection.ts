import path from 'node:path'
import { decodeJwt } from 'jose'
import { readRunFile } from '../local/run-file.ts'
import type { Config } from '../platform/config.ts'
import { UpstreamError } from '../platform/errors.ts'
import { unauthenticated } from '../platform/http/author-token.ts'

/** Where a command finds the product, and as whom. */
export interface Connection {
  /** One origin: gateway, API and pages. */
  readonly gatewayUrl: string
  readonly apiUrl: string
  readonly token: string
}

const PROBE_TIMEOUT_MS = 5_000

/**
 * From the flags, else the settings, else what `npm start` left in the data folder. Asks the server once whether it is
 * there: better one sentence now than a minute of repetitions.
 * @throws UpstreamError NOT_RUNNING, TOKEN_MISSING
 */
export const findConnection = async (
  config: Config,
  flags: { readonly gateway?: string | undefined; readonly token?: string | undefined },
): Promise<Connection> => {
  const run = await readRunFile(path.resolve(config.dataDir))
  const named = flags.gateway ?? config.gatewayUrl
  const gatewayUrl = named === '' ? run?.gatewayUrl : named
  if (gatewayUrl === undefined) throw notRunning('Reelstream is not running here')
  await probe(gatewayUrl, named === '')
  const token = flags.token || config.authorToken || (run?.token ?? '')
  if (token === '') throw refused('TOKEN_MISSING', 'Who uploads? Give a token with --token or AUTHOR_TOKEN.')
  return { gatewayUrl, apiUrl: named === '' ? (run?.apiUrl ?? gatewayUrl) : gatewayUrl, token }
}

/** Whose token it is, as it says itself: the gateway alone checks it. @throws BadInputError UNAUTHENTICATED */
export const authorIdIn = (token: string): string => {
  try {
    return decodeJwt(token).sub ?? ''
  } catch (error) {
    throw unauthenticated('The token is not valid.', error)
  }
}

export const watchUrlAt = ({ gatewayUrl }: Connection, videoId: string): string =>
  new URL(`/v/${videoId}`, gatewayUrl).href

/** Any answer will do: it says that somebody is there. */
const probe = async (url: string, isLocal: boolean): Promise<void> => {
  try {
    const answer = await fetch(new URL('/healthz', url), { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) })
    await answer.arrayBuffer()
  } catch (error) {
    throw notRunning(isLocal ? 'Reelstream does not answer here' : `Nobody answers at ${url}`, error)
  }
}

const notRunning = (what: string, cause?: unknown): UpstreamError =>
  new UpstreamError('NOT_RUNNING', `${what}: start it with npm start, or name one that runs with --gateway.`, { cause })

const refused = (code: string, message: string): UpstreamError => new UpstreamError(code, message, { retryable: false })
