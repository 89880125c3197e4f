import t from 'tap'
import { createUpload } from '../../ingest/sdk/index.ts'
import { openRoles } from '../chaos/roles.ts'
import { fuzz } from './fuzz/fuzz.ts'

/**
 * Requests made from the product's own OpenAPI document, valid and not, against the real product: none is answered with
 * 5xx, and none of what was let in stops those that fold it, which only an upload that completes afterwards can show.
 * More of them: `npm run test:fuzz`.
 */
/** The same requests each time, so that a change is answered for by who made it; others by another number. */
const SEED = 623793577

t.test('no request makes a 5xx, and nothing that was let in stops the pipeline', async (t) => {
  const roles = await openRoles(t)
  const started = await Promise.all(['processors', 'projections', 'front'].map((name) => roles.start(name)))
  const { GATEWAY_URL: gatewayUrl = '', AUTHOR_TOKEN: token = '' } = roles.env
  const options = { seed: SEED, requests: 2_000, withinMs: 15_000 }
  const { operations, answers, failure } = await fuzz({ gatewayUrl, token }, options)
  t.equal(failure, null)
  t.ok(operations >= 18, `${operations} operations`)
  const statuses = new Set([...answers.values()].flatMap((of) => [...of.keys()]))
  for (const status of [200, 202, 400, 404]) t.ok(statuses.has(status), `some were answered ${status}`)

  const source = new Blob([new Uint8Array(1_000)])
  await createUpload(source, { gatewayUrl, token, details: { title: 'Afterwards', fileName: 'a.mp4' } }).done
  t.same(
    started.filter((role) => role.hasExited()).map(({ name }) => name),
    [],
  )
})
