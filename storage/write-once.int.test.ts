import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t from 'tap'
import { systemClock } from '../platform/clock.ts'
import { bucketExists, ensureBucket } from './bucket.ts'
import { presignGet } from './presign.ts'
import { headObject, readObject, readWhole } from './read-object.ts'
import { createS3Client } from './s3-client.ts'
import { startFaultProxy } from './testing/fault-proxy.ts'
import { scratchBucket } from './testing/scratch-bucket.ts'
import { IMMUTABLE, putOnce, sha256 } from './write-once.ts'

const { s3, presigner, bucket, settings } = await scratchBucket()
t.teardown(() => s3.destroy())

const segment = (key: string, body: Buffer) => ({
  bucket,
  key,
  body,
  contentType: 'video/iso.segment',
  cacheControl: IMMUTABLE,
})

t.test(
  'the first writer makes the object; the same bytes again are as good; other bytes never replace it',
  async (t) => {
    const body = randomBytes(5000)
    t.equal(await putOnce(s3, segment('once', body)), 'created')
    t.equal(await putOnce(s3, segment('once', body)), 'exists-equal')
    t.equal(await putOnce(s3, segment('once', randomBytes(5000))), 'exists-different')
    t.equal(await putOnce(s3, segment('once', randomBytes(10))), 'exists-different')
    t.ok((await readWhole(s3, { bucket, key: 'once' }, 10_000)).equals(body))
    t.match(await headObject(s3, { bucket, key: 'once' }), {
      contentType: 'video/iso.segment',
      cacheControl: IMMUTABLE,
      sizeBytes: 5000,
    })
  },
)

t.test('of many writers at once exactly one makes the object', async (t) => {
  const outcomes = await Promise.all(
    Array.from({ length: 8 }, (_, i) => putOnce(s3, segment('race', Buffer.from(`writer ${i}`)))),
  )
  t.equal(outcomes.filter((outcome) => outcome === 'created').length, 1, outcomes.join())
  t.equal(outcomes.filter((outcome) => outcome === 'exists-different').length, 7)
})

t.test('a lost answer is found out to be a success', async (t) => {
  const proxy = await startFaultProxy(settings.endpoint)
  const s3Behind = createS3Client({ ...settings, endpoint: proxy.endpoint })
  t.teardown(async () => {
    s3Behind.destroy()
    await proxy.close()
  })
  let lost = 0
  proxy.decide = ({ method }) => (method === 'PUT' && lost++ === 0 ? { kind: 'lose-answer' } : undefined)
  t.equal(await putOnce(s3Behind, segment('lost', randomBytes(100))), 'exists-equal')
})

t.test('bytes that do not have the announced checksum are not stored', async (t) => {
  const object = { ...segment('wrong', randomBytes(100)), checksumSha256: sha256(Buffer.from('other')) }
  await t.rejects(putOnce(s3, object), { code: 'CHECKSUM_MISMATCH' })
  t.equal(await headObject(s3, { bucket, key: 'wrong' }), null)
})

t.test('errors carry our codes', async (t) => {
  await putOnce(s3, segment('here', Buffer.from('0123456789')))
  const missing = readObject(s3, { bucket, key: 'not-here' })
  await t.rejects(missing, { code: 'OBJECT_NOT_FOUND', retryable: false, facts: { key: 'not-here' } })
  await t.rejects(readObject(s3, { bucket: 'no-such-bucket-xyz', key: 'x' }), { code: 'BUCKET_NOT_FOUND' })
  await t.rejects(readObject(s3, { bucket, key: 'here', etag: 'beef' }), { code: 'PRECONDITION_FAILED' })
  await t.rejects(headObject(s3, { bucket, key: 'here', etag: 'beef' }), { code: 'PRECONDITION_FAILED' })
  await t.rejects(readObject(s3, { bucket, key: 'here' }, { range: { first: 10 } }), { code: 'RANGE_NOT_SATISFIABLE' })
  await t.rejects(readWhole(s3, { bucket, key: 'here' }, 9), { code: 'OBJECT_TOO_LARGE' })
  const stranger = createS3Client({ ...settings, secretAccessKey: 'wrong' })
  await t.rejects(readObject(stranger, { bucket, key: 'here' }), { code: 'S3_ACCESS_DENIED', retryable: false })
  const nowhere = createS3Client({ ...settings, endpoint: 'http://127.0.0.1:1' })
  await t.rejects(readObject(nowhere, { bucket, key: 'here' }), { code: 'S3_UNAVAILABLE', retryable: true })
  const signal = AbortSignal.abort()
  await t.rejects(readObject(s3, { bucket, key: 'here' }, { signal }), { code: 'S3_ABORTED' })
  const silent = createServer().listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.teardown(() => silent.close())
  const mute = createS3Client({ ...settings, endpoint: `http://127.0.0.1:${(silent.address() as AddressInfo).port}` })
  const deadline = { signal: AbortSignal.timeout(50) }
  await t.rejects(readObject(mute, { bucket, key: 'here' }, deadline), { code: 'S3_UNAVAILABLE' }, 'a deadline passed')
  mute.destroy()
})

t.test('the bucket is set up once, and again without effect', async (t) => {
  const corsOrigins = ['http://localhost:3000']
  t.match(await ensureBucket(s3, `${bucket}-new`, { corsOrigins }), { created: true, cors: /^(set|unsupported)$/ })
  t.match(await ensureBucket(s3, `${bucket}-new`, { corsOrigins }), { created: false })
  t.equal(await bucketExists(s3, 'no-such-bucket-xyz'), false)
})

t.test('a presigned GET serves ranges to somebody without credentials', async (t) => {
  await putOnce(s3, segment('signed', Buffer.from('0123456789')))
  const object = { bucket, key: 'signed', contentType: 'text/plain' }
  const { url } = await presignGet(presigner, object, { expiresInSeconds: 60, clock: systemClock })
  const answer = await fetch(url, { headers: { range: 'bytes=2-4' } })
  t.equal(await answer.text(), '234')
  t.equal(answer.headers.get('content-type'), 'text/plain')
})
