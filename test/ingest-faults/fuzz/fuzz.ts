import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { BugError } from '../../../platform/errors.ts'
import { localAuthorId, signLocalToken } from '../../../platform/http/author-token.ts'
import { PROBLEM_CONTENT_TYPE } from '../../../platform/http/problem.ts'
import { nameOf, nasty, type OpenApi, type Operation, operationsOf, requestsTo } from './openapi-requests.ts'
import { aClaim, aPartNumber, FITTING, idsFor, openStock } from './stock.ts'

/** Where a product answers. */
export interface FuzzTarget {
  readonly gatewayUrl: string
  /** Of two authors. */
  readonly tokens: readonly string[]
}

export interface FuzzOptions {
  /** The same number, the same requests. */
  readonly seed: number
  readonly requests: number
  /** Ends earlier, ms. */
  readonly withinMs: number
}

export interface FuzzResult {
  /** Statuses by operation (`GET /videos/{id}`), and how often it answered so. */
  readonly answers: ReadonlyMap<string, ReadonlyMap<number, number>>
  /** How often `after` was not visible in time, of the statuses 503: the only ones that there may be. */
  readonly notYetVisible: number
  /** The smallest request found whose answer breaks a promise, and which; null = none did. */
  readonly failure: string | null
}

/**
 * Operations that nothing here can succeed with: nobody encodes, so there is nothing to play.
 */
export const WITHOUT_SUCCESS: readonly string[] = ['GET /watch/{id}/master.m3u8', 'GET /watch/{id}/{*}']

/** Requests between two renewals of the stock: few enough that what they end is soon there again. */
const RENEW_AFTER = 100

/** Settings of the product: what the requests leave open must not keep others from being begun. */
export const FUZZ_SETTINGS = { MAX_OPEN_UPLOADS: '1000000', MAX_OPEN_UPLOAD_BYTES: String(1024 ** 5) }

/** The target of roles that run, as two authors. */
export const fuzzTarget = async (env: NodeJS.ProcessEnv): Promise<FuzzTarget> => {
  const { GATEWAY_URL: gatewayUrl = '', AUTHOR_TOKEN: token = '', JWT_SECRET: secret = '' } = env
  return { gatewayUrl, tokens: [token, await signLocalToken(secret, localAuthorId('Another'), 'Another')] }
}

/**
 * Makes requests from the product's own OpenAPI document, valid ones and others, as two authors and as nobody, one after
 * the other. Of every answer: its status is documented and below 500, but for 503 NOT_YET_VISIBLE to `after`, and what is
 * no success is a problem with a code of ours.
 */
export const fuzz = async (
  { gatewayUrl, tokens }: FuzzTarget,
  { seed, requests, withinMs }: FuzzOptions,
): Promise<FuzzResult> => {
  const openApi = (await (await fetch(`${gatewayUrl}/documentation/json`)).json()) as OpenApi
  const operations = operationsOf(openApi)
  const answers = new Map(operations.map((operation) => [nameOf(operation), new Map<number, number>()]))
  const documented = new Map(operations.map((operation) => [nameOf(operation), operation.statuses]))
  const stock = openStock(tokens.length, async (author, method, url, body) => {
    const headers = { ...signedInAs(tokens[author]), 'content-type': 'application/json' }
    const ask = () => fetch(`${gatewayUrl}${url}`, { method, headers, body: JSON.stringify(body) })
    let answer = await ask()
    // The requests have used up what an author may ask in a minute.
    for (; answer.status === 429; answer = await ask()) await delay(Number(answer.headers.get('retry-after')) * 1000)
    if (!answer.ok) throw new BugError('NO_STOCK', `${method} ${url}: ${answer.status} ${await answer.text()}`)
    return answer.json()
  })
  let made = 0
  let notYetVisible = 0
  const property = fc.asyncProperty(anyOf(operations), callers, async ({ request, name }, caller) => {
    if (made++ % RENEW_AFTER === 0) await stock.renew()
    const body = request.body === undefined ? undefined : stock.fill(request.body)
    const url = stock.fill(request.url)
    const answer = await fetch(`${gatewayUrl}${url}`, {
      method: request.method,
      headers: {
        ...request.headers,
        ...signedInAs(tokens[caller]),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body }),
      redirect: 'manual',
    })
    const { status } = answer
    const of = answers.get(name) ?? new Map<number, number>()
    answers.set(name, of.set(status, (of.get(status) ?? 0) + 1))
    // Live events never end, and media are nobody's business here.
    const isRead = !answer.ok || request.method !== 'GET'
    const text = isRead ? await answer.text() : ''
    if (!isRead) await answer.body?.cancel()
    stock.hear(text)
    const isTooEarly = status === 503 && url.includes('after=') && codeOf(text) === 'NOT_YET_VISIBLE'
    if (isTooEarly) notYetVisible += 1
    const wrong = wrongOf(documented.get(name) ?? [], answer, text, isTooEarly)
    if (wrong !== null)
      throw new Error(`${wrong}: ${request.method} ${url} as ${caller} was answered ${status} ${text}`)
  })
  const run = await fc.check(property, { seed, numRuns: requests, interruptAfterTimeLimit: withinMs })
  const failure = run.failed
    ? `${JSON.stringify(run.counterexample)}: ${String(run.errorInstance)} (seed ${seed})`
    : null
  return { answers, notYetVisible, failure }
}

/** The first author mostly, who has most; and nobody. */
const NOBODY = -1
const callers = fc.oneof(
  { arbitrary: fc.constant(0), weight: 5 },
  { arbitrary: fc.constant(1), weight: 3 },
  { arbitrary: fc.constant(NOBODY), weight: 1 },
)

const signedInAs = (token: string | undefined): Readonly<Record<string, string>> =>
  token === undefined ? {} : { authorization: `Bearer ${token}` }

/** A claim that nobody made is waited for, five seconds each: seldom. */
const after = fc.oneof(
  { arbitrary: aClaim, weight: 80 },
  { arbitrary: fc.constant('0:0'), weight: 19 },
  { arbitrary: nasty, weight: 1 },
)

const partNumber = fc.oneof(
  { arbitrary: aPartNumber, weight: 4 },
  { arbitrary: fc.integer({ min: -1, max: 10_001 }).map(String), weight: 2 },
  { arbitrary: nasty, weight: 1 },
)

const anyOf = (operations: readonly Operation[]) =>
  fc.oneof(
    ...operations.map((operation) =>
      requestsTo(operation, {
        ids: idsFor(operation.method),
        parameters: { after, partNumber },
        body: FITTING[nameOf(operation)],
      }).map((request) => ({ request, name: nameOf(operation) })),
    ),
  )

const wrongOf = (
  documented: readonly string[],
  { status, headers }: Response,
  text: string,
  isTooEarly: boolean,
): string | null => {
  if (status >= 500 && !isTooEarly) return 'the server failed'
  if (!documented.includes(`${status}`) && !documented.includes(`${Math.floor(status / 100)}XX`))
    return 'not documented'
  if (status < 400) return null
  if (!headers.get('content-type')?.startsWith(PROBLEM_CONTENT_TYPE)) return 'no problem+json'
  return /^(?!FST_)[A-Z][A-Z0-9_]+$/.test(codeOf(text)) ? null : 'no code of ours'
}

const codeOf = (text: string): string => {
  try {
    return String((JSON.parse(text) as { readonly code?: unknown }).code)
  } catch {
    return ''
  }
}
