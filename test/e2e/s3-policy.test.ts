import { randomUUID } from 'node:crypto'
import t from 'tap'
import { startTestStack } from '../../scripts/testing/test-stack.ts'
import { createMultipart } from '../../storage/multipart.ts'
import { createS3Client } from '../../storage/s3-client.ts'
import { startFaultProxy } from '../../storage/testing/fault-proxy.ts'
import { clipFolder, videoClip } from './clips.ts'
import { cli, type RunFile, settledVideo, startProduct, until, videoOf } from './product.ts'
import { callOf, isAllowed, permissionsOf } from './s3-policy.ts'

/**
 * docs/s3-policy.json against what the product really asks of S3: a proxy in front of a real server notes every call of a
 * run that uploads, encodes, plays, gives up, deletes and cleans up. Each must be allowed to the process that made it, by
 * its User-Agent, and what is allowed must have been needed, or be here with a reason.
 */
const BUCKET = 'reelstream-media'

/** What a process may act as. Parts carry no name: whoever sends them has a URL that the gateway signed. */
const ROLES: Readonly<Record<string, readonly string[]>> = {
  front: ['gateway', 'api'],
  migrate: ['migrate'],
  processors: ['processors'],
  workers: ['workers'],
  cli: ['cli'],
  client: ['gateway'],
}

/** Granted and not called for. */
const NOT_SEEN: Readonly<Record<string, readonly string[]>> = {
  // Makes S3 say 404 instead of 403 for an object that is not there.
  processors: ['s3:ListBucket'],
  workers: ['s3:ListBucket'],
}

t.test('every call to S3 is within the policy', async (t) => {
  const stack = await startTestStack()
  t.teardown(() => stack.stop())
  const { DATA_DIR: _ours, S3_ENDPOINT: s3Endpoint = '', ...servers } = stack.env
  const proxy = await startFaultProxy(s3Endpoint)
  t.teardown(() => proxy.close())
  const calls = new Map<string, ReturnType<typeof callOf> & { readonly by: string }>()
  proxy.decide = ({ method, url, userAgent }) => {
    const by = /app\/reelstream-(\w+)/.exec(userAgent)?.[1] ?? 'client'
    const call = callOf(method, url)
    calls.set(`${by} ${call.action} ${call.resource}`, { by, ...call })
    return undefined
  }
  const product = await startProduct(t, {
    ...servers,
    S3_ENDPOINT: proxy.endpoint,
    WEB_ORIGINS: 'http://localhost:3000',
    KEEP_DELETED_DAYS: '0',
  })
  const run = await product.run()
  const folder = await clipFolder(t)

  const { code, lines } = await cli(product, 'upload', await videoClip(folder, 4), '--json')
  t.equal(code, 0)
  const videoId = String(lines.at(-1)?.videoId)
  t.equal((await settledVideo(product, videoId)).status, 'ready')
  await play(run, videoId)
  const givenUp = await begin(run)
  await ask(run, 'DELETE', `/uploads/${givenUp}`)
  await until('the upload is given up', async () => (await ask(run, 'GET', `/uploads/${givenUp}`)).status === 'aborted')
  await begin(run)
  await orphan(s3Endpoint, stack.env)
  await ask(run, 'DELETE', `/videos/${videoId}`)
  await until('the video is deleted', async () => (await videoOf(run, videoId))?.status === 'deleted')
  const { lines: reconciled } = await cli(product, 'reconcile', '--grace-minutes', '0', '--json')
  t.match(reconciled.at(-1), { done: 2, failed: 0 }, 'an orphan, and the objects of the deleted video')

  t.ok(calls.size > 30, `${calls.size} different calls`)
  const beyond = [...calls].filter(([, { by, ...call }]) => !isAllowed(ROLES[by] ?? [], call)).map(([call]) => call)
  t.same(beyond, [], 'none is beyond the policy')
  for (const processes of [['front', 'cli', 'client'], ['migrate'], ['processors'], ['workers']]) {
    const granted = new Set(processes.flatMap((by) => (ROLES[by] ?? []).flatMap(permissionsOf)))
    const used = new Set([...calls.values()].filter(({ by }) => processes.includes(by)).map(({ action }) => action))
    const expected = processes.flatMap((by) => NOT_SEEN[by] ?? [])
    t.same([...granted].filter((action) => !used.has(action)).sort(), expected, `${processes}: nothing is idle`)
  }
})

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

/** As a gateway leaves it that dies before its claim. */
const orphan = async (endpoint: string, env: Readonly<Record<string, string>>): Promise<void> => {
  const { S3_ACCESS_KEY_ID: accessKeyId = '', S3_SECRET_ACCESS_KEY: secretAccessKey = '' } = env
  const s3 = createS3Client({ endpoint, publicEndpoint: endpoint, region: 'us-east-1', accessKeyId, secretAccessKey })
  await createMultipart(s3, { bucket: BUCKET, key: `v/${randomUUID()}/source`, contentType: 'video/mp4' })
  s3.destroy()
}
