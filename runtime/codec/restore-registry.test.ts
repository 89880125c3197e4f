import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { fetchSchema } from './registry.ts'
import { restoreRegistry } from './restore-registry.ts'

const schemaOf = (name: string, fields: object[] = []): string =>
  JSON.stringify({ type: 'record', name, namespace: 'test', fields })
const [A, B] = [schemaOf('A'), schemaOf('B')]
const A2 = schemaOf('A', [{ name: 'x', type: ['null', 'string'], default: null }])

interface Registry {
  readonly url: string
  readonly schemas: Map<number, string>
  readonly subjects: Set<string>
  /** It takes so many schemas, and then answers no request to register. */
  failAfter(schemas: number): void
}

/** Hands ids out in order, one per schema, as registries do. */
const openRegistry = async (t: Test, first = 1): Promise<Registry> => {
  const schemas = new Map<number, string>()
  const subjects = new Set<string>()
  let next = first
  let most = Number.POSITIVE_INFINITY
  const register = (subject: string, schema: string): object => {
    subjects.add(subject)
    const known = [...schemas].find(([, other]) => other === schema)?.[0]
    if (known === undefined) schemas.set(next++, schema)
    return { id: known ?? next - 1 }
  }
  const answer = async ({ method, url = '' }: IncomingMessage, body: string): Promise<[number, unknown]> => {
    const [, kind, name = ''] = url.split('/').map(decodeURIComponent)
    if (kind === 'config' && method === 'PUT') return [200, {}]
    if (kind === 'subjects' && method === 'GET') return [200, [...subjects]]
    if (kind === 'subjects' && schemas.size >= most) return [500, { error_code: 500, message: 'out of order' }]
    if (kind === 'subjects') return [200, register(name, JSON.parse(body).schema)]
    const schema = schemas.get(Number(url.split('/').at(-1)))
    return kind === 'schemas' && schema !== undefined ? [200, { schema }] : [404, { error_code: 404, message: 'none' }]
  }
  const server = createServer(async (request, response) => {
    const [status, body] = await answer(request, await text(request))
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const failAfter = (count: number): void => {
    most = count
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, schemas, subjects, failAfter }
}

const HELD = new Map([
  [5, A2],
  [2, A],
  [3, B],
])

t.test('what the topic has is registered under its ids, gaps included', async (t) => {
  const { url, subjects } = await openRegistry(t)
  t.equal(await restoreRegistry(url, HELD), 3)
  for (const [id, schema] of HELD) t.same(JSON.parse(await fetchSchema(url, id)), JSON.parse(schema), `${id}`)
  t.ok(subjects.has('test.A') && subjects.has('test.B'))
  t.equal(await restoreRegistry(url, HELD), 0, 'nothing is lost any more')
})

t.test('whoever dies in the middle goes on where it was, also in a gap', async (t) => {
  for (let registered = 0; registered < 5; registered++) {
    const registry = await openRegistry(t)
    registry.failAfter(registered)
    await t.rejects(restoreRegistry(registry.url, HELD), { code: 'REGISTRY_UNAVAILABLE' })
    t.equal(registry.schemas.size, registered)
    registry.failAfter(Number.POSITIVE_INFINITY)
    await restoreRegistry(registry.url, HELD)
    for (const [id, schema] of HELD) t.same(JSON.parse(registry.schemas.get(id) ?? ''), JSON.parse(schema), `${id}`)
  }
})

t.test('a schema with two ids has the later one, with which it is written', async (t) => {
  const { url, schemas } = await openRegistry(t)
  await restoreRegistry(url, new Map([...HELD, [6, A]]))
  t.same(JSON.parse(schemas.get(6) ?? ''), JSON.parse(A))
})

t.test('nothing is asked of a registry that has all, nor for a log that has nothing', async (t) => {
  const { url, schemas } = await openRegistry(t)
  t.equal(await restoreRegistry(url, new Map()), 0)
  t.equal(schemas.size, 0)
})

t.test('a registry that has another schema under one of the ids is refused', async (t) => {
  const registry = await openRegistry(t)
  registry.schemas.set(2, B)
  await t.rejects(restoreRegistry(registry.url, HELD), { code: 'REGISTRY_MISMATCH', facts: { schemaId: 2 } })
})

t.test('one that gives other ids is refused, naming both', async (t) => {
  const { url } = await openRegistry(t, 100)
  await t.rejects(restoreRegistry(url, HELD), { code: 'REGISTRY_NOT_RESTORED', message: /the id 100, which was 1/ })
})

t.test('one that is away is no empty one', async (t) => {
  await t.rejects(restoreRegistry('http://127.0.0.1:1', HELD), { code: 'REGISTRY_UNAVAILABLE', retryable: true })
})
