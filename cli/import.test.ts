import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { MiB } from '../storage/part-size.ts'
import { launch, type Product, run, startProduct } from './testing/upload-product.ts'

const FILE = Buffer.alloc(1000, 'x')

const inRanges: RequestListener = (request, response) => {
  const [, first = 0, last = FILE.length - 1] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
  const body = FILE.subarray(Number(first), Number(last) + 1)
  const range = `bytes ${first}-${Number(first) + body.length - 1}/${FILE.length}`
  response.writeHead(206, { etag: '"1"', 'content-range': range, 'content-length': body.length }).end(body)
}

const serve = async (t: Test, answer: RequestListener = inRanges) => {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/film.mp4`
}

const startedIds = ({ sent }: Product) => sent.filter(({ type }) => type === 'UploadStarted').map((it) => it.videoId)

t.test('a file that was imported is not imported twice, whatever details it is given then', async (t) => {
  const product = await startProduct(t)
  const url = await serve(t)
  t.match(await run(product.folder, 'import', url, '--title', 'Sea'), { code: 0, out: /Uploaded\. Watch/ })
  const again = await run(product.folder, 'import', url)
  const [videoId = ''] = startedIds(product)
  t.match(again, { code: 0, err: '', out: `Was imported before. Watch: ${product.url}/v/${videoId}\n` })
  const renamed = await run(product.folder, 'import', url, '--title', 'Lake', '--json')
  t.match(renamed, { code: 0, last: { event: 'completed', videoId, importedBefore: true } })
  t.match(renamed.out, /"event":"note".*keeps those that it was first imported with/)
  t.equal(startedIds(product).length, 1)
})

t.test('what was given up or deleted is begun anew', async (t) => {
  const product = await startProduct(t)
  const url = await serve(t)
  await run(product.folder, 'import', url)
  const [first = ''] = startedIds(product)
  product.uploadStatuses.set(first, { status: 'aborted', code: 'UPLOAD_EXPIRED' })
  t.match(await run(product.folder, 'import', url), { code: 0, out: /Uploaded\. Watch/ }, 'after an expiry')
  const [, second = ''] = startedIds(product)
  const video = product.videos.get(second)
  if (video !== undefined) product.videos.set(second, { ...video, status: 'deleted' })
  t.match(await run(product.folder, 'import', url), { code: 0, out: /Uploaded\. Watch/ }, 'after a deletion')
  t.equal(new Set(startedIds(product)).size, 3, 'three uploads')
  t.match(await run(product.folder, 'import', url), { code: 0, out: /Was imported before/ })
})

t.test('one that is open is gone on with, under the details that it has', async (t) => {
  const product = await startProduct(t)
  const url = await serve(t)
  product.holdFromPut = 0
  const { cli, outcome } = launch(product.folder, ['import', url, '--title', 'Sea', '--tag', 'b'])
  const ended = outcome()
  while (product.puts === 0) await new Promise(setImmediate)
  cli.kill('SIGINT')
  t.equal((await ended).code, 130)
  product.holdFromPut = Number.POSITIVE_INFINITY
  const [videoId = ''] = startedIds(product)
  product.uploadStatuses.set(videoId, { status: 'open' })
  const again = launch(product.folder, ['import', url, '--title', 'Lake'])
  const finished = again.outcome()
  while (!product.sent.some(({ type }) => type === 'PartUploaded')) await new Promise(setImmediate)
  product.uploadStatuses.clear()
  t.match(await finished, { code: 0, err: /keeps those/, out: /Uploaded\. Watch/ })
  t.equal(startedIds(product).length, 1)
})

for (const [validator, header, isBelieved] of [
  ['an ETag', { etag: '"1"' }, true],
  ['Last-Modified', { 'last-modified': 'Mon, 06 Jul 2026 10:00:00 GMT' }, false],
] as const) {
  const what = isBelieved ? 'reads only the parts that are missing' : 'reads all of it, and sends only what is missing'
  t.test(`an import of what ${validator} names, gone on with, ${what}`, async (t) => {
    const product = await startProduct(t)
    const file = Buffer.alloc(23 * MiB, 'y')
    const asked: string[] = []
    const url = await serve(t, (request, response) => {
      const [, first = 0, last = 0] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
      asked.push(`${Number(first) / MiB}-${(Number(last) + 1) / MiB}`)
      const body = file.subarray(Number(first), Number(last) + 1)
      const range = `bytes ${first}-${last}/${file.length}`
      response.writeHead(206, { ...header, 'content-range': range, 'content-length': body.length }).end(body)
    })
    product.holdFromPut = 2
    const { cli, outcome } = launch(product.folder, ['import', url])
    const ended = outcome()
    const stored = () => product.sent.flatMap((claim) => (claim.type === 'PartUploaded' ? claim.data.partNumber : []))
    while (stored().length < 2) await new Promise(setImmediate)
    cli.kill('SIGINT')
    t.equal((await ended).code, 130)
    const [videoId = ''] = startedIds(product)
    const before = { parts: stored(), puts: product.puts, asked: asked.length }
    product.holdFromPut = Number.POSITIVE_INFINITY
    product.uploadStatuses.set(videoId, { status: 'open' })
    const again = launch(product.folder, ['import', url, '--json']).outcome()
    while (stored().length < 5) await new Promise(setImmediate)
    product.uploadStatuses.clear()
    t.match(await again, { code: 0, last: { event: 'completed' } })
    t.equal(product.puts - before.puts, 3, 'parts sent again')
    const missing = [1, 2, 3, 4, 5].filter((part) => !before.parts.includes(part))
    const ranges = (isBelieved ? missing : [1, 2, 3, 4, 5]).map((n) => `${(n - 1) * 5}-${Math.min(n * 5, 23)}`)
    t.same(asked.slice(before.asked + 1).sort(), ranges.sort(), 'after a look at what it is')
    t.equal(Buffer.concat([...product.stored].sort().map(([, bytes]) => bytes)).equals(file), true)
  })
}

t.test('a download that breaks off, or finds another file, says so as the import that it is', async (t) => {
  const product = await startProduct(t)
  const breaking = await serve(t, (_request, response) => {
    response.writeHead(200, { 'content-length': FILE.length })
    response.write(FILE.subarray(0, 10), () => setImmediate(() => response.destroy()))
  })
  t.match(await run(product.folder, 'import', breaking), { code: 4, err: /^IMPORT_UNREACHABLE: / })
  const changing = await serve(t, (request, response) => {
    if (request.headers['if-range'] === undefined) return inRanges(request, response)
    response.writeHead(200, { etag: '"2"' }).end(FILE)
  })
  const changed = await run(product.folder, 'import', changing, '--json')
  t.match(changed, { code: 3, last: { event: 'failed', code: 'IMPORT_SOURCE_CHANGED', videoId: String } })
})

t.test('Ctrl-C before the server has answered is an interruption like any other', async (t) => {
  const product = await startProduct(t)
  const asked = Promise.withResolvers<void>()
  const url = await serve(t, () => asked.resolve())
  const { cli, outcome } = launch(product.folder, ['import', url, '--json'])
  const ended = outcome()
  await asked.promise
  cli.kill('SIGINT')
  t.match(await ended, { code: 130, last: { event: 'interrupted', message: 'Interrupted before it began.' } })
  t.equal(product.sent.length, 0)
})
