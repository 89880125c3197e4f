import { randomBytes } from 'node:crypto'
import t from 'tap'
import { systemClock } from '../platform/clock.ts'
import {
  abortMultipart,
  type CompletedPart,
  completeMultipart,
  compositeChecksum,
  createMultipart,
  listMultipartUploads,
  listParts,
  type MultipartRef,
} from './multipart.ts'
import { MiB } from './part-size.ts'
import { presignPart } from './presign.ts'
import { headObject, readWhole } from './read-object.ts'
import { createS3Client } from './s3-client.ts'
import { startFaultProxy } from './testing/fault-proxy.ts'
import { scratchBucket } from './testing/scratch-bucket.ts'
import { putOnce, sha256 } from './write-once.ts'

const { s3, presigner, bucket, settings } = await scratchBucket()
const proxy = await startFaultProxy(settings.endpoint)
const s3Behind = createS3Client({ ...settings, endpoint: proxy.endpoint })
t.teardown(async () => {
  s3.destroy()
  s3Behind.destroy()
  await proxy.close()
})

const bytes = [randomBytes(5 * MiB), randomBytes(1000)]

const putPart = async (ref: MultipartRef, partNumber: number, body: Buffer): Promise<CompletedPart> => {
  const part = { partNumber, sizeBytes: body.length, checksumSha256: sha256(body) }
  const signed = await presignPart(presigner, ref, part, { expiresInSeconds: 60, clock: systemClock })
  const answer = await fetch(signed.url, { method: 'PUT', headers: signed.headers, body: new Uint8Array(body) })
  if (!answer.ok) throw new Error(`PUT of the part: ${answer.status} ${await answer.text()}`)
  return { ...part, etag: (answer.headers.get('etag') ?? '').replaceAll('"', '') }
}

const uploaded = async (key: string): Promise<{ ref: MultipartRef; parts: CompletedPart[] }> => {
  const ref = await createMultipart(s3, { bucket, key, contentType: 'video/mp4' })
  const parts = await Promise.all(bytes.map((body, i) => putPart(ref, i + 1, body)))
  return { ref, parts }
}

t.test('parts become one verified object', async (t) => {
  const { ref, parts } = await uploaded('v/whole/source')
  t.same(
    (await listParts(s3, ref)).map(({ partNumber, etag, sizeBytes }) => ({ partNumber, etag, sizeBytes })),
    parts.map(({ partNumber, etag, sizeBytes }) => ({ partNumber, etag, sizeBytes })),
  )
  const head = await completeMultipart(s3, ref, [...parts].reverse())
  t.equal(head.sizeBytes, 5 * MiB + 1000)
  t.equal(head.contentType, 'video/mp4')
  t.equal(head.checksumSha256, compositeChecksum(parts.map((part) => part.checksumSha256)))
  t.ok((await readWhole(s3, ref, 10 * MiB)).equals(Buffer.concat(bytes)), 'the bytes are those that were sent')
})

t.test('completing again after a success is a success', async (t) => {
  const { ref, parts } = await uploaded('v/again/source')
  const first = await completeMultipart(s3, ref, parts)
  t.same(await completeMultipart(s3, ref, parts), first)
})

t.test('a lost answer to Complete is a success', async (t) => {
  const { ref, parts } = await uploaded('v/lost/source')
  let lost = 0
  proxy.decide = ({ method, url }) => {
    if (method !== 'POST' || !url.includes('uploadId=') || lost > 0) return undefined
    lost += 1
    return { kind: 'lose-answer' }
  }
  const head = await completeMultipart(s3Behind, ref, parts)
  t.equal(lost, 1)
  t.equal(head.sizeBytes, 5 * MiB + 1000)
})

t.test('Complete that never gets through is retryable and leaves the upload open', async (t) => {
  const { ref, parts } = await uploaded('v/away/source')
  proxy.decide = ({ method }) => (method === 'POST' ? { kind: 'status', status: 503 } : undefined)
  await t.rejects(completeMultipart(s3Behind, ref, parts), { code: 'S3_UNAVAILABLE', retryable: true })
  t.equal((await completeMultipart(s3, ref, parts)).sizeBytes, 5 * MiB + 1000)
})

t.test('a part that is missing or is another one is refused, and the upload stays open', async (t) => {
  const { ref, parts } = await uploaded('v/lying/source')
  const [first, second] = parts as [CompletedPart, CompletedPart]
  const missing = { ...second, partNumber: 3 }
  await t.rejects(completeMultipart(s3, ref, [first, second, missing]), { code: 'PARTS_INVALID' })
  const other = { ...second, etag: first.etag }
  await t.rejects(completeMultipart(s3, ref, [first, other]), { code: 'PARTS_INVALID' })
  t.equal((await completeMultipart(s3, ref, parts)).sizeBytes, 5 * MiB + 1000)
})

t.test('an object that is not of these parts is never taken for the upload', async (t) => {
  const { ref, parts } = await uploaded('v/taken/source')
  await putOnce(s3, { bucket, key: ref.key, body: randomBytes(10), contentType: 'a/b', cacheControl: 'no-store' })
  await t.rejects(completeMultipart(s3, ref, parts), { code: 'OBJECT_MISMATCH', retryable: false })
  t.equal((await headObject(s3, ref))?.sizeBytes, 10, 'what was there is untouched')
  await abortMultipart(s3, ref)
})

t.test('an aborted upload is gone from the list, and aborting it again is no error', async (t) => {
  const ref = await createMultipart(s3, { bucket, key: 'v/aborted/source', contentType: 'video/mp4' })
  const open = async (): Promise<number> => {
    let count = 0
    for await (const upload of listMultipartUploads(s3, { bucket, prefix: 'v/aborted/' }))
      count += Number(upload.uploadId === ref.uploadId)
    return count
  }
  t.equal(await open(), 1)
  await abortMultipart(s3, ref)
  t.equal(await open(), 0)
  await abortMultipart(s3, ref)
})

t.test('completing what was never begun says so', async (t) => {
  const { ref, parts } = await uploaded('v/aborted-before/source')
  await abortMultipart(s3, ref)
  await t.rejects(completeMultipart(s3, ref, parts), { code: 'MULTIPART_NOT_FOUND' })
  t.equal(await headObject(s3, ref), null)
})

t.test('one bit flipped on the way is refused by S3, and so is a part without its checksum', async (t) => {
  const ref = await createMultipart(s3, { bucket, key: 'v/flipped/source', contentType: 'video/mp4' })
  const body = randomBytes(1000)
  const part = { partNumber: 1, sizeBytes: body.length, checksumSha256: sha256(body) }
  const signed = await presignPart(presigner, ref, part, { expiresInSeconds: 60, clock: systemClock })
  const put = async (headers: Readonly<Record<string, string>>, data: Buffer): Promise<number> =>
    (await fetch(signed.url, { method: 'PUT', headers, body: new Uint8Array(data) })).status
  const flipped = Buffer.from(body)
  flipped.writeUInt8(flipped.readUInt8(500) ^ 1, 500)
  t.equal(await put(signed.headers, flipped), 400)
  t.equal(await put({}, body), 403)
  t.equal(await put(signed.headers, body), 200)
  t.notOk(new URL(signed.url).searchParams.has('x-amz-checksum-crc32'), 'no checksum of an empty body is signed')
  await abortMultipart(s3, ref)
})
