import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { setImmediate as turn } from 'node:timers/promises'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import gateway from '../ingest/gateway/app.ts'
import { DEFAULT_LIMITS } from '../ingest/gateway/context.ts'
import { fakePipeline } from '../ingest/gateway/testing/fakes.ts'
import { createUploadHandles } from '../ingest/gateway/upload-handle.ts'
import { systemClock } from '../platform/clock.ts'
import { childEnvironment } from '../platform/config.ts'
import { createAuthenticator, signLocalToken } from '../platform/http/author-token.ts'
import { silentLogger } from '../platform/log.ts'
import { MiB } from '../storage/part-size.ts'

/** The real program as a child process, the real gateway, and the rest of the product played by this server. */
const SECRET = 'a secret of at least thirty-two characters'
const token = await signLocalToken(SECRET, 'author-1', 'Ada')

const startProduct = async (t: Test) => {
  const pipeline = fakePipeline()
  const folder = await mkdtemp(path.join(tmpdir(), 'cli-test-'))
  const app = Fastify({ forceCloseConnections: true, bodyLimit: 64 * MiB })
  const product = {
    ...pipeline,
    folder,
    url: '',
    facts: [{ type: 'SourceProbed', status: 'processing', percent: 50 }] as object[],
    stored: new Map<string, Buffer>(),
    uploadStatus: { status: 'completed' } as object,
    listed: [] as object[],
    /** Of parts that are not answered: 0 = from the first on. */
    holdFromPut: Number.POSITIVE_INFINITY,
    puts: 0,
  }
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.put<{ Params: { n: string } }>('/s3/:n', async (request, reply) => {
    product.puts += 1
    if (product.puts > product.holdFromPut) return reply.hijack()
    product.stored.set(request.params.n, request.body as Buffer)
    return reply.header('etag', '"e"').send('')
  })
  app.get('/healthz', async () => ({ status: 'ok' }))
  app.get('/uploads', async () => ({ items: product.listed, nextCursor: null }))
  app.get('/uploads/:id', async () => product.uploadStatus)
  app.get('/videos/:id/events', async (_request, reply) => {
    const events = product.facts.map((fact, i) => `event: fact\nid: 0:${i}\ndata: ${JSON.stringify(fact)}\n\n`)
    return reply.type('text/event-stream').send(events.join(''))
  })
  await app.register(gateway, {
    context: {
      ...pipeline,
      store: {
        ...pipeline.store,
        signPart: async (_ref, part) => ({ url: `${product.url}/s3/${part.partNumber}`, headers: {}, expiresAtMs: 0 }),
      },
      authenticator: createAuthenticator({ jwtSecret: SECRET, jwksUrl: '' }),
      handles: createUploadHandles('s3 secret'),
      limits: { ...DEFAULT_LIMITS, maxUploadBytes: 100 * MiB, partSizeBytes: 5 * MiB, uploadLifeMs: 3_600_000 },
      clock: systemClock,
      log: silentLogger,
      watchUrl: (videoId) => `http://web/v/${videoId}`,
    },
  })
  product.url = await app.listen({ port: 0, host: '127.0.0.1' })
  await writeFile(
    path.join(folder, 'run.json'),
    JSON.stringify({ gatewayUrl: product.url, apiUrl: product.url, token }),
  )
  t.teardown(async () => {
    await app.close()
    await rm(folder, { recursive: true, force: true })
  })
  return product
}

type Product = Awaited<ReturnType<typeof startProduct>>

const launch = (dataDir: string, args: readonly string[], input = '') => {
  const cli = spawn(process.execPath, [path.join(import.meta.dirname, 'main.ts'), ...args], {
    env: childEnvironment({
      ...{ DATA_DIR: dataDir, INIT_CWD: dataDir, XDG_STATE_HOME: dataDir, GATEWAY_URL: '', AUTHOR_TOKEN: '' },
    }),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  cli.stdin.end(input)
  const outcome = async () => {
    const [out, err, [code]] = await Promise.all([text(cli.stdout), text(cli.stderr), once(cli, 'close')])
    const lines = out.trim().split('\n')
    return { code, out, err, last: (args.includes('--json') ? JSON.parse(lines.at(-1) ?? '{}') : {}) as object }
  }
  return { cli, outcome }
}

const run = (dataDir: string, ...args: readonly string[]) => launch(dataDir, args).outcome()

const movie = async (folder: string, sizeBytes = 1000, name = 'holiday.mp4') => {
  await writeFile(path.join(folder, name), Buffer.alloc(sizeBytes, 'x'))
  return name
}

t.test('uploads a file with its details, and says where to watch it', async (t) => {
  const product = await startProduct(t)
  const file = await movie(product.folder, 11 * MiB)
  const details = ['--title', 'Sea', '--description', 'Waves', '--author', 'Una', '--tag', 'A', '--tag', 'b']
  const { code, out, err } = await run(product.folder, 'upload', file, ...details, '--visibility', 'UNLISTED')
  t.equal(code, 0, err)
  const [started] = product.sent
  t.match(out, `Watch: http://web/v/${started?.videoId}`)
  t.match(started, {
    data: {
      contentType: 'video/mp4',
      sizeBytes: 11 * MiB,
      details: { title: 'Sea', description: 'Waves', author: 'Una', tags: ['a', 'b'], visibility: 'UNLISTED' },
    },
  })
  const parts = [...product.stored].sort().map(([, bytes]) => bytes)
  t.ok(Buffer.concat(parts).equals(Buffer.alloc(11 * MiB, 'x')))
})

t.test('with --json every line is an object, and the last one says what came of it', async (t) => {
  const product = await startProduct(t)
  const file = await movie(product.folder)
  const { code, out, last } = await run(product.folder, 'upload', file, '--json')
  t.equal(code, 0)
  const videoId = product.sent[0]?.videoId
  t.same(last, { event: 'completed', file, videoId, watchUrl: `http://web/v/${videoId}` })
  const events = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).event)
  const [first, ...between] = events.slice(0, -1)
  t.same([first, events.at(-1)], ['created', 'completed'])
  t.same(new Set(between), new Set(['progress']), 'as often as there is something to say')
  t.match(product.sent[0], { data: { details: { title: 'holiday.mp4', author: 'Ada' } } }, 'title: the file name')
})

t.test('with --wait it ends when the video is ready', async (t) => {
  const product = await startProduct(t)
  const file = await movie(product.folder)
  product.facts.push({ type: 'PlaylistPublished', status: 'ready', percent: 100 })
  const { code, out } = await run(product.folder, 'upload', file, '--wait')
  t.equal(code, 0)
  t.match(out, /source probed, 50 %\n {2}playlist published, 100 %\nReady\. Watch: http/)
})

t.test(
  'with --wait a video that is rejected is a failure with the code and the sentence of the pipeline',
  async (t) => {
    const product = await startProduct(t)
    const file = await movie(product.folder)
    const error = { code: 'NOT_MEDIA', message: 'This is not a video.' }
    product.facts = [{ type: 'SourceRejected', status: 'rejected', percent: null, error }]
    const plain = await run(product.folder, 'upload', file, '--wait')
    t.match(plain, { code: 6, err: 'NOT_MEDIA: This is not a video.\n' })
    const json = await run(product.folder, 'upload', file, '--wait', '--json')
    t.match(json, { code: 6, last: { event: 'failed', ...error, videoId: String, watchUrl: String } })
  },
)

t.test('an upload that is aborted is a failure', async (t) => {
  const product = await startProduct(t)
  const file = await movie(product.folder)
  product.uploadStatus = { status: 'aborted', code: 'UPLOAD_FAILED', detail: 'Please upload it again.' }
  t.match(await run(product.folder, 'upload', file), { code: 5, err: 'UPLOAD_FAILED: Please upload it again.\n' })
})

t.test('a file that cannot be taken is refused with a code, before anything is begun', async (t) => {
  const product = await startProduct(t)
  await mkdir(path.join(product.folder, 'folder'))
  await movie(product.folder, 0, 'empty.mp4')
  const cases = { FILE_NOT_FOUND: 'missing.mp4', NO_VIDEO_FILES: 'folder', EMPTY_FILE: 'empty.mp4' }
  for (const [expected, file] of Object.entries(cases)) {
    const { code, err } = await run(product.folder, 'upload', file)
    t.equal(code, 3)
    t.match(err, new RegExp(`^${expected}: .*${file}`))
  }
  t.match(await run(product.folder, 'upload', 'missing.mp4', '--json'), {
    code: 3,
    last: { event: 'failed', code: 'FILE_NOT_FOUND' },
  })
  t.equal(product.sent.length, 0)
})

t.test('what the gateway refuses is said as it says it', async (t) => {
  const product = await startProduct(t)
  const file = await movie(product.folder)
  const { code, err } = await run(product.folder, 'upload', file, '--title', ' ')
  t.equal(code, 3)
  t.match(err, /^VALIDATION_FAILED: .*title/)
  const stranger = await run(product.folder, 'upload', file, '--token', 'nonsense')
  t.match(stranger, { code: 3, err: /^UNAUTHENTICATED: / })
})

t.test('a product that does not run is one sentence', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'cli-test-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const file = await movie(folder)
  t.match(await run(folder, 'upload', file), { code: 4, err: /^NOT_RUNNING: .*start it with npm start/ })
  await writeFile(path.join(folder, 'run.json'), JSON.stringify({ gatewayUrl: 'http://127.0.0.1:1', token }))
  t.match(await run(folder, 'upload', file), { code: 4, err: /^NOT_RUNNING: Reelstream does not answer here/ })
  t.match(await run(folder, 'upload', file, '--gateway', 'http://127.0.0.1:1'), { code: 4, err: /^NOT_RUNNING/ })
})

t.test('a gateway can be named instead, and then needs a token', async (t) => {
  const product = await startProduct(t)
  const file = await movie(product.folder)
  await rm(path.join(product.folder, 'run.json'))
  t.match(await run(product.folder, 'upload', file, '--gateway', product.url), { code: 4, err: /^TOKEN_MISSING/ })
  t.match(await run(product.folder, 'upload', file, '--gateway', product.url, '--token', token), { code: 0 })
})

t.test('a command line that is not understood exits 2', async (t) => {
  const cases = [['upload'], ['upload', 'f', '--visibility', 'me'], ['upload', 'f', '--parallel', '0'], ['fly']]
  for (const args of cases) t.equal((await run('/', ...args)).code, 2, args.join(' '))
  t.equal((await run('/', '--help')).code, 0)
})

const eventsIn = (out: string): readonly Record<string, unknown>[] =>
  out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

const stateOf = async (folder: string) =>
  JSON.parse(await readFile(path.join(folder, 'reelstream', 'uploads.json'), 'utf8')) as { uploads: object[] }

/** Presses Ctrl-C, or worse, as soon as so many parts are reported. */
const endAfter = async (product: Product, reported: number, signal: NodeJS.Signals, ...args: readonly string[]) => {
  product.holdFromPut = product.puts + reported
  const { cli, outcome } = launch(product.folder, args)
  const ended = outcome()
  while (product.sent.filter(({ type }) => type === 'PartUploaded').length < reported) await turn()
  cli.kill(signal)
  product.holdFromPut = Number.POSITIVE_INFINITY
  return ended
}

for (const signal of ['SIGINT', 'SIGKILL'] as const) {
  t.test(`after ${signal} the upload is open, and the same command goes on where it was`, async (t) => {
    const product = await startProduct(t)
    const file = await movie(product.folder, 26 * MiB)
    const { code, err } = await endAfter(product, 3, signal, 'upload', file, '--parallel', '2')
    if (signal === 'SIGINT') t.match({ code, err }, { code: 130, err: /stays open until .* the same command/ })
    t.match(await stateOf(product.folder), { uploads: [{ idempotencyKey: String, sizeBytes: 26 * MiB }] })
    t.equal((await stat(path.join(product.folder, 'reelstream', 'uploads.json'))).mode & 0o777, 0o600)
    const before = product.puts
    const again = await run(product.folder, 'upload', file, '--json', '--parallel', '2')
    t.equal(again.code, 0, again.err)
    t.ok(product.puts - before <= 3, `${product.puts - before} of 6 parts sent again`)
    const resumed = eventsIn(again.out).find(({ event }) => event === 'resumed')
    t.match(resumed, { file, storedParts: 3, storedBytes: 15 * MiB })
    t.equal(product.sent.filter(({ type }) => type === 'UploadStarted').length, 1)
    t.notOk(product.sent.some(({ type }) => type === 'UploadAbortRequested'))
    t.same(await stateOf(product.folder), { uploads: [] })
  })
}

t.test('standard input goes as it comes', async (t) => {
  const product = await startProduct(t)
  const { code, err, out } = await launch(product.folder, ['upload', '-', '--title', 'Piped'], 'some bytes').outcome()
  t.equal(code, 0, err)
  t.match(out, /^Uploading -\nUploaded\. Watch: /)
  t.match(product.sent, [
    { type: 'UploadStarted', data: { sizeBytes: null, details: { title: 'Piped', fileName: 'Piped' } } },
    { type: 'PartUploaded', data: { sizeBytes: 10 } },
    { type: 'UploadSealed', data: { partCount: 1, sizeBytes: 10 } },
  ])
  t.match(await run(product.folder, 'upload', '-'), { code: 3, err: /^TITLE_MISSING/ })
  t.match(await run(product.folder, 'upload', '-', '--title', 'x'), { code: 3, err: /^EMPTY_FILE/ })
  t.match(await run(product.folder, 'upload', '-', 'x.mp4', '--title', 'x'), { code: 3, err: /^ONE_FILE_ONLY/ })
})

t.test('a folder is its videos, and says what it skips; several files are told apart', async (t) => {
  const product = await startProduct(t)
  const films = path.join(product.folder, 'films')
  await mkdir(path.join(films, 'sea'), { recursive: true })
  await movie(films, 10, 'a.mp4')
  await movie(path.join(films, 'sea'), 10, 'b.MKV')
  await movie(films, 10, 'notes.txt')
  await symlink(films, path.join(films, 'sea', 'round'))
  await movie(product.folder, 0, 'empty.mp4')
  const { code, out } = await run(product.folder, 'upload', 'films', 'empty.mp4', 'films/a.mp4', '--json')
  t.equal(code, 3, 'the code of the one that failed')
  const last = new Map(eventsIn(out).map((line) => [line.file, line]))
  t.match(
    [...last.values()],
    [
      { event: 'skipped', file: 'films/notes.txt', reason: 'is not called like a video' },
      { event: 'skipped', file: 'films/sea/round', reason: 'is a link to a folder' },
      { event: 'completed', file: 'films/a.mp4', videoId: String, watchUrl: String },
      { event: 'completed', file: 'films/sea/b.MKV', videoId: String, watchUrl: String },
      { event: 'failed', file: 'empty.mp4', code: 'EMPTY_FILE' },
    ],
  )
  t.same(product.sent.filter(({ type }) => type === 'UploadStarted').length, 2, 'a file that is named twice goes once')
  t.match(await run(product.folder, 'upload', 'films', '--title', 'x'), { code: 3, err: /^ONE_FILE_ONLY/m })
})

t.test('uploads are listed and given up', async (t) => {
  const product = await startProduct(t)
  const upload = { uploadId: 'v1', videoId: 'v1', title: 'Sea', status: 'open', sizeBytes: 2e6, storedBytes: 1e6 }
  product.listed = [{ ...upload, expiresAt: '2026-11-24T10:00:00.000Z', code: null }]
  const { out, code } = await run(product.folder, 'uploads', 'list', '--status', 'open')
  t.equal(code, 0)
  t.match(out, /^UPLOAD .*\nv1 +open +1\.0 MB +2\.0 MB +2026-11-24 10:00 +Sea\n$/)
  t.match(await run(product.folder, 'uploads', 'list', '--json'), { last: upload })
  t.match(await run(product.folder, 'uploads', 'abort', 'nowhere'), { code: 3, err: /^nowhere: UPLOAD_NOT_FOUND/ })

  await endAfter(product, 1, 'SIGINT', 'upload', await movie(product.folder, 26 * MiB))
  const uploadId = product.sent[0]?.videoId ?? ''
  product.uploadStatus = { status: 'aborted', code: 'UPLOAD_CANCELLED' }
  t.match(await run(product.folder, 'uploads', 'abort', uploadId), { code: 0, out: `${uploadId} is aborted.\n` })
  t.equal(product.sent.at(-1)?.type, 'UploadAbortRequested')
  t.same(await stateOf(product.folder), { uploads: [] }, 'forgotten here, too')
})

t.test('Ctrl-C while waiting ends the waiting only', async (t) => {
  const product = await startProduct(t)
  const { cli } = launch(product.folder, ['upload', await movie(product.folder), '--wait'])
  let seen = ''
  for await (const chunk of cli.stdout) {
    seen += chunk
    if (seen.includes('source probed')) break
  }
  cli.kill('SIGINT')
  const [code] = await once(cli, 'close')
  t.equal(code, 130)
  t.notOk(product.sent.some(({ type }) => type === 'UploadAbortRequested'))
})
