import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import Fastify from 'fastify'
import type { Test } from 'tap'
import gateway from '../../ingest/gateway/app.ts'
import { TEST_SECRET, testContext } from '../../ingest/gateway/testing/context.ts'
import { fakePipeline } from '../../ingest/gateway/testing/fakes.ts'
import type { RecordedUpload } from '../../ingest/gateway/upload-reads.ts'
import { childEnvironment } from '../../platform/config.ts'
import { signLocalToken, unauthenticated } from '../../platform/http/author-token.ts'
import { MiB } from '../../storage/part-size.ts'

/** The real program as a child process, the real gateway, and the rest of the product played by this server. */
export const token = await signLocalToken(TEST_SECRET, 'author-1', 'Ada')

export const startProduct = async (t: Test) => {
  const pipeline = fakePipeline()
  const folder = await mkdtemp(path.join(tmpdir(), 'cli-test-'))
  const app = Fastify({ forceCloseConnections: true, bodyLimit: 64 * MiB })
  const product = {
    ...pipeline,
    folder,
    url: '',
    facts: [{ type: 'SourceProbed', status: 'processing', percent: 50 }] as object[],
    stored: new Map<string, Buffer>(),
    /** Of an upload whose parts are all there, or that was given up. */
    uploadStatus: { status: 'completed' } as Partial<RecordedUpload>,
    /** Of single uploads, by id. */
    uploadStatuses: new Map<string, object>(),
    listed: [] as object[],
    /** Of parts that are not answered: 0 = from the first on. */
    holdFromPut: Number.POSITIVE_INFINITY,
    puts: 0,
    /** Commands that have looked for the product. */
    probes: 0,
    /** Whether the token of whoever uploads has expired meanwhile. */
    isTokenExpired: false,
    /** Holds up every PUT until it resolves. */
    onPut: async (): Promise<void> => {},
  }
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.put<{ Params: { n: string } }>('/s3/:n', async (request, reply) => {
    product.puts += 1
    if (product.puts > product.holdFromPut) return reply.hijack()
    await product.onPut()
    product.stored.set(request.params.n, request.body as Buffer)
    return reply.header('etag', '"e"').send('')
  })
  app.get('/healthz', async () => {
    product.probes += 1
    return { status: 'ok' }
  })
  app.get('/uploads', async () => ({ items: product.listed, nextCursor: null }))
  app.get<{ Params: { id: string } }>('/uploads/:id', async ({ params: { id } }, reply) => {
    const upload = pipeline.uploads.get(id)
    if (upload === undefined) return reply.status(404).send({ code: 'UPLOAD_NOT_FOUND', detail: 'No such upload.' })
    const status = product.uploadStatuses.get(id) ?? product.uploadStatus
    return { expiresAt: new Date(upload.expiresAtMs).toISOString(), ...status }
  })
  app.get<{ Params: { id: string } }>('/videos/:id', async ({ params: { id } }, reply) => {
    const video = pipeline.videos.get(id)
    if (video === undefined) return reply.status(404).send({ code: 'VIDEO_NOT_FOUND', detail: 'No such video.' })
    return { videoId: id, status: video.status, ...video.details }
  })
  app.get('/videos/:id/events', async (_request, reply) => {
    const events = product.facts.map((fact, i) => `event: fact\nid: 0:${i}\ndata: ${JSON.stringify(fact)}\n\n`)
    return reply.type('text/event-stream').send(events.join(''))
  })
  const { authenticator } = testContext(pipeline)
  const findUpload = async (videoId: string): Promise<RecordedUpload | null> => {
    const upload = await pipeline.reads.findUpload(videoId)
    if (upload === null) return null
    const isWhole = pipeline.parts.get(videoId)?.size === upload.partCount
    const isGivenUp = pipeline.sent.some((claim) => claim.type === 'UploadAbortRequested' && claim.videoId === videoId)
    return isWhole || isGivenUp ? { ...upload, ...product.uploadStatus } : upload
  }
  await app.register(gateway, {
    context: testContext(pipeline, {
      reads: { ...pipeline.reads, findUpload },
      authenticator: {
        async authorOf(token) {
          if (product.isTokenExpired) throw unauthenticated('The token has expired.')
          return authenticator.authorOf(token)
        },
      },
      store: {
        ...pipeline.store,
        signPart: async (_ref, part) => ({ url: `${product.url}/s3/${part.partNumber}`, headers: {}, expiresAtMs: 0 }),
      },
      limits: { maxUploadBytes: 100 * MiB, partSizeBytes: 5 * MiB },
      watchUrl: (videoId) => `http://web/v/${videoId}`,
    }),
  })
  product.url = await app.listen({ port: 0, host: '127.0.0.1' })
  await writeFile(
    path.join(folder, 'run.json'),
    JSON.stringify({ gatewayUrl: product.url, apiUrl: product.url, token, kafkaBrokers: '127.0.0.1:1' }),
  )
  t.teardown(async () => {
    await app.close()
    await rm(folder, { recursive: true, force: true })
  })
  return product
}

export type Product = Awaited<ReturnType<typeof startProduct>>

/** @param input all of standard input; null = it stays open, and empty */
export const launch = (dataDir: string, args: readonly string[], input: string | null = '') => {
  const cli = spawn(process.execPath, [path.join(import.meta.dirname, '..', 'main.ts'), ...args], {
    env: childEnvironment({
      ...{ DATA_DIR: dataDir, INIT_CWD: dataDir, XDG_STATE_HOME: dataDir, GATEWAY_URL: '', AUTHOR_TOKEN: '' },
      IMPORT_NETWORKS: '127.0.0.0/8',
    }),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  if (input !== null) cli.stdin.end(input)
  const outcome = async () => {
    const [out, err, [code]] = await Promise.all([text(cli.stdout), text(cli.stderr), once(cli, 'close')])
    const lines = out.trim().split('\n')
    return { code, out, err, last: (args.includes('--json') ? JSON.parse(lines.at(-1) ?? '{}') : {}) as object }
  }
  return { cli, outcome }
}

export const run = (dataDir: string, ...args: readonly string[]) => launch(dataDir, args).outcome()

export const movie = async (folder: string, sizeBytes = 1000, name = 'holiday.mp4') => {
  await writeFile(path.join(folder, name), Buffer.alloc(sizeBytes, 'x'))
  return name
}
