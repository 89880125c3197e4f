import { randomBytes } from 'node:crypto'
import t from 'tap'
import { startRangeProxy } from './range-proxy.ts'
import { headObject, readRange } from './read-object.ts'
import { createS3Client } from './s3-client.ts'
import { startFaultProxy } from './testing/fault-proxy.ts'
import { scratchBucket } from './testing/scratch-bucket.ts'
import { putOnce } from './write-once.ts'

const { s3, bucket, settings } = await scratchBucket()
const faults = await startFaultProxy(settings.endpoint)
const s3Behind = createS3Client({ ...settings, endpoint: faults.endpoint })
const proxy = await startRangeProxy(s3Behind)
t.teardown(async () => {
  await proxy.close()
  s3.destroy()
  s3Behind.destroy()
  await faults.close()
})
t.beforeEach(() => {
  faults.decide = () => undefined
  faults.seen.length = 0
})

const stored = async (key: string, sizeBytes: number) => {
  const body = randomBytes(sizeBytes)
  await putOnce(s3, { bucket, key, body, contentType: 'video/mp4', cacheControl: 'no-store' })
  const head = await headObject(s3, { bucket, key })
  return { body, object: { bucket, key, etag: head?.etag, sizeBytes } }
}

const get = async (url: string, range?: string) => {
  const answer = await fetch(url, { headers: range === undefined ? {} : { range } })
  return { answer, body: Buffer.from(await answer.arrayBuffer()) }
}

t.test('serves the whole object, and any range of it', async (t) => {
  const { body, object } = await stored('a', 300_000)
  const file = proxy.register(object)
  t.ok((await get(file.url)).body.equals(body))
  const { answer, body: part } = await get(file.url, 'bytes=1000-1999')
  t.equal(answer.status, 206)
  t.equal(answer.headers.get('content-range'), 'bytes 1000-1999/300000')
  t.ok(part.equals(body.subarray(1000, 2000)))
  t.equal((await get(file.url, 'bytes=300000-')).answer.status, 416)
  const head = await fetch(file.url, { method: 'HEAD' })
  t.equal(head.headers.get('content-length'), '300000')
})

t.test('a connection that is cut again and again still gives every byte once', async (t) => {
  const { body, object } = await stored('cut', 2_000_000)
  const file = proxy.register(object)
  let cuts = 0
  faults.decide = () => (cuts++ < 12 ? { kind: 'cut', afterBytes: 100_001 } : undefined)
  t.ok((await get(file.url)).body.equals(body))
  t.ok(cuts >= 12, `${cuts} connections`)
  t.equal(file.failure(), undefined)
})

t.test('S3 being away for a while is a pause, not an error', async (t) => {
  const { body, object } = await stored('away', 200_000)
  const file = proxy.register(object)
  // More than the SDK tries by itself.
  faults.decide = () => (faults.seen.length <= 6 ? { kind: 'status', status: 503 } : undefined)
  t.ok((await get(file.url)).body.equals(body))
})

t.test('an object that was replaced ends the read, and the reason can be asked for', async (t) => {
  const { object } = await stored('replaced', 1000)
  const file = proxy.register({ ...object, etag: 'beef' })
  await t.rejects(get(file.url))
  t.match(file.failure(), { code: 'PRECONDITION_FAILED', retryable: false })
})

t.test('several objects are read as one file, across their borders', async (t) => {
  const pieces = [await stored('init', 700), await stored('seg-0', 5000), await stored('seg-1', 4000)]
  const whole = Buffer.concat(pieces.map(({ body }) => body))
  const file = proxy.register(...pieces.map(({ object }) => object))
  t.ok((await get(file.url)).body.equals(whole))
  t.ok((await get(file.url, 'bytes=600-5800')).body.equals(whole.subarray(600, 5801)))
  t.ok((await get(file.url, 'bytes=-4100')).body.equals(whole.subarray(-4100)))
})

t.test('a reader that leaves ends the read from S3', async (t) => {
  const { object } = await stored('left', 3_000_000)
  const file = proxy.register(object)
  const leaving = new AbortController()
  const answer = await fetch(file.url, { signal: leaving.signal })
  await answer.body?.getReader().read()
  leaving.abort()
  file.dispose()
  t.equal(file.failure(), undefined, 'leaving is no failure')
  t.equal((await fetch(file.url)).status, 404, 'the token is forgotten')
})

t.test('a consumer of readRange may stop early', async (t) => {
  const { object } = await stored('early', 3_000_000)
  for await (const chunk of readRange(s3Behind, object, { first: 0, last: 2_999_999 })) {
    t.ok(chunk.length > 0)
    break
  }
  t.equal(faults.seen.length, 1)
})
