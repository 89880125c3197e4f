import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { createUpload } from '../../ingest/sdk/index.ts'
import { openRoles } from '../chaos/roles.ts'
import { type OpenApi, operationsOf, requestsTo } from './openapi-requests.ts'

/**
 * Requests made from the product's own OpenAPI document, valid and not, against the real product: none is answered with
 * 5xx, and none of what was let in stops those that fold it, which only an upload that completes afterwards can show.
 */
/** The same requests each time, so that a change is answered for by who made it; others by another number. */
const SEED = 623793577
const TIME_MS = 15_000

t.test('no request makes a 5xx, and nothing that was let in stops the pipeline', async (t) => {
  const roles = await openRoles(t)
  const started = await Promise.all(['processors', 'projections', 'front'].map((name) => roles.start(name)))
  const { GATEWAY_URL: gatewayUrl = '', AUTHOR_TOKEN: token = '' } = roles.env
  const authorization = `Bearer ${token}`
  const openApi = (await (await fetch(`${gatewayUrl}/documentation/json`)).json()) as OpenApi
  const operations = operationsOf(openApi).map((operation) => ({
    ...operation,
    // Asks to wait for a claim, and one that nobody made is waited for: 503 NOT_YET_VISIBLE is the answer.
    parameters: operation.parameters.filter(({ name }) => name !== 'after'),
  }))
  t.ok(operations.length >= 18, `${operations.length} operations`)
  const known = [await begin(gatewayUrl, authorization), await begin(gatewayUrl, authorization)]
  const statuses = new Map<number, number>()

  const requests = fc.oneof(...operations.map((operation) => requestsTo(operation, known)))
  const property = fc.asyncProperty(requests, async ({ method, url, headers, body }) => {
    const answer = await fetch(`${gatewayUrl}${url}`, {
      method,
      headers: { ...headers, authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body }),
      redirect: 'manual',
    })
    // Live events never end.
    await answer.body?.cancel()
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
    return answer.status < 500
  })
  await fc.assert(property, { seed: SEED, numRuns: 2_000, interruptAfterTimeLimit: TIME_MS, endOnFailure: true })
  t.comment([...statuses].map(([status, count]) => `${status}: ${count}`).join(', '))
  for (const status of [200, 202, 400, 404]) t.ok(statuses.has(status), `some were answered ${status}`)

  const source = new Blob([new Uint8Array(1_000)])
  await createUpload(source, { gatewayUrl, token, details: { title: 'Afterwards', fileName: 'a.mp4' } }).done
  t.same(
    started.filter((role) => role.hasExited()).map(({ name }) => name),
    [],
  )
})

const begin = async (gatewayUrl: string, authorization: string): Promise<string> => {
  const answer = await fetch(`${gatewayUrl}/uploads`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json', 'idempotency-key': randomUUID() },
    body: JSON.stringify({ title: 'A', fileName: 'a.mp4', sizeBytes: 20_000_000 }),
  })
  return ((await answer.json()) as { uploadId: string }).uploadId
}
