import { spawn } from 'node:child_process'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import path from 'node:path'
import t, { type Test } from 'tap'
import { freePorts } from '../../local/ports.ts'
import { loadSecrets } from '../../local/secrets.ts'
import { listMultipartUploads } from '../../storage/multipart.ts'
import { readWhole } from '../../storage/read-object.ts'
import { createS3Client } from '../../storage/s3-client.ts'
import { type Product, type RunFile, startProduct, until } from './product.ts'

/**
 * Clients that say what is not so, over plain HTTP against the real product: a part that was reported and never sent is
 * wanted again, whoever goes on saying so is ended with a code, a stream is what its parts are once it is sealed, and who
 * never comes back leaves nothing in S3.
 */
const MiB = 1024 * 1024

t.test('what clients say of their parts', async (t) => {
  const product = await startProduct(t)
  const run = await product.run()
  const client = clientOf(run)
  const rejectionsOf = async (videoId: string) => {
    const { items } = (await client.get(`/videos/${videoId}/history?limit=200`)) as unknown as History
    return items.filter(({ type }) => type === 'PartRejected').length
  }

  await t.test('a part that S3 does not have is wanted again, with the very same bytes', async (t) => {
    const bytes = [randomBytes(8 * MiB), randomBytes(100)]
    const upload = await client.begin({ sizeBytes: 8 * MiB + 100 })
    await upload.report(2, bytes[1] as Buffer, await upload.put(2, bytes[1] as Buffer))
    await upload.report(1, bytes[0] as Buffer, md5(bytes[0] as Buffer)) // It was never sent.
    await until('the lie is found out', async () => (await rejectionsOf(upload.uploadId)) === 1)
    const { parts, status } = await until('and is off the list', async () => {
      const answer = await upload.parts()
      return answer.parts.length === 1 && answer
    })
    t.match({ parts, status }, { status: 'open', parts: [{ partNumber: 2 }] }, 'the other part stands')
    const etag = await upload.put(1, bytes[0] as Buffer)
    t.equal(etag, md5(bytes[0] as Buffer), 'reported as it was before')
    await until('the upload is complete', async () => {
      // As long as the list lacks it: a report that comes before its rejection can be read counts as a repetition.
      await upload.report(1, bytes[0] as Buffer, etag)
      return (await upload.parts()).status === 'completed'
    })
    t.equal(await sourceOf(run, upload.uploadId), sha256(Buffer.concat(bytes)))
  })

  await t.test('who goes on to lie is ended, with what is wrong', async (t) => {
    const body = randomBytes(10)
    const upload = await client.begin({ sizeBytes: 10 })
    await until('the upload is ended', async () => {
      await upload.report(1, body, md5(body))
      return (await upload.parts()).status === 'aborted'
    })
    t.equal(await rejectionsOf(upload.uploadId), 3, 'asked for three times')
    t.match(await client.get(`/uploads/${upload.uploadId}`), { status: 'aborted', code: 'PART_MISSING' })
    t.match(await upload.report(1, body, md5(body)), { code: 'UPLOAD_CLOSED' })
  })

  await t.test('a stream is complete when it is sealed, not before', async (t) => {
    const upload = await client.begin({})
    const { partSizeBytes, partCount } = upload.begun
    t.equal(partCount, null)
    const bytes = [randomBytes(partSizeBytes), randomBytes(5)]
    for (const [i, body] of bytes.entries()) await upload.report(i + 1, body, await upload.put(i + 1, body))
    await until('both are recorded', async () => (await upload.parts()).parts.length === 2)
    t.equal((await upload.parts()).status, 'open')
    const list = (await client.get('/uploads?status=open')) as unknown as { items: readonly object[] }
    t.match(list.items[0], {
      uploadId: upload.uploadId,
      storedParts: 2,
      storedBytes: partSizeBytes + 5,
      partCount: null,
    })
    t.match(await upload.seal(2, partSizeBytes + 5), { claimId: String })
    await until('the upload is complete', async () => (await upload.parts()).status === 'completed')
    t.equal(await sourceOf(run, upload.uploadId), sha256(Buffer.concat(bytes)))
  })

  await t.test('what nobody finishes is given up when its time is over, and nothing of it stays in S3', async (t) => {
    const gatewayUrl = await startGateway(t, product, { UPLOAD_EXPIRY_HOURS: '0.003' })
    const upload = await clientOf({ ...run, gatewayUrl }).begin({ sizeBytes: 8 * MiB + 100 })
    const body = randomBytes(100)
    await upload.report(2, body, await upload.put(2, body))
    t.equal(await openMultiparts(run, upload.uploadId), 1)
    await until('it is aborted', async () => (await upload.parts()).status === 'aborted')
    t.match(await client.get(`/uploads/${upload.uploadId}`), { status: 'aborted', code: 'UPLOAD_EXPIRED' })
    await until('its part is gone', async () => (await openMultiparts(run, upload.uploadId)) === 0)
  })
})

/** One more gateway of the product, with settings of its own; it does not look for orphans. */
const startGateway = async (t: Test, { dataDir, env, run }: Product, settings: Record<string, string>) => {
  const [port = 0] = await freePorts(1)
  const { kafkaBrokers, schemaRegistryUrl, databaseUrl, s3Endpoint, s3AccessKeyId, s3SecretAccessKey } = await run()
  const { jwtSecret } = await loadSecrets(dataDir)
  const gateway = spawn(process.execPath, [path.join(ROOT, 'ingest/gateway/server.ts')], {
    cwd: ROOT,
    env: {
      ...env,
      KAFKA_BROKERS: kafkaBrokers,
      SCHEMA_REGISTRY_URL: schemaRegistryUrl,
      DATABASE_URL: databaseUrl,
      S3_ENDPOINT: s3Endpoint,
      S3_ACCESS_KEY_ID: s3AccessKeyId,
      S3_SECRET_ACCESS_KEY: s3SecretAccessKey,
      JWT_SECRET: jwtSecret,
      WEB_PORT: String(port),
      RECONCILE_MINUTES: '0',
      ...settings,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  t.teardown(() => gateway.kill('SIGKILL'))
  const url = `http://127.0.0.1:${port}`
  await until('the gateway answers', () =>
    fetch(`${url}/readyz`)
      .then(({ ok }) => ok)
      .catch(() => false),
  )
  return url
}

const ROOT = path.resolve(import.meta.dirname, '..', '..')

interface History {
  readonly items: readonly { readonly type: string }[]
}

interface PartsAnswer {
  readonly status: string
  readonly parts: readonly { readonly partNumber: number }[]
}

const clientOf = ({ gatewayUrl, token }: Pick<RunFile, 'gatewayUrl' | 'token'>) => {
  const ask = async (method: string, url: string, body?: object): Promise<Record<string, unknown>> => {
    const headers = { authorization: `Bearer ${token}`, 'idempotency-key': randomUUID() }
    const json = { ...headers, 'content-type': 'application/json' }
    const init = body === undefined ? { method, headers } : { method, headers: json, body: JSON.stringify(body) }
    // Under load the product asks to come again later: any client does.
    return until(`an answer to ${method} ${url}`, async () => {
      const answer = await fetch(`${gatewayUrl}${url}`, init)
      const json = (await answer.json()) as Record<string, unknown>
      return answer.status !== 503 && json
    })
  }
  const partOf = (partNumber: number, body: Buffer) => ({
    partNumber,
    sizeBytes: body.length,
    checksumSha256: createHash('sha256').update(body).digest('base64'),
  })
  return {
    get: (url: string) => ask('GET', url),
    async begin(size: { readonly sizeBytes?: number }) {
      const answer = await ask('POST', '/uploads', { fileName: 'a.mp4', title: 'A', ...size })
      const begun = answer as { uploadId: string; partSizeBytes: number; partCount: number | null }
      const { uploadId } = begun
      return {
        uploadId,
        begun,
        parts: async () => (await ask('GET', `/uploads/${uploadId}/parts`)) as unknown as PartsAnswer,
        seal: (partCount: number, sizeBytes: number) =>
          ask('POST', `/uploads/${uploadId}/seal`, { partCount, sizeBytes }),
        report: (partNumber: number, body: Buffer, etag: string) =>
          ask('POST', `/uploads/${uploadId}/parts`, { parts: [{ ...partOf(partNumber, body), etag }] }),
        /** @returns the ETag that S3 gave it */
        async put(partNumber: number, body: Buffer): Promise<string> {
          const signed = await ask('POST', `/uploads/${uploadId}/parts/sign`, { parts: [partOf(partNumber, body)] })
          const [part] = signed.parts as { url: string; headers: Record<string, string> }[]
          if (part === undefined) throw new Error('nothing was signed')
          const answer = await fetch(part.url, { method: 'PUT', headers: part.headers, body: new Uint8Array(body) })
          if (!answer.ok) throw new Error(`PUT of the part: ${answer.status}`)
          return (answer.headers.get('etag') ?? '').replaceAll('"', '')
        },
      }
    },
  }
}

const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex')
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

const sourceOf = async (run: RunFile, videoId: string): Promise<string> => {
  const s3 = s3Of(run)
  try {
    return sha256(await readWhole(s3, { bucket: BUCKET, key: `v/${videoId}/source` }, 64 * MiB))
  } finally {
    s3.destroy()
  }
}

const openMultiparts = async (run: RunFile, videoId: string): Promise<number> => {
  const s3 = s3Of(run)
  try {
    let open = 0
    for await (const _ of listMultipartUploads(s3, { bucket: BUCKET, prefix: `v/${videoId}/` })) open += 1
    return open
  } finally {
    s3.destroy()
  }
}

const BUCKET = 'reelstream-media'

const s3Of = ({ s3Endpoint: endpoint, s3AccessKeyId: accessKeyId, s3SecretAccessKey: secretAccessKey }: RunFile) =>
  createS3Client({ endpoint, publicEndpoint: endpoint, region: 'us-east-1', accessKeyId, secretAccessKey })
