import { randomBytes } from 'node:crypto'
import t from 'tap'
import { systemClock } from '../../../platform/clock.ts'
import { silentLogger } from '../../../platform/log.ts'
import type { EffectRun } from '../../../runtime/run/executors.ts'
import { abortMultipart, createMultipart, type MultipartRef } from '../../../storage/multipart.ts'
import { MiB } from '../../../storage/part-size.ts'
import { presignPart } from '../../../storage/presign.ts'
import { headObject } from '../../../storage/read-object.ts'
import { createCompletingClient, createS3Client } from '../../../storage/s3-client.ts'
import { type AskedRequest, startFaultProxy } from '../../../storage/testing/fault-proxy.ts'
import { scratchBucket } from '../../../storage/testing/scratch-bucket.ts'
import { putOnce, sha256 } from '../../../storage/write-once.ts'
import type { CompleteOutcome, Part } from '../generated.ts'
import { completeWith } from './complete.ts'

/** The executor against a real S3 server: what clients may have lied about, and what may have happened before. */
const { s3, presigner, bucket, settings } = await scratchBucket()
const proxy = await startFaultProxy(settings.endpoint)
const s3Behind = createS3Client({ ...settings, endpoint: proxy.endpoint })
const completingBehind = createCompletingClient({ ...settings, endpoint: proxy.endpoint })
t.teardown(async () => {
  for (const client of [s3, s3Behind, completingBehind, presigner]) client.destroy()
  await proxy.close()
})

const PART = 5 * MiB
const bodies = [randomBytes(PART), randomBytes(PART), randomBytes(1000)]
const sizeBytes = 2 * PART + 1000

const put = async (ref: MultipartRef, partNumber: number, body: Buffer): Promise<Part> => {
  const part = { partNumber, sizeBytes: body.length, checksumSha256: sha256(body) }
  const { url, headers } = await presignPart(presigner, ref, part, { expiresInSeconds: 60, clock: systemClock })
  const answer = await fetch(url, { method: 'PUT', headers, body: new Uint8Array(body) })
  if (!answer.ok) throw new Error(`PUT of the part: ${answer.status}`)
  const etag = (answer.headers.get('etag') ?? '').replaceAll('"', '')
  return { partNumber, sizeBytes: body.length, etag, checksum: part.checksumSha256 }
}

const uploaded = async (name: string) => {
  const ref = await createMultipart(s3, { bucket, key: `v/${name}/source`, contentType: 'video/mp4' })
  return { ref, parts: await Promise.all(bodies.map((body, i) => put(ref, i + 1, body))) }
}

const complete = (ref: MultipartRef, parts: readonly Part[], { attempt = 1, client = s3 } = {}) => {
  const run: EffectRun<never> = {
    effectId: 'effect',
    key: 'video',
    attempt,
    resumeFrom: 0,
    signal: AbortSignal.timeout(60_000),
    log: silentLogger,
    read: <T>() => parts.map((part) => [String(part.partNumber), part as T] as const),
    report: async () => {},
  }
  const { bucket, key: objectKey, uploadId: s3UploadId } = ref
  const input = { bucket, objectKey, s3UploadId, partSizeBytes: PART, partCount: parts.length, sizeBytes }
  return completeWith(client, client === s3 ? s3 : completingBehind)(input, run) as Promise<CompleteOutcome>
}

const wrongOf = ({ wrongParts }: CompleteOutcome) => wrongParts.map(({ partNumber, code }) => [partNumber, code])

t.test('a client that reported a part which it did not send is asked for it, and the rest stands', async (t) => {
  const { ref, parts } = await uploaded('missing')
  const elsewhere = await createMultipart(s3, { bucket, key: ref.key, contentType: 'video/mp4' })
  const sent = await Promise.all([1, 3].map((n) => put(elsewhere, n, bodies[n - 1] as Buffer)))
  t.same(wrongOf(await complete(elsewhere, parts)), [[2, 'PART_MISSING']])
  t.equal(await headObject(s3, ref), null)
  const again = await put(elsewhere, 2, bodies[1] as Buffer)
  t.match(await complete(elsewhere, [...sent, again]), { completed: { sizeBytes }, rejection: null, wrongParts: [] })
  await abortMultipart(s3, ref)
})

t.test('bytes that were replaced after their report are found, on a server that lists no checksums', async (t) => {
  const { ref, parts } = await uploaded('replaced')
  await put(ref, 2, randomBytes(PART))
  t.same(wrongOf(await complete(ref, parts)), [[2, 'PART_REPLACED']])
})

t.test('a part of another length than reported or planned is found', async (t) => {
  const { ref, parts } = await uploaded('lengths')
  const shorter = await put(ref, 3, randomBytes(999))
  t.same(wrongOf(await complete(ref, parts)), [[3, 'PART_SIZE_WRONG']])
  t.same(wrongOf(await complete(ref, parts.with(2, shorter))), [[3, 'PART_SIZE_WRONG']], 'reported truly, too')
})

t.test('a completion whose answer nobody heard is found by whoever runs next, in any attempt', async (t) => {
  const { ref, parts } = await uploaded('unheard')
  const first = await complete(ref, parts)
  t.match(first, { completed: { sizeBytes } })
  t.same(await complete(ref, parts), first, 'as the first run after the death of a process')
  t.same(await complete(ref, parts, { attempt: 2 }), first)
})

t.test('a lost answer to Complete in the same run is a success', async (t) => {
  const { ref, parts } = await uploaded('lost')
  let lost = 0
  proxy.decide = ({ method, url }) =>
    method === 'POST' && url.includes('uploadId=') && lost++ === 0 ? { kind: 'lose-answer' } : undefined
  t.match(await complete(ref, parts, { client: s3Behind }), { completed: { sizeBytes } })
  t.ok(lost > 0)
  proxy.decide = () => undefined
})

const isComplete = ({ method, url }: AskedRequest) => method === 'POST' && url.includes('uploadId=')

t.test('a completion that was made is one, whatever S3 says of it, and is asked for once', async (t) => {
  for (const s3Error of ['BadDigest', 'InvalidPart', 'NoSuchUpload', 'InternalError']) {
    const { ref, parts } = await uploaded(`denied-${s3Error}`)
    let asked = 0
    proxy.decide = (request) => {
      if (!isComplete(request)) return undefined
      asked += 1
      return { kind: 'deny', status: s3Error === 'InternalError' ? 500 : 400, s3Error }
    }
    t.match(await complete(ref, parts, { client: s3Behind }), { completed: { sizeBytes } }, s3Error)
    t.equal(asked, 1, s3Error)
  }
  proxy.decide = () => undefined
})

t.test('a complaint of checksums is believed when no earlier completion can be under way any more', async (t) => {
  const { ref, parts } = await uploaded('under-way')
  proxy.decide = (request) => (isComplete(request) ? { kind: 'status', status: 400, s3Error: 'BadDigest' } : undefined)
  await t.rejects(complete(ref, parts, { client: s3Behind }), { code: 'S3_CONFLICT', retryable: true })
  await t.rejects(complete(ref, parts, { client: s3Behind, attempt: 11 }), { code: 'S3_CONFLICT' })
  t.match(await complete(ref, parts, { client: s3Behind, attempt: 12 }), { rejection: { code: 'CHECKSUM_MISMATCH' } })
  proxy.decide = () => undefined
  t.match(await complete(ref, parts), { completed: { sizeBytes } })
})

t.test('an S3 that is away is tried again, and nothing is decided', async (t) => {
  const { ref, parts } = await uploaded('away')
  proxy.decide = () => ({ kind: 'status', status: 503 })
  await t.rejects(complete(ref, parts, { client: s3Behind }), { code: 'S3_UNAVAILABLE', retryable: true })
  proxy.decide = () => undefined
  t.match(await complete(ref, parts, { attempt: 2 }), { completed: { sizeBytes } })
})

t.test('another object under the key is never taken for the upload', async (t) => {
  const { ref, parts } = await uploaded('taken')
  await putOnce(s3, { bucket, key: ref.key, body: randomBytes(10), contentType: 'a/b', cacheControl: 'no-store' })
  t.match(await complete(ref, parts), { completed: null, rejection: { code: 'OBJECT_MISMATCH' } })
})
