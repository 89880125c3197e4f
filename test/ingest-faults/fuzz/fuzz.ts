import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { type OpenApi, operationsOf, requestsTo } from './openapi-requests.ts'

/** Where a product answers. */
export interface FuzzTarget {
  readonly gatewayUrl: string
  readonly token: string
}

export interface FuzzOptions {
  /** The same number, the same requests. */
  readonly seed: number
  readonly requests: number
  /** Ends earlier, ms. */
  readonly withinMs: number
}

export interface FuzzResult {
  /** Operations of the document. */
  readonly operations: number
  /** Answers by operation (`GET /videos/{id}`) and status. */
  readonly answers: ReadonlyMap<string, ReadonlyMap<number, number>>
  /** The smallest request found that was answered with 5xx, and the answer; null = none was. */
  readonly failure: string | null
}

/** Makes requests from the product's own OpenAPI document, valid ones and others, one after the other. */
export const fuzz = async (
  { gatewayUrl, token }: FuzzTarget,
  { seed, requests, withinMs }: FuzzOptions,
): Promise<FuzzResult> => {
  const authorization = `Bearer ${token}`
  const openApi = (await (await fetch(`${gatewayUrl}/documentation/json`)).json()) as OpenApi
  const operations = operationsOf(openApi).map((operation) => ({
    ...operation,
    // Asks to wait for a claim, and one that nobody made is waited for: 503 NOT_YET_VISIBLE is the answer.
    parameters: operation.parameters.filter(({ name }) => name !== 'after'),
  }))
  const known = [await begin(gatewayUrl, authorization), await begin(gatewayUrl, authorization)]
  const answers = new Map<string, Map<number, number>>()
  const any = fc.oneof(
    ...operations.map((operation) =>
      requestsTo(operation, known).map((request) => ({ request, about: `${operation.method} ${operation.path}` })),
    ),
  )
  const property = fc.asyncProperty(any, async ({ request: { method, url, headers, body }, about }) => {
    const answer = await fetch(`${gatewayUrl}${url}`, {
      method,
      headers: { ...headers, authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body }),
      redirect: 'manual',
    })
    const ofOperation = answers.get(about) ?? new Map<number, number>()
    answers.set(about, ofOperation.set(answer.status, (ofOperation.get(answer.status) ?? 0) + 1))
    if (answer.status >= 500) throw new Error(`${answer.status} ${await answer.text()}`)
    // Live events never end.
    await answer.body?.cancel()
  })
  const run = await fc.check(property, { seed, numRuns: requests, interruptAfterTimeLimit: withinMs })
  const failure = run.failed
    ? `${JSON.stringify(run.counterexample)}: ${String(run.errorInstance)} (seed ${seed})`
    : null
  return { operations: operations.length, answers, failure }
}

const begin = async (gatewayUrl: string, authorization: string): Promise<string> => {
  const answer = await fetch(`${gatewayUrl}/uploads`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json', 'idempotency-key': randomUUID() },
    body: JSON.stringify({ title: 'A', fileName: 'a.mp4', sizeBytes: 20_000_000 }),
  })
  return ((await answer.json()) as { uploadId: string }).uploadId
}
