import { spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { removeSharedPostgresData } from '../../local/postgres-home.ts'
import { clipFolder, soundClip, textClip, videoClip } from './clips.ts'
import { readFacts, statementOf, twice } from './facts.ts'
import { cli, type Product, type RunFile, settledVideo, startProduct, until, videoOf } from './product.ts'

/**
 * One video end to end and what may go wrong on the way, on one product: the uploader's, the producer's and the
 * operator's view. The foreign producer shares no code with us: stock kafkajs, stock registry client, stock S3 client.
 */
const LADDER = ['1280x720', '854x480', '320x180']

t.test('the whole product', async (t) => {
  const product = await startProduct(t)
  const folder = await clipFolder(t)

  await t.test('an uploaded file becomes a video with three levels', async (t) => {
    const { code, lines } = await cli(
      product,
      ...[
        'upload',
        await videoClip(folder, 8),
        '--title',
        'Eight seconds',
        '--description',
        'A test',
        '--author',
        'Ada',
      ],
      ...['--tag', 'Test', '--tag', 'pattern', '--wait', '--json'],
    )
    t.equal(code, 0)
    const last = lines.at(-1)
    t.match(last, { videoId: String, watchUrl: /^http:\/\/localhost:\d+\/v\// })
    const video = await settledVideo(product, String(last?.videoId))
    t.match(video, {
      status: 'ready',
      title: 'Eight seconds',
      author: 'Ada',
      tags: ['test', 'pattern'],
      playable: true,
    })
    t.same(sizesOf(video), LADDER)
    t.equal(Math.round((video.durationMs ?? 0) / 1000), 8)
  })

  await t.test('a file that is no video ends with a clear code, and the stack goes on', async (t) => {
    const text = await textClip(folder, 'notes.mp4', 'Dear diary, today I renamed a text file.')
    await rejected(t, product, [text, '--wait'], 'NOT_MEDIA')
    await rejected(t, product, [await soundClip(folder), '--wait'], 'NO_VIDEO')
    await rejected(t, product, [await textClip(folder, 'empty.mp4', '')], 'EMPTY_FILE')
    await rejected(t, product, [path.join(folder, 'nowhere.mp4')], 'FILE_NOT_FOUND')
    const { apiUrl } = await product.run()
    t.equal((await fetch(`${apiUrl}/readyz`)).status, 200)
  })

  await t.test('a foreign producer claims an object in S3, twice: one playable video, encoded once', async (t) => {
    const videoId = randomUUID()
    const run = await product.run()
    const source = await putSource(run, await videoClip(folder, 4, 7))
    const claim = { id: `import-${videoId}`, type: 'UploadCompleted', videoId, data: completed(source) }
    await produce(run, [claim, claim])
    const video = await settledVideo(product, videoId)
    t.equal(video.status, 'ready')
    t.same(sizesOf(video), LADDER)
    await produce(run, [claim])
    await produce(run, [{ ...claim, id: `again-${videoId}` }])
    const facts = await until('the second claim is refused', async () => {
      const all = (await readFacts(run)).filter((fact) => fact.videoId === videoId)
      return all.some(({ type }) => type === 'ClaimRefused') && all
    })
    t.equal(facts.filter(({ type }) => type === 'UploadCompleted').length, 1)
    t.equal(facts.filter(({ type }) => type === 'TranscodePlanned').length, 1)
    t.same(twice(facts.map(statementOf)), [])
  })

  await t.test('a foreign producer repeats the claims of an upload: nothing happens twice', async (t) => {
    const run = await product.run()
    const { lines } = await cli(product, 'upload', await videoClip(folder, 3, 9), '--wait', '--json')
    const videoId = String(lines.at(-1)?.videoId)
    const before = await until('the last fact of the video', async () => {
      const all = (await readFacts(run)).filter((fact) => fact.videoId === videoId)
      return all.some(({ type }) => type === 'ThumbnailsExtracted') && all
    })
    const claims = before.filter(({ type }) => ['UploadStarted', 'PartUploaded'].includes(type))
    await produce(
      run,
      claims.map(({ type, data, causationId }) => ({ id: causationId ?? '', type, videoId, data })),
    )
    await produce(run, [{ id: `late-${videoId}`, type: 'UploadStarted', videoId, data: claims[0]?.data ?? {} }])
    const after = await until('the late claim is refused', async () => {
      const all = (await readFacts(run)).filter((fact) => fact.videoId === videoId)
      return all.some(({ type }) => type === 'ClaimRefused') && all
    })
    t.same(
      after.filter(({ type }) => type !== 'ClaimRefused').map(({ id }) => id),
      before.map(({ id }) => id),
    )
  })

  await t.test('the operator sees that replaying any processor would do nothing again', async (t) => {
    const tasks = (await cli(product, 'processors', 'list', '--json')).lines
    const processors = [...new Set(tasks.map(({ processor }) => String(processor)))]
    t.equal(processors.length, 8)
    t.same(
      tasks.filter(({ state, blockedKeys }) => state !== 'live' || blockedKeys !== 0),
      [],
    )
    for (const processor of processors) {
      const { lines } = await cli(product, 'processors', 'plan', processor, '--json')
      t.match(lines[0], { records: Number, effects: 0, outputs: 0, timers: 0, blocked: [] }, processor)
      t.ok(Number(lines[0]?.records) > 0, `${processor} has history`)
    }
  })

  await t.test('and resetting one while the product runs does nothing again', async (t) => {
    const run = await product.run()
    const before = (await readFacts(run)).map(({ id }) => id)
    t.match(await cli(product, 'processors', 'reset', 'publish-playlist', '--yes'), {
      code: 3,
      stderr: /PROCESSOR_RUNNING/,
    })
    const { code, stderr } = await cli(product, 'processors', 'reset', 'publish-playlist', '--yes', '--wait')
    t.equal(code, 0, stderr)
    await until('its tasks live', async () => {
      const { lines } = await cli(product, 'processors', 'list', 'publish-playlist', '--json')
      return lines.length > 0 && lines.every(({ state, pendingEffects }) => state === 'live' && pendingEffects === 0)
    })
    t.same(
      (await readFacts(run)).map(({ id }) => id),
      before,
    )
  })

  await t.test('without its database it comes back with the same catalogue, from Kafka alone', async (t) => {
    const before = await catalogueHash(await product.run())
    await product.stop()
    await removeSharedPostgresData(product.dataDir)
    await rm(path.join(product.dataDir, 'postgres'), { recursive: true, force: true })
    await product.start()
    const after = await until('the catalogue is rebuilt', async () => {
      const found = await catalogueHash(await product.run()).catch(() => undefined)
      return found?.count === before.count && found.hash === before.hash && found
    })
    t.same(after, before)
  })
})

const sizesOf = (video: { readonly renditions: readonly { readonly width: number; readonly height: number }[] }) =>
  video.renditions.map(({ width, height }) => `${width}x${height}`)

const rejected = async (t: Test, product: Product, args: readonly string[], expected: string): Promise<void> => {
  const { code, lines, stderr } = await cli(product, 'upload', ...args, '--json')
  t.not(code, 0, `${expected} is no success`)
  t.match(`${JSON.stringify(lines)} ${stderr}`, expected)
  const videoId = lines.at(-1)?.videoId
  if (typeof videoId !== 'string') return
  const video = await videoOf(await product.run(), videoId)
  t.match(video, { status: 'rejected', error: { code: expected, message: String } })
}

const FOREIGN_BUCKET = 'somebody-elses-bucket'

const putSource = async (run: RunFile, file: string) => {
  const s3 = new S3Client({
    endpoint: run.s3Endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: run.s3AccessKeyId, secretAccessKey: run.s3SecretAccessKey },
  })
  await s3.send(new CreateBucketCommand({ Bucket: FOREIGN_BUCKET }))
  const body = await readFile(file)
  const objectKey = `films/${randomUUID()}.mp4`
  const { ETag } = await s3.send(new PutObjectCommand({ Bucket: FOREIGN_BUCKET, Key: objectKey, Body: body }))
  s3.destroy()
  return { bucket: FOREIGN_BUCKET, objectKey, etag: String(ETag).replaceAll('"', ''), sizeBytes: body.length }
}

const completed = (source: { bucket: string; objectKey: string; etag: string; sizeBytes: number }) => ({
  ...source,
  checksum: null,
  authorId: 'importer',
  details: {
    title: 'Imported',
    description: '',
    author: 'Importer',
    tags: [],
    visibility: 'PUBLIC',
    fileName: null,
    metadata: null,
  },
  sealedDetails: null,
})

interface ForeignClaim {
  readonly id: string
  readonly type: string
  readonly videoId: string
  readonly data: Record<string, unknown>
}

const PRODUCER = path.join(import.meta.dirname, 'foreign-producer.ts')

const produce = async (run: RunFile, claims: readonly ForeignClaim[]): Promise<void> => {
  const producer = spawn(process.execPath, [PRODUCER], { stdio: ['pipe', 'inherit', 'inherit'] })
  producer.stdin.end(JSON.stringify({ brokers: run.kafkaBrokers, registryUrl: run.schemaRegistryUrl, claims }))
  const [code] = await once(producer, 'exit')
  if (code !== 0) throw new Error(`the foreign producer ended with ${code}`)
}

/** Every video with its history, as the API shows them, as one hash. */
const catalogueHash = async ({ apiUrl, token }: RunFile): Promise<{ count: number; hash: string }> => {
  const headers = { authorization: `Bearer ${token}` }
  const get = async (url: string) =>
    (await (await fetch(`${apiUrl}${url}`, { headers })).json()) as Record<string, unknown>
  const { items } = (await get('/videos?limit=100')) as unknown as { items: readonly { videoId: string }[] }
  const videos = await Promise.all(
    items.map(async ({ videoId }) => [
      await get(`/videos/${videoId}`),
      await get(`/videos/${videoId}/history?limit=200`),
    ]),
  )
  const hash = createHash('sha256').update(JSON.stringify(videos)).digest('hex')
  return { count: items.length, hash }
}
