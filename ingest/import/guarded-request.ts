import { lookup as dnsLookup, type LookupAddress, type LookupOptions } from 'node:dns'
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import { BadInputError, ReelstreamError, UpstreamError } from '../../platform/errors.ts'
import type { AddressGuard } from './address-guard.ts'

/**
 * A GET of a URL that somebody else chose, from a machine that can reach more than he can.
 *
 * What is checked is the address that the connection is made to, not the name: the name is resolved here, once, every
 * address that it has must be allowed, and the socket is opened to one of those. There is no second resolution in which
 * the answer could be another (DNS rebinding), and after connecting the peer's address is compared once more. A host that
 * is an address is checked as such, in the form that the URL parser made of it (`0x7f.1` is 127.0.0.1 by then).
 *
 * Every redirect is a new URL and goes the same way; from https to http none does. Only http and https, no user or
 * password in the URL, nothing of ours is sent along: no cookie, no token, and no proxy of the environment is asked.
 */
export interface GuardedRequests {
  /**
   * The final answer, whatever its status. Its body must be consumed or destroyed.
   * @throws BadInputError IMPORT_URL_INVALID, IMPORT_ADDRESS_REFUSED, IMPORT_TOO_MANY_REDIRECTS
   * @throws UpstreamError IMPORT_UNREACHABLE (retryable): no such host, no connection, silence; the signal's reason
   */
  get(url: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<GuardedAnswer>
  close(): void
}

export interface GuardedAnswer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: IncomingMessage
  /** After redirects. */
  readonly url: URL
}

type Resolve = (
  host: string,
  options: LookupOptions & { readonly all: true },
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

export interface GuardedRequestOptions {
  readonly guard: AddressGuard
  readonly maxRedirects?: number
  /** Without a byte, before and during the answer, ms. */
  readonly idleMs?: number
  /** For tests; default: the system's resolver. */
  readonly resolve?: Resolve
}

export const createGuardedRequests = (options: GuardedRequestOptions): GuardedRequests => {
  const { guard, maxRedirects = 5, idleMs = 30_000, resolve = dnsLookup as Resolve } = options
  // Their own agents: the global ones may go through a proxy, which would do the resolving.
  const lookup = guardedLookup(guard, resolve)
  const agents = {
    'http:': new HttpAgent({ keepAlive: true, lookup } as ConstructorParameters<typeof HttpAgent>[0]),
    'https:': new HttpsAgent({ keepAlive: true, lookup } as ConstructorParameters<typeof HttpsAgent>[0]),
  }
  const getOnce = (url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal) =>
    new Promise<IncomingMessage>((done, failed) => {
      const isTls = url.protocol === 'https:'
      const send = isTls ? httpsRequest : httpRequest
      const agent = agents[isTls ? 'https:' : 'http:']
      const request = send(url, { headers: { 'accept-encoding': 'identity', ...headers }, agent, lookup, signal })
      request.setTimeout(idleMs, () => request.destroy(new Error(`no byte for ${idleMs} ms`)))
      request.on('socket', (socket) => checkPeer(socket, guard))
      request.on('response', done)
      request.on('error', (error) => failed(signal.aborted ? signal.reason : asImportError(error, url)))
      request.end()
    })
  return {
    async get(text, headers, signal) {
      let url = checkedUrl(text, guard)
      for (let redirects = 0; ; redirects++) {
        const answer = await getOnce(url, headers, signal)
        const { statusCode: status = 0 } = answer
        const location = REDIRECTS.has(status) ? answer.headers.location : undefined
        if (location === undefined) return { status, headers: answer.headers, body: answer, url }
        answer.destroy()
        if (redirects === maxRedirects) {
          throw new BadInputError('IMPORT_TOO_MANY_REDIRECTS', `More than ${maxRedirects} redirects.`)
        }
        url = checkedUrl(location, guard, url)
      }
    },
    close() {
      agents['http:'].destroy()
      agents['https:'].destroy()
    },
  }
}

const REDIRECTS = new Set([301, 302, 303, 307, 308])

const checkedUrl = (text: string, guard: AddressGuard, from?: URL): URL => {
  const url = URL.parse(text, from?.href)
  if (url === null) throw invalid('That is no URL')
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw invalid(`${url.protocol} is neither http nor https`)
  if (from?.protocol === 'https:' && url.protocol === 'http:') throw invalid('A redirect leads from https to http')
  if (url.username !== '' || url.password !== '') throw invalid('A URL with a user or password is not taken')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  // Node resolves no address, so what is one is checked here.
  if (isIP(host) !== 0) throwIfRefused(guard, host, host)
  return url
}

const throwIfRefused = (guard: AddressGuard, host: string, address: string): void => {
  const why = guard.refusal(address)
  if (why === null) return
  throw new BadInputError('IMPORT_ADDRESS_REFUSED', `${host} may not be connected to: ${address} ${why}.`)
}

const guardedLookup =
  (guard: AddressGuard, resolve: Resolve): LookupFunction =>
  (host, options, done) => {
    resolve(host, { ...options, all: true, order: 'verbatim' }, (error, addresses) => {
      try {
        if (error !== null) throw error
        for (const { address } of addresses) throwIfRefused(guard, host, address)
        const [first] = addresses
        if (first === undefined) throw new Error(`${host} has no address`)
        if (options.all === true) done(null, addresses)
        else done(null, first.address, first.family)
      } catch (refused) {
        done(refused as NodeJS.ErrnoException, [])
      }
    })
  }

/** The last word: whatever happened before, this is who we are about to talk to. */
const checkPeer = (socket: Socket, guard: AddressGuard): void => {
  const check = () => {
    const why = guard.refusal(socket.remoteAddress ?? '')
    if (why === null) return
    socket.destroy(new BadInputError('IMPORT_ADDRESS_REFUSED', `${socket.remoteAddress} ${why}.`))
  }
  if (socket.connecting) socket.once('connect', check)
  else check()
}

const asImportError = (error: unknown, url: URL): ReelstreamError => {
  if (error instanceof ReelstreamError) return error
  const why = error instanceof Error ? error.message : String(error)
  return new UpstreamError('IMPORT_UNREACHABLE', `${url.host} cannot be read: ${why}.`, { cause: error })
}

const invalid = (why: string): BadInputError => new BadInputError('IMPORT_URL_INVALID', `${why}.`)
