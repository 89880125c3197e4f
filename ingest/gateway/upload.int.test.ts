import { createHash, randomBytes } from 'node:crypto'
import Fastify from 'fastify'
import t from 'tap'
import { systemClock } from '../../platform/clock.ts'
import { signLocalToken } from '../../platform/http/author-token.ts'
import { completeMultipart, listMultipartUploads } from '../../storage/multipart.ts'
import { MiB } from '../../storage/part-size.ts'
import { readObject } from '../../storage/read-object.ts'
import { createPresignClient, createS3Client } from '../../storage/s3-client.ts'
import { startFaultProxy } from '../../storage/testing/fault-proxy.ts'
import { scratchBucket } from '../../storage/testing/scratch-bucket.ts'
import { createUpload } from '../sdk/index.ts'
import gateway from './app.ts'
import { TEST_SECRET, testContext } from './testing/context.ts'
import { fakePipeline } from './testing/fakes.ts'
import type { RecordedUpload } from './upload-reads.ts'
import { s3UploadStore } from './upload-store.ts'

/** Client, gateway and a real S3 server; in the place of Kafka and its processors, a fold in memory. */
const { bucket, settings, s3 } = await scratchBucket()
const faults = await startFaultProxy(settings.endpoint)
const presigner = createPresignClient({ ...settings, publicEndpoint: faults.endpoint })
const pipeline = fakePipeline(bucket)
const s3Behind = createS3Client({ ...settings, endpoint: faults.endpoint })
const token = await signLocalToken(TEST_SECRET, 'author-1', 'Ada')
const completed = new Set<string>()
/** What finish-upload and its projection do, in short. */
const findUpload = async (videoId: string): Promise<RecordedUpload | null> => {
  const upload = await pipeline.reads.findUpload(videoId)
  if (upload === null) return null
  const parts = await pipeline.reads.findParts(videoId, 0, upload.partCount ?? 0)
  if (parts.length !== upload.partCount) return upload
  const ref = { bucket, key: upload.objectKey, uploadId: upload.s3UploadId }
  if (!completed.has(videoId)) await completeMultipart(s3, ref, parts)
  completed.add(videoId)
  return { ...upload, status: 'completed' }
}
const app = Fastify()
await app.register(gateway, {
  context: testContext(pipeline, {
    reads: { ...pipeline.reads, findUpload },
    store: s3UploadStore({ s3: s3Behind, presigner, bucket, clock: systemClock }),
    limits: { partSizeBytes: 5 * MiB, unsizedPartSizeBytes: 5 * MiB },
  }),
})
const gatewayUrl = await app.listen({ port: 0, host: '127.0.0.1' })
t.teardown(async () => {
  await app.close()
  await faults.close()
  for (const client of [s3, s3Behind, presigner]) client.destroy()
})
t.beforeEach(() => {
  faults.decide = () => undefined
})

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

const checksumOf = async (videoId: string): Promise<string> => {
  const { body } = await readObject(s3, { bucket, key: `v/${videoId}/source` })
  const hash = createHash('sha256')
  for await (const chunk of body) hash.update(chunk)
  return hash.digest('hex')
}

const start = (bytes: Uint8Array<ArrayBuffer>, idempotencyKey: string) =>
  createUpload(new Blob([bytes], { type: 'video/mp4' }), {
    gatewayUrl,
    token,
    details: { title: 'Holiday' },
    idempotencyKey,
  })

t.test('a file goes through real S3 in parallel parts and comes out the same', async (t) => {
  const bytes = new Uint8Array(randomBytes(23 * MiB + 17))
  const { videoId, watchUrl } = await start(bytes, 'plain').done
  t.equal(await checksumOf(videoId), sha256(bytes))
  t.equal(watchUrl, `${gatewayUrl}/v/${videoId}`)
})

t.test('a stream of unknown length goes as fast as it can, and no part of it waits for its report', async (t) => {
  const bytes = new Uint8Array(randomBytes(83 * MiB + 17))
  const refused: string[] = []
  const options = {
    gatewayUrl,
    token,
    details: { title: 'Live' },
    idempotencyKey: 'stream',
    parallel: 32,
    fetch: async (...request: Parameters<typeof fetch>) => {
      const answer = await fetch(...request)
      if (!answer.ok) refused.push(await answer.clone().text())
      return answer
    },
  }
  const { videoId } = await createUpload(new Blob([bytes]).stream(), options).done
  t.equal(await checksumOf(videoId), sha256(bytes))
  t.same(refused, [])
  t.match(pipeline.uploads.get(videoId), { partCount: 17, sizeBytes: bytes.length })
})

t.test('bits that flip, parts that are cut, answers that are lost: S3 refuses or the client repeats', async (t) => {
  const bytes = new Uint8Array(randomBytes(23 * MiB + 17))
  let puts = 0
  faults.decide = ({ method }) => {
    if (method !== 'PUT') return undefined
    puts += 1
    if (puts === 1) return { kind: 'flip-bit' }
    if (puts === 2) return { kind: 'lose-answer' }
    if (puts === 3) return { kind: 'status', status: 503 }
    return undefined
  }
  const { videoId } = await start(bytes, 'faulty').done
  t.equal(puts, 8, '5 parts and 3 repetitions')
  t.equal(await checksumOf(videoId), sha256(bytes))
})

t.test('a create whose claim is in doubt is repeated with the same multipart', async (t) => {
  const bytes = new Uint8Array(randomBytes(1000))
  pipeline.fault.kafka = 'away'
  const upload = start(bytes, 'doubtful')
  await new Promise<void>((resolve) => {
    app.server.once('request', (_request, response) => response.once('finish', () => resolve()))
  })
  delete pipeline.fault.kafka
  const { videoId } = await upload.done
  t.equal(await checksumOf(videoId), sha256(bytes))
  const open: string[] = []
  for await (const { uploadId } of listMultipartUploads(s3, { bucket, prefix: `v/${videoId}/` })) open.push(uploadId)
  t.same(open, [], 'nothing is left behind')
})
