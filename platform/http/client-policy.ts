import { LRUCache } from 'lru-cache'
import type { Config } from '../config.ts'
import { BadInputError, ReelstreamError } from '../errors.ts'
import { clientNetworkOf } from './client-network.ts'

/**
 * Who is asking, and how often one may ask without a good token: one policy for every server of ours that takes tokens.
 *
 * The address is `request.ip`: that of the connection, or what proxies that are trusted say in X-Forwarded-For. Whoever
 * failed too often from an address is refused before a token is looked at, a good one too, until the minute is over. Only
 * failures count, so that people behind one address share nothing as long as they can sign in; who shows no token where
 * none is needed does not fail. Each process counts for itself.
 */
export interface ClientPolicy {
  /** For Fastify's `trustProxy`. */
  readonly trustProxy: string[]
  readonly signIns: SignInLimit
}

export const clientPolicy = (config: Pick<Config, 'trustedProxies' | 'failedSignInsPerMinute'>): ClientPolicy => ({
  trustProxy: [...config.trustedProxies],
  signIns: createSignInLimit({ perMinute: config.failedSignInsPerMinute }),
})

export interface SignInLimit {
  /**
   * @param authenticate counts when it throws UNAUTHENTICATED
   * @throws BadInputError RATE_LIMITED, with `retryAfterSeconds`; what `authenticate` throws
   */
  guard<T>(request: { readonly ip: string }, authenticate: () => Promise<T>): Promise<T>
}

const WINDOW_MS = 60_000
/** Some 10 MB; whoever fails from more networks than that has the oldest forgotten. */
const MAX_NETWORKS = 100_000

export const createSignInLimit = ({
  perMinute,
  now = Date.now,
}: {
  readonly perMinute: number
  readonly now?: () => number
}): SignInLimit => {
  const failures = new LRUCache<string, { count: number; readonly endsAtMs: number }>({ max: MAX_NETWORKS })
  const current = (network: string) => {
    const window = failures.get(network)
    return window !== undefined && window.endsAtMs > now() ? window : undefined
  }
  const failed = (network: string): void => {
    const window = current(network) ?? { count: 0, endsAtMs: now() + WINDOW_MS }
    window.count += 1
    failures.set(network, window)
  }
  return {
    async guard({ ip }, authenticate) {
      const network = clientNetworkOf(ip)
      const { count, endsAtMs } = current(network) ?? { count: 0, endsAtMs: 0 }
      if (count >= perMinute) throw tooMany(Math.ceil((endsAtMs - now()) / 1000))
      try {
        return await authenticate()
      } catch (error) {
        if (error instanceof ReelstreamError && error.code === 'UNAUTHENTICATED') failed(network)
        throw error
      }
    },
  }
}

const tooMany = (retryAfterSeconds: number): BadInputError =>
  new BadInputError('RATE_LIMITED', 'Too many requests without a good token came from this address.', {
    facts: { retryAfterSeconds },
  })
