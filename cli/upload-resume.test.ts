import { once } from 'node:events'
import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { MiB } from '../storage/part-size.ts'
import { launch, movie, type Product, run, startProduct } from './testing/upload-product.ts'

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

t.test('Ctrl-C while standard input says nothing ends it at once, and says how to go on', async (t) => {
  const product = await startProduct(t)
  const silent = launch(product.folder, ['upload', '-', '--title', 'Piped'], null)
  const ended = silent.outcome()
  while (product.probes === 0) await turn()
  silent.cli.kill('SIGINT')
  t.match(await ended, { code: 130 })
  t.equal(product.sent.length, 0)

  const begun = launch(product.folder, ['upload', '-', '--title', 'Piped', '--idempotency-key', 'mine'], null)
  const interrupted = begun.outcome()
  begun.cli.stdin.write('some bytes')
  while (product.sent.length === 0) await turn()
  await once(begun.cli.stdout, 'data')
  begun.cli.kill('SIGINT')
  t.match(await interrupted, { code: 130, err: /stays open until .*--idempotency-key mine and the same bytes/ })
  const again = launch(product.folder, ['upload', '-', '--title', 'Piped', '--idempotency-key', 'mine'], 'some bytes')
  t.match(await again.outcome(), { code: 0 })
  t.equal(product.sent.filter(({ type }) => type === 'UploadStarted').length, 1)
})

t.test('a key whose upload is complete is a success for the same bytes, and for no others', async (t) => {
  const product = await startProduct(t)
  const file = await movie(product.folder, 11 * MiB)
  const key = ['--idempotency-key', 'mine']
  t.match(await run(product.folder, 'upload', file, ...key), { code: 0 })
  const before = product.puts
  t.match(await run(product.folder, 'upload', file, ...key), {
    code: 0,
    out: /^Was uploaded before, and is the same\. W/m,
  })
  t.match(await run(product.folder, 'upload', file, ...key, '--json'), { last: { alreadyComplete: true } })
  await writeFile(path.join(product.folder, file), Buffer.alloc(11 * MiB, 'y'))
  t.match(await run(product.folder, 'upload', file, ...key), { code: 3, err: /^FILE_DIFFERS: / })
  const piped = launch(product.folder, ['upload', '-', '--file-name', file, ...key], 'other bytes')
  t.match(await piped.outcome(), { code: 3, err: /^FILE_DIFFERS: / })
  t.equal(product.puts, before)
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
  await symlink('nowhere', path.join(films, 'gone.mp4'))
  const { code, out } = await run(product.folder, 'upload', 'films', 'empty.mp4', 'films/a.mp4', '--json')
  t.equal(code, 3, 'the code of the one that failed')
  const last = Object.fromEntries(eventsIn(out).map((line) => [line.file, line]))
  t.match(last, {
    'films/notes.txt': { event: 'skipped', reason: 'is not called like a video' },
    'films/sea/round': { event: 'skipped', reason: 'is a link to a folder' },
    'films/a.mp4': { event: 'completed', videoId: String, watchUrl: String },
    'films/gone.mp4': { event: 'failed', code: 'FILE_NOT_FOUND' },
    'films/sea/b.MKV': { event: 'completed', videoId: String, watchUrl: String },
    'empty.mp4': { event: 'failed', code: 'EMPTY_FILE' },
  })
  t.equal(Object.keys(last).length, 6)
  t.same(product.sent.filter(({ type }) => type === 'UploadStarted').length, 2, 'a file that is named twice goes once')
  t.match(await run(product.folder, 'upload', 'films', '--title', 'x'), { code: 3, err: /^ONE_FILE_ONLY/m })
})

t.test('many files are as good as few', async (t) => {
  const product = await startProduct(t)
  const names = Array.from({ length: 12 }, (_, i) => `${i}.mp4`)
  for (const name of names) await movie(product.folder, 10, name)
  const { code, err, out } = await run(product.folder, 'upload', ...names)
  t.match({ code, err }, { code: 0, err: '' })
  t.equal(out.split('Uploaded. Watch').length - 1, 12)
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
  t.match(await run(product.folder, 'uploads', 'abort', 'nowhere', '--json'), {
    ...{ code: 3, err: '' },
    last: { uploadId: 'nowhere', status: null, code: 'UPLOAD_NOT_FOUND', message: 'There is no such upload.' },
  })

  await endAfter(product, 1, 'SIGINT', 'upload', await movie(product.folder, 26 * MiB))
  const uploadId = product.sent[0]?.videoId ?? ''
  product.uploadStatus = { status: 'aborted', code: 'UPLOAD_CANCELLED' }
  t.match(await run(product.folder, 'uploads', 'abort', uploadId), { code: 0, out: `${uploadId} is aborted.\n` })
  t.equal(product.sent.at(-1)?.type, 'UploadAbortRequested')
  t.same(await stateOf(product.folder), { uploads: [] }, 'forgotten here, too')
})
