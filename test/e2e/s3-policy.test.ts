import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { freePorts } from '../../local/ports.ts'
import { startTestStack } from '../../scripts/testing/test-stack.ts'
import { createMultipart } from '../../storage/multipart.ts'
import { createS3Client } from '../../storage/s3-client.ts'
import { startFaultProxy } from '../../storage/testing/fault-proxy.ts'
import { clipFolder, videoClip } from './clips.ts'
import { cli, type Product, type RunFile, settledVideo, startProduct, until, videoOf } from './product.ts'
import { callOf, covers, type Grant, grantsOf, isAllowed, type S3Call } from './s3-policy.ts'

/**
 * docs/s3-policy.json against what the product really asks of S3: a proxy in front of a real server notes every call of a
 * run that uploads, imports, encodes, plays, gives up, deletes and cleans up. Each is judged by the role of the process
 * that made it, which its User-Agent names. Each must be allowed to that role, and what is allowed to a role must have
 * been needed by it, or be here with a reason.
 */
const BUCKET = 'reelstream-media'

const ROLES = ['migrate', 'gateway', 'api', 'processors', 'workers', 'cli']

/** Makes S3 say 404 instead of 403 for an object that is not there: nothing that can be seen on the way to S3. */
const NEVER_SEEN: Readonly<Record<string, readonly string[]>> = {
  processors: [`s3:ListBucket arn:aws:s3:::${BUCKET}`],
  workers: [`s3:ListBucket arn:aws:s3:::${BUCKET}`],
  api: [`s3:ListBucket arn:aws:s3:::${BUCKET}`],
}

t.test('every call to S3 is within the policy', async (t) => {
  const stack = await startTestStack()
  t.teardown(() => stack.stop())
  const { DATA_DIR: _ours, S3_ENDPOINT: s3Endpoint = '', ...servers } = stack.env
  const proxy = await startFaultProxy(s3Endpoint)
  t.teardown(() => proxy.close())
  const calls = new Map<string, S3Call & { readonly by: string }>()
  proxy.decide = ({ method, url, userAgent }) => {
    const by = roleOf(url, userAgent)
    const call = callOf(method, url)
    calls.set(`${by} ${call.action} ${call.resource}`, { by, ...call })
    return undefined
  }
  const isUsed = (role: string, grant: Grant) =>
    [...calls.values()].some(({ by, ...call }) => by === role && covers(grant, call))
  const product = await startProduct(t, {
    ...servers,
    S3_ENDPOINT: proxy.endpoint,
    WEB_ORIGINS: 'http://localhost:3000',
    KEEP_DELETED_DAYS: '0',
    IMPORT_SOURCES: `${BUCKET}/films`,
    // The command cleans up first, then a gateway.
    RECONCILE_MINUTES: '0',
  })
  const run = await product.run()
  const folder = await clipFolder(t)
  const clip = await videoClip(folder, 4)

  const { code, lines } = await cli(product, 'upload', clip, '--json')
  t.equal(code, 0)
  const videoId = String(lines.at(-1)?.videoId)
  t.equal((await settledVideo(product, videoId)).status, 'ready')
  await play(run, videoId)
  const givenUp = await begin(run)
  await ask(run, 'DELETE', `/uploads/${givenUp}`)
  await until('the upload is given up', async () => (await ask(run, 'GET', `/uploads/${givenUp}`)).status === 'aborted')
  await begin(run)
  const s3 = s3At(s3Endpoint, stack.env)
  t.teardown(() => s3.destroy())
  await orphan(s3)
  await remove(run, videoId)
  const { lines: reconciled } = await cli(product, 'reconcile', '--grace-minutes', '0', '--json')
  t.match(reconciled.at(-1), { done: 2, failed: 0 }, 'an orphan, and the objects of the deleted video')

  await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'films/a.mp4', Body: await readFile(clip) }))
  const imported = await cli(product, 'import', `s3://${BUCKET}/films/a.mp4`, '--wait', '--json')
  t.equal(imported.code, 0, imported.stderr)
  await remove(run, String(imported.lines.at(-1)?.videoId))
  await orphan(s3)
  await startGateway(t, product)
  // What it does last.
  const deletion = { action: 's3:DeleteObject', resource: '*' }
  await until('a gateway has cleaned up', async () => isUsed('gateway', deletion))

  t.ok(calls.size > 30, `${calls.size} different calls`)
  const beyond = [...calls].filter(([, { by, ...call }]) => !isAllowed(by, call)).map(([call]) => call)
  t.same(beyond, [], 'none is beyond the policy of its role')
  for (const role of ROLES) {
    const idle = grantsOf(role).filter((grant) => !isUsed(role, grant))
    t.same(
      idle.map(({ action, resource }) => `${action} ${resource}`),
      NEVER_SEEN[role] ?? [],
      `${role}: nothing is idle`,
    )
  }
})

/** Whoever sends a part has a URL that a gateway signed, and acts with its right; what says nothing at all has none. */
const roleOf = (url: string, userAgent: string): string =>
  /app\/reelstream-(\w+)/.exec(userAgent)?.[1] ?? (url.includes('X-Amz-Signature=') ? 'gateway' : 'nobody')

/** A process of its own beside that of the product, which cleans up every few seconds. Its role is the same. */
const startGateway = async (t: Test, product: Product): Promise<void> => {
  const [port = 0] = await freePorts(1)
  const own = { WEB_PORT: String(port), RECONCILE_MINUTES: '0.05', RECONCILE_GRACE_MINUTES: '0.001' }
  const env = { ...product.env, ...own, JWT_SECRET: randomUUID() }
  const gateway = spawn(process.execPath, [SERVER], { env, stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = once(gateway, 'exit')
  t.teardown(async () => {
    gateway.kill('SIGTERM')
    await ended
  })
  await until('the gateway is ready', async () => {
    if (gateway.exitCode !== null) throw new Error(`the gateway ended with ${gateway.exitCode}`)
    return (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined))?.ok
  })
}

const SERVER = path.resolve(import.meta.dirname, '..', '..', 'ingest', 'gateway', 'server.ts')

const remove = async (run: RunFile, videoId: string): Promise<void> => {
  await ask(run, 'DELETE', `/videos/${videoId}`)
  await until('the video is deleted', async () => (await videoOf(run, videoId))?.status === 'deleted')
}

const ask = async (run: RunFile, method: string, url: string, body?: object): Promise<Record<string, unknown>> => {
  const headers = { authorization: `Bearer ${run.token}`, 'idempotency-key': randomUUID() }
  const json = { ...headers, 'content-type': 'application/json' }
  const init = body === undefined ? { method, headers } : { method, headers: json, body: JSON.stringify(body) }
  // Under load the product asks to come again later: any client does.
  return until(`an answer to ${method} ${url}`, async () => {
    const answer = await fetch(`${run.gatewayUrl}${url}`, init)
    const json = (await answer.json()) as Record<string, unknown>
    return answer.status !== 503 && json
  })
}

const begin = async (run: RunFile): Promise<string> =>
  String((await ask(run, 'POST', '/uploads', { fileName: 'a.mp4', title: 'A', sizeBytes: 5 })).uploadId)

/** The master playlist, and one media playlist and segment of it. */
const play = async ({ apiUrl }: RunFile, videoId: string): Promise<void> => {
  const read = async (url: URL) => ({ url, text: await (await fetch(url)).text() })
  const firstUri = ({ url, text }: { url: URL; text: string }) =>
    new URL(text.split('\n').find((line) => line !== '' && !line.startsWith('#')) ?? '', url)
  const master = await read(new URL(`/watch/${videoId}/master.m3u8`, apiUrl))
  await read(firstUri(await read(firstUri(master))))
}

/** Past the proxy: what a test does itself is nobody's call. */
const s3At = (endpoint: string, env: Readonly<Record<string, string>>) => {
  const { S3_ACCESS_KEY_ID: accessKeyId = '', S3_SECRET_ACCESS_KEY: secretAccessKey = '' } = env
  return createS3Client({ endpoint, publicEndpoint: endpoint, region: 'us-east-1', accessKeyId, secretAccessKey })
}

/** As a gateway leaves it that dies before its claim. */
const orphan = (s3: ReturnType<typeof s3At>) =>
  createMultipart(s3, { bucket: BUCKET, key: `v/${randomUUID()}/source`, contentType: 'video/mp4' })
