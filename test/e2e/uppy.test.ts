import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { json } from 'node:stream/consumers'
import { UploadPartCommand } from '@aws-sdk/client-s3'
import { build } from 'esbuild'
import t, { type Test } from 'tap'
import { freePorts } from '../../local/ports.ts'
import { readObject } from '../../storage/read-object.ts'
import { createS3Client } from '../../storage/s3-client.ts'
import { startFaultProxy } from '../../storage/testing/fault-proxy.ts'
import { launchBrowser, visit } from './browser.ts'
import { readFacts } from './facts.ts'
import { type RunFile, startProduct, until } from './product.ts'

/**
 * docs/examples/uppy in a real Chromium: the real packages, the real product, S3 behind a proxy that flips a bit of one
 * part on its way.
 */
const EXAMPLE = path.resolve(import.meta.dirname, '..', '..', 'docs', 'examples', 'uppy')
const MiB = 1024 * 1024
const SIZE = 3 * 8 * MiB + 12_345

t.test('Uppy uploads through the gateway, and a flipped bit is noticed and sent again', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'reelstream-uppy-'))
  const [s3Port = 0] = await freePorts(1)
  const proxy = await startFaultProxy(`http://127.0.0.1:${s3Port}`)
  const browser = await launchBrowser()
  t.teardown(async () => {
    await browser.close()
    await proxy.close()
    await rm(folder, { recursive: true, force: true })
  })
  const product = await startProduct(t, { S3_PORT: String(s3Port), S3_PUBLIC_ENDPOINT: proxy.endpoint })
  const run = await product.run()
  const puts: string[] = []
  proxy.decide = ({ method, url }) => {
    const partNumber = /[?&]partNumber=(\d+)/.exec(url)?.[1]
    if (method !== 'PUT' || partNumber === undefined) return undefined
    puts.push(partNumber)
    return partNumber === '2' && puts.filter((put) => put === '2').length === 1 ? { kind: 'flip-bit' } : undefined
  }

  const bytes = randomBytes(SIZE)
  const file = path.join(folder, 'harbour.mp4')
  await writeFile(file, bytes)
  const asked: Asked[] = []
  let isBehind = false
  const asBefore = (recorded: Recorded): Recorded => (isBehind ? { ...recorded, status: 'open', parts: [] } : recorded)
  const site = await serveSite(t, run.webUrl, (call) => asked.push(call), asBefore)
  const { page, complaints } = await visit(browser, `${site}/uppy/#token=${run.token}`, {
    allowedOrigins: [proxy.endpoint],
  })
  await page.getByLabel('Video').setInputFiles(file)
  await page.getByText(/^(Complete|Failed): /).waitFor({ timeout: 60_000 })
  const said = (await page.locator('output').textContent()) ?? ''
  const videoId = /\/v\/([^/]+)$/.exec(said)?.[1] ?? ''
  t.match(said, /^Complete: /)

  const byAuthor = asked.filter(({ token }) => token === run.token).map(({ what }) => what)
  t.same(byAuthor, ['POST /uploads'], "the author's token begins it; the rest is done with that of the upload")
  t.ok(asked.some(({ what }) => what.startsWith('GET /uploads/')))

  const facts = (await readFacts(run)).filter((fact) => fact.videoId === videoId)
  t.equal(facts.filter(({ type }) => type === 'UploadCompleted').length, 1)
  t.equal(facts.filter(({ type }) => type === 'PartUploaded').length, 4)
  t.same(puts.sort(), ['1', '2', '2', '3', '4'], 'only the damaged part was sent again')
  t.equal(await storedSha256(run, videoId), createHash('sha256').update(bytes).digest('hex'))
  t.same(
    complaints.filter((complaint) => !complaint.includes('400 (Bad Request)')),
    [],
    'the browser complains of the refused part, and of nothing else',
  )

  await t.test('the same file again is another video; a part that S3 has with other bytes is sent again', async (t) => {
    const again: string[] = []
    let isReplaced = false
    proxy.decide = ({ method, url }) => {
      const partNumber = /[?&]partNumber=(\d+)/.exec(url)?.[1]
      if (method !== 'PUT' || partNumber === undefined) return undefined
      again.push(url)
      // Nothing is compared before the last part is there.
      return partNumber === '4' && !isReplaced ? { kind: 'status', status: 503 } : undefined
    }
    await page.getByLabel('Video').dispatchEvent('change')
    const { uploadId } = await until('part 1 is recorded', async () => {
      const open = await uploadsOf(run, 'open')
      const [upload] = open
      return upload !== undefined && (await partNumbersOf(run, upload.uploadId)).includes(1) && upload
    })
    await replacePart(run, new URL(again.find((url) => /[?&]partNumber=1(&|$)/.test(url)) ?? '', proxy.endpoint))
    isReplaced = true
    await page.getByText(/^(Complete|Failed): /).waitFor({ timeout: 60_000 })
    t.equal(await page.locator('output').textContent(), `Complete: ${site}/v/${uploadId}`)
    t.not(uploadId, videoId)
    const types = (await readFacts(run)).filter((fact) => fact.videoId === uploadId).map(({ type }) => type)
    t.ok(types.includes('PartRejected'))
    t.equal(await storedSha256(run, uploadId), createHash('sha256').update(bytes).digest('hex'))
  })

  await t.test(
    'after a reload the same file goes on where it was, and a list that is behind wants nothing',
    async (t) => {
      const sent: string[] = []
      let isHeld = true
      proxy.decide = ({ method, url }) => {
        const partNumber = /[?&]partNumber=(\d+)/.exec(url)?.[1]
        if (method !== 'PUT' || partNumber === undefined) return undefined
        if (isHeld && Number(partNumber) > 2) return { kind: 'status', status: 503 }
        sent.push(partNumber)
        return undefined
      }
      await page.getByLabel('Video').dispatchEvent('change')
      const { uploadId } = await until('parts 1 and 2 are recorded', async () => {
        const [upload] = await uploadsOf(run, 'open')
        return upload !== undefined && (await partNumbersOf(run, upload.uploadId)).length === 2 && upload
      })
      await page.reload()
      isHeld = false
      asked.length = 0
      await page.getByLabel('Video').setInputFiles(file)
      await until('all parts are recorded', async () => (await partNumbersOf(run, uploadId)).length === 4)
      t.same(sent.toSorted(), ['1', '2', '3', '4'], 'what was stored is not sent again')

      // What the page sees from here on is a read model that lost everything; nobody says that a part is wanted.
      isBehind = true
      const seenFromMs = Date.now()
      await until('the page has looked for long enough', async () => Date.now() - seenFromMs > STALE_MS)
      isBehind = false
      await page.getByText(/^(Complete|Failed): /).waitFor({ timeout: 60_000 })
      t.equal(await page.locator('output').textContent(), `Complete: ${site}/v/${uploadId}`)
      t.equal(sent.length, 4, 'a list that is behind is no wish')
      const byAuthor = asked.filter(({ token }) => token === run.token).map(({ what }) => what)
      t.same(byAuthor, ['POST /uploads'], "what is recalled goes on with the upload's token, too")
      t.equal(await storedSha256(run, uploadId), createHash('sha256').update(bytes).digest('hex'))
    },
  )
})

/** Whoever takes what is not listed for wanted has looked twice by then. */
const STALE_MS = 13_000

/** What the gateway says of an upload. */
interface Recorded {
  readonly status: string
  readonly parts: readonly object[]
}

const get = async ({ apiUrl, token }: RunFile, path: string): Promise<unknown> => {
  const answer = await fetch(`${apiUrl}${path}`, { headers: { authorization: `Bearer ${token}` } })
  return answer.json()
}

const uploadsOf = async (run: RunFile, status: string) => {
  const { items } = (await get(run, `/uploads?status=${status}`)) as { items: { uploadId: string }[] }
  return items
}

const partNumbersOf = async (run: RunFile, uploadId: string): Promise<readonly number[]> => {
  const { parts } = (await get(run, `/uploads/${uploadId}/parts`)) as { parts: { partNumber: number }[] }
  return parts.map(({ partNumber }) => partNumber)
}

/** As a broken S3 would: the part has other bytes, and nobody is told. */
const replacePart = async (run: RunFile, signed: URL): Promise<void> => {
  const s3 = s3Of(run)
  const [, Bucket = '', ...key] = signed.pathname.split('/')
  const UploadId = signed.searchParams.get('uploadId') ?? ''
  const Body = randomBytes(8 * MiB)
  await s3.send(
    new UploadPartCommand({ Bucket, Key: key.join('/'), UploadId, PartNumber: 1, Body, ChecksumAlgorithm: 'SHA256' }),
  )
  s3.destroy()
}

const s3Of = ({ s3Endpoint: endpoint, s3AccessKeyId: accessKeyId, s3SecretAccessKey: secretAccessKey }: RunFile) =>
  createS3Client({ endpoint, publicEndpoint: endpoint, region: 'us-east-1', accessKeyId, secretAccessKey })

interface Asked {
  readonly what: string
  readonly token: string
}

/**
 * A team's own site: its pages, and Reelstream below the same origin. Really served: Chromium asks where a page is from.
 * @param asSeen what the page is told of the parts that are recorded
 */
const serveSite = async (
  t: Test,
  product: string,
  onAsked: (call: Asked) => void,
  asSeen: (recorded: Recorded) => Recorded,
): Promise<string> => {
  const script = await bundle()
  const page = await readFile(path.join(EXAMPLE, 'index.html'))
  const server = createServer((incoming, answer) => {
    const { url = '/', method, headers } = incoming
    if (url === '/uppy/') return void answer.writeHead(200, { 'content-type': 'text/html' }).end(page)
    if (url === '/uppy/page.js') return void answer.writeHead(200, { 'content-type': 'text/javascript' }).end(script)
    if (headers.authorization !== undefined) {
      onAsked({ what: `${method} ${url}`, token: headers.authorization.replace('Bearer ', '') })
    }
    const isAboutParts = method === 'GET' && /^\/uploads\/[^/]+\/parts/.test(url)
    const onward = request(new URL(url, product), { method, headers }, (said) => {
      if (!isAboutParts || said.statusCode !== 200) {
        answer.writeHead(said.statusCode ?? 502, said.headers)
        return void said.pipe(answer)
      }
      void json(said).then((recorded) => {
        answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(asSeen(recorded as Recorded)))
      })
    })
    onward.on('error', () => answer.destroy())
    incoming.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://localhost:${(server.address() as AddressInfo).port}`
}

const bundle = async (): Promise<string> => {
  const entryPoints = [path.join(EXAMPLE, 'page.ts')]
  const { outputFiles } = await build({ entryPoints, bundle: true, format: 'esm', write: false, platform: 'browser' })
  return outputFiles[0]?.text ?? ''
}

const storedSha256 = async (run: RunFile, videoId: string): Promise<string> => {
  const s3 = s3Of(run)
  const hash = createHash('sha256')
  const { body } = await readObject(s3, { bucket: 'reelstream-media', key: `v/${videoId}/source` })
  for await (const chunk of body) hash.update(chunk as Buffer)
  s3.destroy()
  return hash.digest('hex')
}
