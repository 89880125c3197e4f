import { createServer, type Socket } from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { systemClock } from '../../platform/clock.ts'
import { signLocalToken } from '../../platform/http/author-token.ts'
import { silentLogger } from '../../platform/log.ts'
import { createDatabase } from '../../prisma/client.ts'
import { createCodec } from '../../runtime/codec/avro.ts'
import { memoryDirectory } from '../../runtime/codec/schema-directory.ts'
import { examples } from '../../schemas/examples.ts'
import { createPresignClient, createS3Client } from '../../storage/s3-client.ts'
import { kafkaClaimProducer } from '../kafka-claim-producer.ts'
import gateway from './app.ts'
import type { GatewayContext } from './context.ts'
import { prismaUploadReads } from './prisma-upload-reads.ts'
import { TEST_SECRET, testContext } from './testing/context.ts'
import { fakePipeline } from './testing/fakes.ts'
import { s3UploadStore } from './upload-store.ts'

/**
 * Something that the gateway stands on is dead or silent: every route says 503 with Retry-After, and the same request
 * succeeds when it is back, as if nothing had been. The table is compared with the routes that are registered.
 *
 * Dead is played by the pipeline in memory. Silent is real: the adapters of the product on connections on which nobody
 * answers, which is worse, because nothing fails by itself.
 */
const token = await signLocalToken(TEST_SECRET, 'ada', 'Ada')

type Need = 'kafka' | 's3' | 'database'

const startGateway = async (t: Test, adapters: Partial<Pick<GatewayContext, 'reads' | 'claims' | 'store'>> = {}) => {
  const pipeline = fakePipeline()
  const routes: string[] = []
  const app = Fastify()
  app.addHook('onRoute', ({ method, url }) => {
    for (const each of [method].flat()) if (each !== 'HEAD') routes.push(`${each} ${url}`)
  })
  await app.register(gateway, {
    localSignInSecret: TEST_SECRET,
    context: testContext(pipeline, { limits: { outcomeTimeoutMs: 20 }, ...adapters }),
  })
  t.teardown(() => app.close())
  const call = async (method: string, url: string, body?: object, key = 'key') => {
    const headers = { authorization: `Bearer ${token}`, 'idempotency-key': key }
    const request = { method: method as 'GET', url, headers, ...(body === undefined ? {} : { payload: body }) }
    const answer = await app.inject(request)
    return { status: answer.statusCode, headers: answer.headers, body: answer.json() }
  }
  return { ...pipeline, call, routes }
}

const stream = { fileName: 'a.mp4', title: 'A' }
const part = { partNumber: 1, sizeBytes: 5, checksumSha256: `${'A'.repeat(43)}=` }
const stored = { sizeBytes: 5, checksumSha256: part.checksumSha256, etag: 'e' }

/** What each route cannot do without. `:id` is an upload that was begun before. */
const ROUTES: Readonly<Record<string, { needs: readonly Need[]; body?: object }>> = {
  'POST /uploads': { needs: ['database', 's3', 'kafka'], body: stream },
  'GET /uploads/:uploadId/parts': { needs: ['database'] },
  // Signing is arithmetic.
  'POST /uploads/:uploadId/parts/sign': { needs: ['database'], body: { parts: [part] } },
  'POST /uploads/:uploadId/parts': { needs: ['database', 'kafka'], body: { parts: [{ partNumber: 1, ...stored }] } },
  'PUT /uploads/:uploadId/parts/:partNumber': { needs: ['database', 'kafka'], body: stored },
  'POST /uploads/:uploadId/seal': { needs: ['database', 'kafka'], body: { partCount: 1, sizeBytes: 5 } },
  'DELETE /uploads/:uploadId': { needs: ['database', 'kafka'] },
  'PATCH /videos/:videoId': { needs: ['database', 'kafka'], body: { title: 'B' } },
  'DELETE /videos/:videoId': { needs: ['database', 'kafka'] },
  'POST /session': { needs: [], body: { name: 'Ada' } },
}
const ALL: readonly Need[] = ['kafka', 's3', 'database']

const urlFor = (route: string, id: string): readonly [method: string, url: string] => {
  const [method = '', url = ''] = route.split(' ')
  return [method, url.replace(/:(uploadId|videoId)/, id).replace(':partNumber', '1')]
}

t.test('every route has a row', async (t) => {
  const { routes } = await startGateway(t)
  t.same(routes.sort(), Object.keys(ROUTES).sort())
})

for (const [route, { needs, body }] of Object.entries(ROUTES)) {
  for (const away of ALL) {
    const expected = needs.includes(away) ? 'says 503, and succeeds when it is back' : 'does not need it'
    t.test(`${route}, ${away} away: ${expected}`, async (t) => {
      const { call, fault, sent, multiparts } = await startGateway(t)
      const { uploadId } = (await call('POST', '/uploads', stream)).body
      const isCreate = route === 'POST /uploads'
      // Another create than the one before.
      const ask = () => call(...urlFor(route, uploadId), body, isCreate ? 'another-key' : 'key')
      fault[away] = 'away'
      const answer = await ask()
      if (!needs.includes(away)) return t.ok(answer.status < 300, `${answer.status}`)
      t.match(answer, { status: 503, headers: { 'retry-after': '1', 'content-type': /problem\+json/ } })
      const made = sent.length
      delete fault[away]
      const repeated = await ask()
      t.ok(repeated.status < 300, `${repeated.status}`)
      t.ok(sent.length - made <= 1, 'one claim, however often it was asked')
      t.equal(multiparts.size, isCreate ? 2 : 1, 'nothing is left behind')
    })
  }
}

const startedBy = (authorId: string) => ({
  ...examples.UploadStarted,
  authorId,
  sizeBytes: null,
  partCount: null,
  expiresAtMs: Date.now() + 3_600_000,
})

t.test('a connection on which nobody answers', async (t) => {
  const open = new Set<Socket>()
  const silent = createServer((socket) => {
    open.add(socket)
    socket.on('error', () => undefined)
  })
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port } = silent.address() as { port: number }
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    silent.close()
  })
  const away = { status: 503, headers: { 'retry-after': '1' } }

  t.test('of PostgreSQL', async (t) => {
    const url = `postgresql://nobody@127.0.0.1:${port}/nothing`
    const database = createDatabase({ url, maxConnections: 1, log: silentLogger })
    const { call } = await startGateway(t, { reads: prismaUploadReads(database, { timeoutMs: 50 }) })
    for (const [route, { needs, body }] of Object.entries(ROUTES)) {
      if (!needs.includes('database')) continue
      const answer = await call(...urlFor(route, 'x'), body)
      t.match(answer, { ...away, body: { code: 'DATABASE_UNAVAILABLE' } }, route)
    }
  })

  t.test('of S3', async (t) => {
    const endpoint = `http://127.0.0.1:${port}`
    const settings = { endpoint, publicEndpoint: endpoint, region: 'x', accessKeyId: 'x', secretAccessKey: 'x' }
    const [s3, presigner] = [createS3Client(settings), createPresignClient(settings)]
    const store = s3UploadStore({ s3, presigner, bucket: 'media', clock: systemClock, timeoutMs: 50 })
    const { call, sent } = await startGateway(t, { store })
    t.match(await call('POST', '/uploads', stream), { ...away, body: { code: 'S3_UNAVAILABLE' } })
    t.equal(sent.length, 0, 'nothing is claimed of a multipart that nobody knows')
    s3.destroy()
    presigner.destroy()
  })

  t.test('of Kafka', async (t) => {
    const producer = { send: () => new Promise<never>(() => {}), close: async () => {} }
    const codec = createCodec(memoryDirectory())
    const claims = kafkaClaimProducer({ producer, codec, clock: systemClock, timeoutMs: 20 })
    const { call, claims: working, uploads, videos, multiparts } = await startGateway(t, { claims })
    t.match(await call('POST', '/uploads', stream), { ...away, body: { code: 'CLAIM_DOUBTFUL' } })
    t.equal(multiparts.size, 1, 'the claim may be in the log: its multipart stays')
    await working.claim('UploadStarted', 'x', startedBy('ada'), { id: 'before' })
    t.ok(uploads.has('x') && videos.has('x'))
    for (const [route, { needs, body }] of Object.entries(ROUTES)) {
      if (!needs.includes('kafka') || route === 'POST /uploads') continue
      t.match(await call(...urlFor(route, 'x'), body), { ...away, body: { code: 'CLAIM_DOUBTFUL' } }, route)
    }
  })
})
