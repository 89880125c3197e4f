/**
 * The upload page in a real browser, against a stand-in for API and gateway: several files, what can be done about each,
 * and what is left of them after a reload. upload-resume.test.ts does the same with everything real.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { launchBrowser, namelessControls, visit } from './browser.ts'
import { type FakeProduct, PART_BYTES, startFakeProduct } from './fake/product.ts'
import { createThrottle } from './playback.ts'

const folder = await mkdtemp(path.join(tmpdir(), 'reelstream-upload-'))
const browser: Browser = await launchBrowser()
t.teardown(async () => {
  await browser.close()
  await rm(folder, { recursive: true, force: true })
})

const withProduct = async (t: Test): Promise<FakeProduct> => {
  const product = await startFakeProduct({ folder, durationMs: 0 })
  t.teardown(() => product.close())
  return product
}

const file = async (name: string, sizeBytes: number): Promise<string> => {
  const made = path.join(folder, name)
  await writeFile(made, Buffer.alloc(sizeBytes, name))
  return made
}

const opened = async (product: FakeProduct) => {
  const { page, complaints } = await visit(browser, `${product.url}/upload`)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.locator('#drop').waitFor()
  return { page, complaints, throttle: await createThrottle(page) }
}

const upload = (page: Page) => page.getByRole('button', { name: 'Upload', exact: true }).click()
const rowOf = (page: Page, title: string) => page.locator('.upload-row', { hasText: title })
const SLOW = { uploadBps: 4_000_000 }

t.test('a file is sent, followed, and can be watched as soon as it plays', async (t) => {
  const product = await withProduct(t)
  const { page, complaints } = await opened(product)
  await page.locator('#file').setInputFiles(await file('harbour_at dawn.mp4', 1_000_000))
  t.equal(await page.getByLabel('Title').inputValue(), 'harbour at dawn', 'the file name makes a title')
  await page.getByLabel('Tags').fill('sea, dawn')
  await upload(page)
  await page.locator('[data-step="uploaded"].done').waitFor()

  const [videoId = ''] = product.ids()
  product.say(videoId, 'SourceProbed')
  product.put({ videoId, progress: { percent: 31 } })
  product.say(videoId, 'TranscodePlanned')
  await page.getByText('Transcoding 31 %').waitFor()
  product.put({ videoId, playable: true })
  product.say(videoId, 'PlaylistPublished', { complete: false })
  await page.getByRole('link', { name: 'Watch it now' }).waitFor()
  t.equal(await page.getByRole('link', { name: 'Watch it now' }).getAttribute('href'), `/v/${videoId}`)
  product.put({ videoId, status: 'ready', ready: true })
  product.say(videoId, 'PlaylistPublished', { complete: true })
  await page.locator('[data-step="ready"].done').waitFor()
  t.same(complaints, [])
  t.same(product.unknownPaths, [])
})

t.test('on a slow line the progress of an upload moves inside its parts', async (t) => {
  const product = await withProduct(t)
  const { page, complaints, throttle } = await opened(product)
  const sizeBytes = 4 * PART_BYTES
  await page.locator('#file').setInputFiles(await file('slow.mp4', sizeBytes))
  await throttle(SLOW)
  await upload(page)
  await page.waitForFunction(
    ([sizeBytes, partBytes]) => {
      const share = document.querySelector<HTMLProgressElement>('.upload-row progress')?.value ?? 0
      const sentBytes = share * sizeBytes
      return sentBytes > 0 && Math.round(sentBytes) % partBytes !== 0 && sentBytes < sizeBytes
    },
    [sizeBytes, PART_BYTES] as const,
  )
  await throttle({})
  await page.locator('[data-step="uploaded"].done').waitFor()
  t.same(complaints, [])
})

t.test('without a network it waits, says so, and goes on at once when there is one', async (t) => {
  const product = await withProduct(t)
  const { page } = await opened(product)
  await page.locator('#file').setInputFiles(await file('tunnel.mp4', 4 * PART_BYTES))
  await page.context().setOffline(true)
  await upload(page)
  const row = rowOf(page, 'tunnel')
  await row.getByText('Waiting for the connection').waitFor()
  await page.context().setOffline(false)
  await row.locator('[data-step="uploaded"].done').waitFor()
  t.equal(await row.getByText('Waiting for the connection').count(), 0)
})

t.test('several files have titles of their own, and go one after the other', async (t) => {
  const product = await withProduct(t)
  const { page, complaints, throttle } = await opened(product)
  const files = [await file('one.mp4', 3 * PART_BYTES), await file('two.mp4', 10), await file('three.mp4', 10)]
  await page.locator('#file').setInputFiles(files)
  t.same(
    await page.getByLabel('Title').evaluateAll((inputs) => inputs.map((input) => (input as HTMLInputElement).value)),
    ['one', 'two', 'three'],
  )
  await page.locator('#file').setInputFiles(files.slice(0, 1))
  t.equal(await page.getByLabel('Title').count(), 3, 'a file that is chosen twice is there once')
  await page.getByRole('button', { name: 'Leave out three.mp4' }).click()
  await page.getByLabel('Title').first().fill('First')
  await throttle(SLOW)
  await upload(page)
  await rowOf(page, 'First').locator('.numbers', { hasText: '/s' }).waitFor()
  t.equal(await rowOf(page, 'two').getAttribute('data-state'), 'waiting')
  await throttle({})
  await rowOf(page, 'two').locator('[data-step="uploaded"].done').waitFor()
  t.equal(product.ids().length, 2)
  t.same(complaints, [])
})

t.test('an upload is paused, resumed and cancelled; a pause lets the next one go on', async (t) => {
  const product = await withProduct(t)
  const { page, complaints, throttle } = await opened(product)
  await page.locator('#file').setInputFiles([await file('long.mp4', 8 * PART_BYTES), await file('short.mp4', 10)])
  await throttle(SLOW)
  await upload(page)
  const long = rowOf(page, 'long')
  await long.locator('.numbers', { hasText: '/s' }).waitFor()
  await long.getByRole('button', { name: 'Pause' }).click()
  await long.getByText('Paused').waitFor()
  t.equal(await page.evaluate(() => document.activeElement?.textContent), 'Resume long', 'the focus stays')
  await rowOf(page, 'short').locator('[data-step="uploaded"].done').waitFor()
  await page.keyboard.press('Enter')
  await throttle({})
  await long.locator('[data-step="uploaded"].done').waitFor()

  await page.locator('#file').setInputFiles(await file('regret.mp4', 8 * PART_BYTES))
  await throttle(SLOW)
  await upload(page)
  await rowOf(page, 'regret').getByRole('button', { name: 'Cancel' }).click()
  await rowOf(page, 'regret').waitFor({ state: 'detached' })
  t.same(complaints, [])
})

t.test('after a reload the page asks for the file, and sends what is missing', async (t) => {
  const product = await withProduct(t)
  const { page, complaints, throttle } = await opened(product)
  const long = await file('long.mp4', 12 * PART_BYTES)
  await page.locator('#file').setInputFiles(long)
  await page.getByLabel('Title').fill('Long way')
  await throttle(SLOW)
  await upload(page)
  await page.locator('#file').setInputFiles(await file('next.mp4', 10))
  await upload(page)
  await page.waitForFunction(
    () => (document.querySelector<HTMLProgressElement>('.upload-row progress')?.value ?? 0) > 0.5,
  )
  await page.reload()
  const row = rowOf(page, 'Long way')
  await row.getByText(/Interrupted: .* of 3\.1 MB are stored\. Choose or drop the same file/).waitFor()
  await rowOf(page, 'next')
    .getByText(/0 bytes of 10 bytes are stored/)
    .waitFor()
  await throttle({})
  const before = product.puts
  await page.locator('#file').setInputFiles(long)
  await row.locator('[data-step="uploaded"].done').waitFor()
  t.equal(product.ids().length, 1, 'the same upload')
  t.ok(product.puts - before <= 6 + 6, `${product.puts - before} of 12 parts sent again`)
  t.equal(await page.locator('#form').isVisible(), false, 'nothing is asked twice')
  await page.reload()
  await rowOf(page, 'next').getByText('Interrupted').waitFor()
  t.equal(await page.locator('.upload-row').count(), 1, 'nothing is left of it')
  t.same(complaints, [])
})

t.test('what was interrupted can be discarded, or taken up by dropping its file', async (t) => {
  const product = await withProduct(t)
  const { page, complaints, throttle } = await opened(product)
  const interrupt = async (title: string) => {
    const sizeBytes = 12 * PART_BYTES
    await drop(page, `${title}.mp4`, sizeBytes)
    await throttle(SLOW)
    await upload(page)
    await rowOf(page, title).locator('.numbers', { hasText: '/s' }).waitFor()
    await page.reload()
    await rowOf(page, title).getByText('Interrupted').waitFor()
    await throttle({})
    return sizeBytes
  }
  const sizeBytes = await interrupt('dropped')
  await drop(page, 'dropped.mp4', sizeBytes)
  await rowOf(page, 'dropped').locator('[data-step="uploaded"].done').waitFor()
  t.equal(product.ids().length, 1)
  await interrupt('unwanted')
  await rowOf(page, 'unwanted').getByRole('button', { name: 'Discard' }).click()
  await rowOf(page, 'unwanted').waitFor({ state: 'detached' })
  await page.reload()
  await page.locator('#drop').waitFor()
  t.equal(await page.locator('.upload-row').count(), 0)
  t.same(complaints, [])
})

/** A drop beside the box, as a browser would deliver it. */
const drop = (page: Page, name: string, sizeBytes: number): Promise<void> =>
  page.evaluate(
    ({ name, sizeBytes }) => {
      const dataTransfer = new DataTransfer()
      dataTransfer.items.add(new File([new Uint8Array(sizeBytes)], name, { type: 'video/mp4', lastModified: 1 }))
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }))
    },
    { name, sizeBytes },
  )

t.test('an empty file is refused with a code, in its row, and can be dismissed', async (t) => {
  const product = await withProduct(t)
  const { page } = await opened(product)
  await page.locator('#file').setInputFiles(await file('empty.mp4', 0))
  await upload(page)
  await rowOf(page, 'empty').getByText('EMPTY_FILE').waitFor()
  await rowOf(page, 'empty').getByRole('button', { name: 'Dismiss' }).click()
  t.equal(await page.locator('.upload-row').count(), 0)
})

t.test('what was refused is asked about again, and is not there after a reload', async (t) => {
  const product = await withProduct(t)
  const { page } = await opened(product)
  const empty = await file('refused.mp4', 0)
  await page.locator('#file').setInputFiles(empty)
  await upload(page)
  const row = rowOf(page, 'refused')
  await row.getByText('EMPTY_FILE').waitFor()
  await row.getByRole('button', { name: 'Dismiss' }).click()
  await page.locator('#file').setInputFiles(empty)
  await page.getByLabel('Title').waitFor()
  await upload(page)
  await row.getByText('EMPTY_FILE').waitFor()
  await page.reload()
  await page.locator('#drop').waitFor()
  await page.locator('#file').setInputFiles(empty)
  await page.getByLabel('Title').waitFor()
  t.equal(await row.count(), 0)
})

t.test('the form says what the gateway would refuse', async (t) => {
  const product = await withProduct(t)
  const { page } = await opened(product)
  await page.locator('#file').setInputFiles(await file('form.mp4', 10))
  const message = (label: string) =>
    page.getByLabel(label).evaluate((input) => (input as HTMLInputElement).validationMessage)
  await page.getByLabel('Title').fill('   ')
  t.not(await message('Title'), '')
  await page.getByLabel('Title').fill('Form')
  await page.getByLabel('Tags').fill(`sea, ${'x'.repeat(51)}`)
  t.match(await message('Tags'), '50 characters')
  await upload(page)
  t.equal(await page.locator('.upload-row').count(), 0, 'nothing is begun')
  await page.getByLabel('Tags').fill('sea')
  await upload(page)
  await rowOf(page, 'Form').locator('[data-step="uploaded"].done').waitFor()
})

t.test('a session that has run out asks to sign in again, and the upload can be tried again', async (t) => {
  const product = await withProduct(t)
  const { page } = await opened(product)
  await page.evaluate(() => {
    const session = JSON.parse(sessionStorage.getItem('reelstream.session') ?? '{}')
    sessionStorage.setItem('reelstream.session', JSON.stringify({ ...session, token: 'old' }))
  })
  await page.locator('#file').setInputFiles(await file('late.mp4', 10))
  await upload(page)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await rowOf(page, 'late').getByRole('button', { name: 'Try again' }).click()
  await rowOf(page, 'late').locator('[data-step="uploaded"].done').waitFor()
  t.equal(product.ids().length, 1)
})

t.test('a rejection comes to whoever uploaded', async (t) => {
  const product = await withProduct(t)
  const { page, complaints } = await opened(product)
  await page.locator('#file').setInputFiles(await file('notes.mp4', 100))
  await upload(page)
  await page.locator('[data-step="uploaded"].done').waitFor()
  const [videoId = ''] = product.ids()
  product.put({ videoId, status: 'rejected', error: { code: 'NOT_MEDIA', message: 'The file is not a video.' } })
  product.say(videoId, 'SourceRejected')
  await rowOf(page, 'notes').getByText('NOT_MEDIA').waitFor()
  await page.locator('[data-step="checked"].failed').waitFor()
  t.same(complaints, [])
})

t.test('every control of every row has a name of its own', async (t) => {
  const product = await withProduct(t)
  const { page, throttle } = await opened(product)
  await page.locator('#file').setInputFiles([await file('alpha.mp4', 8 * PART_BYTES), await file('beta.mp4', 10)])
  t.same(await namelessControls(page), [])
  await throttle(SLOW)
  await upload(page)
  await rowOf(page, 'alpha').getByRole('button', { name: 'Pause alpha' }).waitFor()
  await rowOf(page, 'beta').getByRole('button', { name: 'Cancel beta' }).waitFor()
  t.same(await namelessControls(page), [])
})
