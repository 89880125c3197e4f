import { createHash, randomBytes, randomUUID } from 'node:crypto'
import t from 'tap'
import { readProcessRecords } from '../../local/leftovers.ts'
import { listMultipartUploads } from '../../storage/multipart.ts'
import { createS3Client } from '../../storage/s3-client.ts'
import { cli, type Product, type RunFile, startProduct, until } from './product.ts'

/**
 * What deaths leave behind in S3, and how it goes away: the real product, a gateway that is killed between S3 and Kafka,
 * and the command that an operator has.
 *
 * To die at that moment for certain, the gateway is a new process, which has no connection to Kafka yet, and Kafka is
 * frozen: it can make the multipart and cannot say so. (With a connection the claim would lie in the broker's socket and
 * be read after all, and then it counts.)
 */
const BUCKET = 'reelstream-media'

t.test('a gateway killed between S3 and Kafka leaves an orphan, and reconcile removes it', async (t) => {
  const product = await startProduct(t)
  const s3 = s3Of(await product.run())
  t.teardown(() => s3.destroy())
  const first = await product.run()
  const open = await begin(first, randomUUID())
  await killGateway(product)
  const run = await untilBack(product, first.pids.front)

  const kafka = readProcessRecords(product.dataDir).find(({ name }) => name === 'kafka')
  if (kafka === undefined) throw new Error('Kafka is not on record')
  process.kill(kafka.pid, 'SIGSTOP')
  const doomed = begin(run, randomUUID()).catch((error: unknown) => error)
  await until('the multipart is there', async () => (await multiparts(s3)).length === 2)
  await killGateway(product)
  process.kill(kafka.pid, 'SIGCONT')
  t.ok((await doomed) instanceof Error, 'its client never got an answer')
  await untilBack(product, run.pids.front)

  const patient = await cli(product, 'reconcile', '--json', '--all')
  t.match(patient.lines.at(-1), { multiparts: 2, done: 0, failed: 0, complete: true }, 'not at once')
  const dry = await cli(product, 'reconcile', '--dry-run', '--json', '--grace-minutes', '0')
  t.match(dry.lines, [
    { outcome: 'planned', finding: { kind: 'abort-multipart', why: 'no upload names it' } },
    { planned: 1, done: 0 },
  ])
  t.equal((await multiparts(s3)).length, 2)
  const { code, lines } = await cli(product, 'reconcile', '--json', '--grace-minutes', '0')
  t.equal(code, 0)
  t.match(lines, [
    { outcome: 'done', finding: dry.lines[0]?.finding },
    { done: 1, failed: 0 },
  ])
  t.same(await multiparts(s3), [`v/${open.uploadId}/source`], 'the upload that is open stands')

  await t.test('and that upload goes on to be a source', () => finish(t, run, open))
})

const killGateway = async (product: Product): Promise<void> => {
  process.kill((await product.run()).pids.front, 'SIGKILL')
}

/** Until another process than that one answers. */
const untilBack = (product: Product, pid: number): Promise<RunFile> =>
  until('the gateway is back', async () => {
    const run = await product.run()
    return run.pids.front !== pid && (await isReady(run)) && run
  })

interface Begun {
  readonly uploadId: string
  readonly uploadToken: string
}

const SIZE = 1000

const begin = async ({ gatewayUrl, token }: RunFile, key: string): Promise<Begun> => {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'idempotency-key': key }
  const body = JSON.stringify({ fileName: 'a.mp4', title: 'A', sizeBytes: SIZE })
  const answer = await fetch(`${gatewayUrl}/uploads`, { method: 'POST', headers, body })
  if (!answer.ok) throw new Error(`POST /uploads: ${answer.status} ${await answer.text()}`)
  return (await answer.json()) as Begun
}

const finish = async (t: { equal(a: unknown, b: unknown): void }, run: RunFile, { uploadId, uploadToken }: Begun) => {
  const body = randomBytes(SIZE)
  const part = { partNumber: 1, sizeBytes: SIZE, checksumSha256: createHash('sha256').update(body).digest('base64') }
  const post = async (path: string, parts: readonly object[]) => {
    const headers = { authorization: `Bearer ${uploadToken}`, 'content-type': 'application/json' }
    const init = { method: 'POST', headers, body: JSON.stringify({ parts }) }
    return (await fetch(`${run.gatewayUrl}/uploads/${uploadId}${path}`, init)).json()
  }
  const { parts } = (await post('/parts/sign', [part])) as { parts: { url: string; headers: Record<string, string> }[] }
  const [signed] = parts
  if (signed === undefined) throw new Error('nothing was signed')
  const put = await fetch(signed.url, { method: 'PUT', headers: signed.headers, body: new Uint8Array(body) })
  await post('/parts', [{ ...part, etag: put.headers.get('etag') }])
  const status = await until('the upload is complete', async () => {
    const headers = { authorization: `Bearer ${run.token}` }
    const upload = (await (await fetch(`${run.apiUrl}/uploads/${uploadId}`, { headers })).json()) as { status?: string }
    return upload.status !== 'open' && upload.status
  })
  t.equal(status, 'completed')
}

const isReady = async ({ webUrl }: RunFile): Promise<boolean> =>
  fetch(`${webUrl}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  )

const s3Of = (run: RunFile) =>
  createS3Client({
    endpoint: run.s3Endpoint,
    publicEndpoint: run.s3Endpoint,
    region: 'us-east-1',
    accessKeyId: run.s3AccessKeyId,
    secretAccessKey: run.s3SecretAccessKey,
  })

const multiparts = async (s3: ReturnType<typeof s3Of>): Promise<readonly string[]> => {
  const keys: string[] = []
  for await (const { key } of listMultipartUploads(s3, { bucket: BUCKET, prefix: 'v/' })) keys.push(key)
  return keys.sort()
}
