import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { appendFile, mkdir, rename } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import t, { type Test } from 'tap'
import { readObject } from '../../storage/read-object.ts'
import { createS3Client } from '../../storage/s3-client.ts'
import { launchBrowser, visit } from './browser.ts'
import { clipFolder, videoClip } from './clips.ts'
import { readFacts } from './facts.ts'
import { createThrottle } from './playback.ts'
import { cli, type Product, settledVideo, startProduct } from './product.ts'

/**
 * Uploads that are interrupted in the middle, on the whole product: a page that is reloaded, a command that is killed,
 * Ctrl-C. Each goes on where it was: the object is the file, at most one part per connection is sent again, and the log
 * has one UploadCompleted. Large files are playable clips with random bytes behind their end.
 */
const MB = 1_000_000
const PART_BYTES = 8 * 1024 * 1024

t.test('an upload that was interrupted goes on where it was', async (t) => {
  const product = await startProduct(t)
  const folder = await clipFolder(t)

  await t.test('a page is reloaded in the middle of 200 MB, and the file is chosen again', async (t) => {
    const { webUrl, s3Endpoint } = await product.run()
    const browser = await launchBrowser()
    t.teardown(() => browser.close())
    const { page, complaints } = await visit(browser, `${webUrl}/upload`, {
      allowedOrigins: [new URL(s3Endpoint).origin],
    })
    const sent = countParts((listener) => page.on('request', (request) => listener(request.method(), request.url())))
    const file = await largeClip(folder, 'reloaded', 200 * MB)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.locator('#drop').waitFor()
    await page.locator('#file').setInputFiles(file)
    const throttle = await createThrottle(page)
    await throttle({ uploadBps: 200_000_000 })
    await page.getByRole('button', { name: 'Upload', exact: true }).click()
    await page.waitForFunction(
      () => (document.querySelector<HTMLProgressElement>('.upload-row progress')?.value ?? 0) > 0.4,
      undefined,
      { timeout: 120_000 },
    )
    // So slow that it is still in the middle when the page has gone.
    await throttle({ uploadBps: 8_000_000 })
    await page.reload()
    await page.getByText(/Interrupted: [\d.]+ MB of \d+ MB are stored/).waitFor()
    await throttle({})
    await page.locator('#file').setInputFiles(file)
    await page.locator('[data-step="uploaded"].done').waitFor({ timeout: 120_000 })
    await page.getByRole('link', { name: 'Watch it now' }).waitFor({ timeout: 120_000 })
    const videoId = String(await page.getByRole('link', { name: 'Watch it now' }).getAttribute('href')).slice(3)
    await oneRightObject(t, product, videoId, file)
    noMoreThan(t, sent.again(), 6)
    t.same(complaints, [])
    await settledVideo(product, videoId)
  })

  for (const [what, signal] of [
    ['a command is killed', 'SIGKILL'],
    ['Ctrl-C is pressed', 'SIGINT'],
  ] as const) {
    await t.test(`${what} in the middle of 200 MB, and the same command is given again`, async (t) => {
      const file = await largeClip(folder, signal, 200 * MB)
      const args = ['upload', file, '--parallel', '4', '--json']
      const first = spawn(process.execPath, [CLI, ...args], { cwd: ROOT, env: product.env })
      const ended = once(first, 'exit')
      let output = ''
      const sentBytes = () => Number(/.*"sentBytes":(\d+)/s.exec(output)?.[1] ?? 0)
      first.stdout.on('data', (text) => {
        output += text
        if (sentBytes() > 100 * MB) first.kill(signal)
      })
      const [code] = await ended
      t.equal(code, signal === 'SIGINT' ? 130 : null)
      const { lines, stderr, ...again } = await cli(product, ...args)
      t.equal(again.code, 0, stderr)
      const resumed = lines.find(({ event }) => event === 'resumed')
      t.match(resumed, { storedBytes: Number })
      // What had left and is not recorded was on its way: it is what has to be sent again.
      t.comment(`${sentBytes()} bytes had left, ${resumed?.storedBytes} were stored`)
      t.ok(sentBytes() - Number(resumed?.storedBytes) <= 4 * PART_BYTES, 'at most one part per connection')
      await oneRightObject(t, product, String(lines.at(-1)?.videoId), file)
    })
  }

  await t.test('standard input of unknown length arrives whole', async (t) => {
    const file = await largeClip(folder, 'piped', 40 * MB)
    const child = spawn(process.execPath, [CLI, 'upload', '-', '--file-name', 'piped.mp4', '--json'], {
      cwd: ROOT,
      env: product.env,
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const [output] = await Promise.all([textOf(child.stdout), pipeline(createReadStream(file), child.stdin)])
    const last = JSON.parse(output.trim().split('\n').at(-1) ?? '{}')
    t.match(last, { event: 'completed', file: '-' })
    await oneRightObject(t, product, last.videoId, file)
  })

  await t.test('a folder is its videos, and uploads are listed and given up', async (t) => {
    const films = path.join(folder, 'films')
    await mkdir(films)
    await rename(await videoClip(folder, 1, 1), path.join(films, 'a.mp4'))
    await rename(await videoClip(folder, 1, 2), path.join(films, 'b.mp4'))
    await appendFile(path.join(films, 'notes.txt'), 'notes')
    const { code, lines } = await cli(product, 'upload', films, '--wait', '--json')
    t.equal(code, 0)
    t.equal(lines.filter(({ event }) => event === 'ready').length, 2)
    t.equal(lines.filter(({ event }) => event === 'skipped').length, 1)
    const completed = (await cli(product, 'uploads', 'list', '--status', 'completed', '--json')).lines
    t.match(completed[0], { status: 'completed', storedBytes: Number })
    t.ok(completed.length >= 4)
    const open = await openUpload(product)
    t.match((await cli(product, 'uploads', 'list', '--status', 'open', '--json')).lines, [{ uploadId: open }])
    t.equal((await cli(product, 'uploads', 'abort', open)).code, 0)
    t.same((await cli(product, 'uploads', 'list', '--status', 'open', '--json')).lines, [])
  })
})

const ROOT = path.resolve(import.meta.dirname, '..', '..')
const CLI = path.join(ROOT, 'cli/main.ts')

/** A short clip that plays, and behind its last box as many random bytes as are missing: every part differs. */
const largeClip = async (folder: string, name: string, sizeBytes: number): Promise<string> => {
  const file = path.join(folder, `${name}.mp4`)
  await rename(await videoClip(folder, 2), file)
  // A box of its own (ISO/IEC 14496-12, 8.1.2), so that no reader stumbles over them.
  const header = Buffer.alloc(8)
  header.writeUInt32BE(sizeBytes)
  header.write('free', 4)
  await appendFile(file, header)
  const block = 10 * MB
  for (let left = sizeBytes - header.length; left > 0; left -= block) {
    await appendFile(file, randomBytes(Math.min(block, left)))
  }
  return file
}

/** The object has the file's bytes, and the log one end of it. */
const oneRightObject = async (t: Test, product: Product, videoId: string, file: string): Promise<void> => {
  const run = await product.run()
  const s3 = createS3Client({
    endpoint: run.s3Endpoint,
    publicEndpoint: run.s3Endpoint,
    region: 'us-east-1',
    accessKeyId: run.s3AccessKeyId,
    secretAccessKey: run.s3SecretAccessKey,
  })
  try {
    const { body } = await readObject(s3, { bucket: 'reelstream-media', key: `v/${videoId}/source` })
    t.equal(await sha256Of(body), await sha256Of(createReadStream(file)), 'the object is the file')
  } finally {
    s3.destroy()
  }
  const facts = (await readFacts(run)).filter((fact) => fact.videoId === videoId)
  t.equal(facts.filter(({ type }) => type === 'UploadCompleted').length, 1)
  t.equal(facts.filter(({ type }) => type === 'UploadStarted').length, 1)
}

const sha256Of = async (stream: AsyncIterable<Uint8Array>): Promise<string> => {
  const hash = createHash('sha256')
  for await (const chunk of stream) hash.update(chunk)
  return hash.digest('hex')
}

/** How often the PUT of each part was begun. */
const countParts = (listen: (listener: (method: string, url: string) => void) => void) => {
  const begun = new Map<string, number>()
  listen((method, url) => {
    const partNumber = new URL(url).searchParams.get('partNumber')
    if (method === 'PUT' && partNumber !== null) begun.set(partNumber, (begun.get(partNumber) ?? 0) + 1)
  })
  return { again: () => [...begun.values()].reduce((sum, times) => sum + times - 1, 0) }
}

const noMoreThan = (t: Test, again: number, connections: number): void => {
  t.comment(`${again} parts were sent again`)
  t.ok(again <= connections, 'at most one part per connection')
}

const textOf = async (stream: AsyncIterable<unknown>): Promise<string> => {
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return text
}

/** Begins an upload that sends nothing. */
const openUpload = async (product: Product): Promise<string> => {
  const { gatewayUrl, token } = await product.run()
  const answer = await fetch(`${gatewayUrl}/uploads`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ title: 'Open', fileName: 'open.mp4', sizeBytes: 10 }),
  })
  const { uploadId } = (await answer.json()) as { uploadId: string }
  return uploadId
}
