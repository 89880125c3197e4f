import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { copyFile, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import t, { type Test } from 'tap'
import { runFilePath } from '../../local/run-file.ts'
import { readWhole } from '../../storage/read-object.ts'
import { clipFolder, videoClip } from './clips.ts'
import { cli, type RunFile, settledVideo, startProduct, until, videoOf } from './product.ts'

/**
 * Videos that are somewhere else already: an object in S3 by the command and by a producer that shares no code with us,
 * a file behind a URL. On the real product, with places that are open to one producer each.
 */
const BUCKET = 'reelstream-media'
const ROOT = path.resolve(import.meta.dirname, '..', '..')

t.test('imports', async (t) => {
  const product = await startProduct(t, {
    IMPORT_SOURCES: `${BUCKET}/films for /reelstream/cli, ${BUCKET}/imports for /importer`,
    IMPORT_NETWORKS: '127.0.0.0/8',
  })
  const run = await product.run()
  const s3 = s3Of(run)
  t.teardown(() => s3.destroy())
  const folder = await clipFolder(t)
  const clip = await videoClip(folder, 2, 3)
  const put = async (key: string) => {
    await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: await readFile(clip) }))
    return `s3://${BUCKET}/${key}`
  }

  const remove = async (videoId: string) => {
    const headers = { authorization: `Bearer ${run.token}` }
    t.equal((await fetch(`${run.gatewayUrl}/videos/${videoId}`, { method: 'DELETE', headers })).status, 202)
    await until('it is deleted', async () => (await videoOf(run, videoId))?.status === 'deleted')
  }

  await t.test(
    'an object becomes a video where it is; importing it again is the same, until it is deleted',
    async (t) => {
      const source = await put('films/a b.mp4')
      const first = await cli(product, 'import', source, '--title', 'Imported', '--tag', 'Film', '--wait', '--json')
      t.equal(first.code, 0)
      const videoId = String(first.lines.at(-1)?.videoId)
      t.match(await settledVideo(product, videoId), { status: 'ready', title: 'Imported', tags: ['film'] })
      const again = await cli(product, 'import', source, '--title', 'Renamed', '--json')
      t.match(again, { code: 0, lines: [{ event: 'note' }, { event: 'completed', videoId, importedBefore: true }] })
      await remove(videoId)
      const anew = await cli(product, 'import', source, '--title', 'Anew', '--json')
      t.match(anew, { code: 0, lines: [{ event: 'completed', importedBefore: undefined }] }, anew.stderr)
      t.match(await videoOf(run, String(anew.lines.at(-1)?.videoId)), { title: 'Anew' })
    },
  )

  await t.test('a place that is for another producer, and an object that is not there, are refused', async (t) => {
    const refused = await cli(product, 'import', await put('imports/theirs.mp4'), '--json')
    t.match(refused, { code: 3, lines: [{ event: 'failed', code: 'SOURCE_NOT_ALLOWED' }] })
    const missing = await cli(product, 'import', `s3://${BUCKET}/films/nothing.mp4`, '--json')
    t.match(missing, { code: 3, lines: [{ event: 'failed', code: 'OBJECT_NOT_FOUND' }] })
  })

  await t.test('the producer of the documentation works as it stands', async (t) => {
    const file = path.join(folder, 'example.mp4')
    await copyFile(clip, file)
    const args = [path.join(ROOT, 'docs/examples/claim-upload-completed.ts'), file, runFilePath(product.dataDir)]
    const example = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
    const [said, [code]] = await Promise.all([text(example.stdout), once(example, 'exit')])
    t.equal(code, 0)
    const [, videoId = ''] = /\/v\/(\w+)/.exec(said) ?? []
    t.match(await settledVideo(product, videoId), { status: 'ready', title: 'example.mp4' })
  })

  await t.test(
    'a file behind a URL, in ranges: the same bytes, and the same video when it is done again, until it is deleted',
    async (t) => {
      const { url, requests } = await serve(t, clip)
      const imported = await cli(product, 'import', `${url}/moved/film.mp4`, '--json')
      t.equal(imported.code, 0, imported.stderr)
      const videoId = String(imported.lines.at(-1)?.videoId)
      const stored = await readWhole(s3, { bucket: BUCKET, key: `v/${videoId}/source` }, 64 * 1024 * 1024)
      t.equal(sha256(stored), sha256(readFileSync(clip)))
      t.match(await settledVideo(product, videoId), { status: 'ready', title: 'film.mp4' })
      const before = requests.length
      const again = await cli(product, 'import', `${url}/moved/film.mp4`, '--json')
      t.match(again, { code: 0, lines: [{ event: 'completed', videoId, importedBefore: true }] })
      t.ok(requests.length - before <= 4, 'it is complete: little is asked of the server')
      await remove(videoId)
      const anew = await cli(product, 'import', `${url}/moved/film.mp4`, '--json')
      t.equal(anew.code, 0, anew.stderr)
      t.not(anew.lines.at(-1)?.videoId, videoId)
    },
  )

  await t.test('nobody looks into this network by it', async (t) => {
    const { url } = await serve(t, clip)
    const port = new URL(url).port
    const guarded = { env: { ...product.env, IMPORT_NETWORKS: '' } }
    for (const target of [`http://127.0.0.1:${port}/`, `http://localhost:${port}/`, 'http://169.254.169.254/latest/']) {
      const { code, lines } = await cli(guarded, 'import', target, '--json')
      t.match({ code, lines }, { code: 3, lines: [{ event: 'failed', code: 'IMPORT_ADDRESS_REFUSED' }] }, target)
    }
    const inside = await cli(product, 'import', `${url}/inside`, '--json')
    t.match(inside, { code: 3, lines: [{ event: 'failed', code: 'IMPORT_ADDRESS_REFUSED' }] }, 'by a redirect')
    t.match(await cli(product, 'import', 'file:///etc/passwd', '--json'), { code: 3 })
  })
})

/** Serves the file with ranges below /film.mp4, redirects to it, and one redirect into a cloud. */
const serve = async (t: Test, file: string) => {
  const bytes = readFileSync(file)
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(request.url ?? '')
    const redirect = (location: string) => void response.writeHead(302, { location }).end()
    if (request.url === '/inside') return redirect('http://169.254.169.254/latest/meta-data/')
    if (request.url?.startsWith('/moved/')) return redirect('/film.mp4')
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    const etag = '"clip"'
    if (first === undefined || last === undefined) return void response.writeHead(200, { etag }).end(bytes)
    const body = bytes.subarray(Number(first), Number(last) + 1)
    const range = `bytes ${first}-${Number(first) + body.length - 1}/${bytes.length}`
    response.writeHead(206, { etag, 'content-range': range, 'content-length': body.length }).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests }
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

const s3Of = (run: RunFile) =>
  new S3Client({
    endpoint: run.s3Endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: run.s3AccessKeyId, secretAccessKey: run.s3SecretAccessKey },
  })
