import { once } from 'node:events'
import { appendFile, mkdir, mkdtemp, open, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { MiB } from '../storage/part-size.ts'
import { launch, movie, run, startProduct, token } from './testing/upload-product.ts'

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
  t.same(last, { event: 'completed', file, videoId, watchUrl: `http://web/v/${videoId}`, alreadyComplete: false })
  const events = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).event)
  const [first, ...between] = events.slice(0, -1)
  t.same([first, events.at(-1)], ['created', 'completed'])
  t.same(new Set(between), new Set(['progress']), 'as often as there is something to say')
  t.match(product.sent[0], { data: { details: { title: 'holiday.mp4', author: 'Ada' } } }, 'title: the file name')
})

t.test("the author's token begins an upload, and may expire before its end", async (t) => {
  const product = await startProduct(t)
  const file = await movie(product.folder, 11 * MiB)
  product.onPut = async () => {
    product.isTokenExpired = true
  }
  t.match(await run(product.folder, 'upload', file), { code: 0, err: '' })
  t.match(await run(product.folder, 'upload', file), { code: 3, err: /^UNAUTHENTICATED/ })
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
  await writeFile(path.join(product.folder, 'folder', 'notes.txt'), '')
  const cases = { FILE_NOT_FOUND: 'missing.mp4', NO_VIDEO_FILES: 'folder', EMPTY_FILE: 'empty.mp4' }
  for (const [expected, file] of Object.entries(cases)) {
    const { code, err } = await run(product.folder, 'upload', file)
    t.equal(code, 3)
    t.match(err, new RegExp(`^${expected}: .*${file}`, 'm'))
  }
  t.match(await run(product.folder, 'upload', 'folder'), { err: /^Skipped folder\/notes.txt: it is not called/ })
  t.match(await run(product.folder, 'upload', 'missing.mp4', '--json'), {
    code: 3,
    last: { event: 'failed', code: 'FILE_NOT_FOUND' },
  })
  t.equal(product.sent.length, 0)
})

t.test('a file that changes while it is uploaded is not called uploaded, and its upload is given up', async (t) => {
  const replace = async (file: string): Promise<void> => {
    const handle = await open(file, 'r+')
    await handle.write('other', 6 * MiB)
    await handle.close()
  }
  const changes: Record<string, (file: string) => Promise<unknown>> = {
    'it grows, as a recording does': (file) => appendFile(file, 'more'),
    'bytes of it are replaced': replace,
    'bytes of it are replaced, and its time is set back': async (file) => {
      await replace(file)
      await utimes(file, 1, 1)
    },
  }
  for (const [what, change] of Object.entries(changes)) {
    const product = await startProduct(t)
    const file = await movie(product.folder, 11 * MiB)
    await utimes(path.join(product.folder, file), 1, 1)
    product.onPut = async () => {
      product.onPut = async () => {}
      await change(path.join(product.folder, file))
    }
    const { code, err } = await run(product.folder, 'upload', file)
    t.match({ code, err }, { code: 3, err: /^FILE_CHANGED: / }, what)
    const facts = product.sent.map(({ type }) => type)
    t.ok(facts.filter((type) => type === 'PartUploaded').length < 3, `${what}: the server cannot complete it`)
    // A report that was on its way may come after it.
    t.ok(facts.includes('UploadAbortRequested'), what)
    product.uploadStatus = { status: 'completed' }
    t.match(await run(product.folder, 'upload', file), { code: 0 }, `${what}: as it is now it is another upload`)
  }
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
