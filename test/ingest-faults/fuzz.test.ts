import t from 'tap'
import { createUpload } from '../../ingest/sdk/index.ts'
import { openRoles } from '../chaos/roles.ts'
import { FUZZ_SETTINGS, fuzz, fuzzTarget, WITHOUT_SUCCESS } from './fuzz/fuzz.ts'

/**
 * Requests made from the product's own OpenAPI document, valid and not, against the real product: no answer breaks a
 * promise, each operation is seen to succeed as well, and nothing that was let in stops those that fold it, which only an
 * upload that completes afterwards can show. More of them: `npm run test:fuzz`.
 */
/** The same requests each time, so that a change is answered for by who made it; others by another number. */
const SEED = 623793577

t.test('no request makes a 5xx, and nothing that was let in stops the pipeline', async (t) => {
  const roles = await openRoles(t, { detours: async () => FUZZ_SETTINGS })
  const started = await Promise.all(['processors', 'projections', 'front'].map((name) => roles.start(name)))
  const target = await fuzzTarget(roles.env)
  const { answers, notYetVisible, failure } = await fuzz(target, { seed: SEED, requests: 1_500, withinMs: 120_000 })
  t.equal(failure, null)
  t.ok(answers.size >= 18, `${answers.size} operations`)
  const succeeded = (statuses: ReadonlyMap<number, number>) => [...statuses.keys()].some((status) => status < 300)
  t.same(
    [...answers].filter(([, statuses]) => !succeeded(statuses)).map(([operation]) => operation),
    WITHOUT_SUCCESS,
    'every other operation has succeeded',
  )
  const seen = new Set([...answers.values()].flatMap((statuses) => [...statuses.keys()]))
  for (const status of [400, 401, 403, 404, 409, 422]) t.ok(seen.has(status), `some were answered ${status}`)
  t.ok(notYetVisible > 0, `${notYetVisible} waited for a claim that nobody made`)

  const [token = ''] = target.tokens
  const { gatewayUrl } = target
  const source = new Blob([new Uint8Array(1_000)])
  await createUpload(source, { gatewayUrl, token, details: { title: 'Afterwards', fileName: 'a.mp4' } }).done
  t.same(
    started.filter((role) => role.hasExited()).map(({ name }) => name),
    [],
  )
})
