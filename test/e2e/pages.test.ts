/**
 * The pages in a real browser, against a stand-in for API and gateway with real HLS: what they show in every state a
 * video can be in, and how the player behaves. product.test.ts does the same with everything real.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { launchBrowser, namelessControls, visit } from './browser.ts'
import { makeHls } from './fake/hls.ts'
import { type FakeProduct, startFakeProduct } from './fake/product.ts'
import { createThrottle, play, ranDry, recordPlayback, reportPlayback, untilEnded, untilPlayedTo } from './playback.ts'

const CLIP_SECONDS = 20
const FRAMES_A_SECOND = 25

const folder = await mkdtemp(path.join(tmpdir(), 'reelstream-pages-'))
const hls = await makeHls(path.join(folder, 'hls'), CLIP_SECONDS)
const browser: Browser = await launchBrowser()
t.teardown(async () => {
  await browser.close()
  await rm(folder, { recursive: true, force: true })
})

/** A stand-in of its own for each test. */
const withProduct = async (t: Test): Promise<FakeProduct> => {
  const product = await startFakeProduct(hls)
  t.teardown(() => product.close())
  return product
}

const textOf = async (page: Page, selector: string): Promise<string> =>
  (await page.locator(selector).first().textContent()) ?? ''

const UNPLAYABLE = { playable: false, ready: false, masterUrl: null, posterUrl: null, storyboardUrl: null } as const

t.test('an empty library says how to begin', async (t) => {
  const product = await withProduct(t)
  const { page, complaints } = await visit(browser, product.url)
  await page.locator('#empty').waitFor()
  t.match(await textOf(page, '#empty'), /Nothing to watch yet/)
  await page.getByRole('link', { name: 'Upload the first video' }).click()
  await page.getByRole('heading', { name: 'Sign in to upload' }).waitFor()
  t.same(complaints, [])
})

t.test('the library shows what is ready, what is on its way, and how far it is', async (t) => {
  const product = await withProduct(t)
  product.put({ videoId: 'ready', title: 'Ready <b>one</b>', durationMs: 754_000 })
  product.put({ ...UNPLAYABLE, videoId: 'busy', status: 'processing', progress: { percent: 12 } })
  const { page, complaints } = await visit(browser, product.url)
  const card = (videoId: string) => page.locator(`[data-video-id="${videoId}"]`)
  await card('ready').waitFor()
  t.match(await card('ready').textContent(), /12:34[\s\S]*Ready <b>one<\/b>[\s\S]*Inga Lindqvist/, 'text stays text')
  t.match(await card('busy').textContent(), /Processing · 12 %/)
  product.put({ videoId: 'busy', playable: true, progress: { percent: 57 } })
  await page.getByText('Playable · 57 %').waitFor()
  product.put({ videoId: 'busy', status: 'ready', ready: true })
  await page.locator('[data-video-id="busy"][data-status="ready"]').waitFor()
  await card('ready').click()
  await page.waitForURL('**/v/ready')
  t.same(complaints, [])
})

t.test('a ready video plays to the end: no error, one buffered range, every frame', async (t) => {
  const product = await withProduct(t)
  product.put({ videoId: 'clip' })
  const { page, complaints } = await visit(browser, `${product.url}/v/clip`)
  await recordPlayback(page)
  await play(page)
  await untilEnded(page, 60_000)
  const report = await reportPlayback(page)
  t.same(report.errors, [])
  t.same(ranDry(report), [])
  t.same(report.levels, ['320x180', '854x480', '1280x720'])
  t.equal(report.bufferedRanges, 1)
  t.ok(report.totalFrames >= CLIP_SECONDS * FRAMES_A_SECOND, `${report.totalFrames} frames`)
  t.same(complaints, [])
  t.same(product.unknownPaths, [])
})

t.test('the level follows the bandwidth', async (t) => {
  const product = await withProduct(t)
  product.put({ videoId: 'clip' })
  const { page, complaints } = await visit(browser, product.url)
  const throttle = await createThrottle(page)
  await throttle({ downloadBps: 4_500_000 })
  await page.goto(`${product.url}/v/clip`)
  await recordPlayback(page)
  await play(page)
  await page.waitForFunction(() => window.notes?.switches.includes('1280x720'))
  await throttle({ downloadBps: 350_000 })
  await page.waitForFunction(() => window.notes?.switches.at(-1) !== '1280x720', undefined, { timeout: 30_000 })
  const { switches } = await reportPlayback(page)
  t.match(switches.at(-1), /320x180|854x480/, switches.join(' → '))
  t.same(complaints, [])
})

t.test('a video that grows plays from its first two seconds to its end', async (t) => {
  const product = await withProduct(t)
  product.put({
    ...UNPLAYABLE,
    videoId: 'grows',
    status: 'processing',
    progress: { percent: 0 },
    durationMs: CLIP_SECONDS * 1000,
  })
  for (const type of ['UploadStarted', 'UploadCompleted', 'SourceProbed', 'TranscodePlanned'] as const) {
    product.say('grows', type)
  }
  const { page, complaints } = await visit(browser, `${product.url}/v/grows`)
  await page.getByText('Getting ready').waitFor()
  t.equal(await page.locator('video').count(), 0, 'there is nothing to play yet')

  product.reveal('grows', 2)
  product.put({ videoId: 'grows', playable: true, masterUrl: '/watch/grows/master.m3u8', progress: { percent: 20 } })
  product.say('grows', 'PlaylistPublished', { revision: 1, complete: false, playableDurationMs: 4_000 })
  await recordPlayback(page)
  await play(page)
  await untilPlayedTo(page, 0.5)
  t.match(await textOf(page, '.growing'), /Encoding, 20 %/)

  product.reveal('grows', 6)
  await untilPlayedTo(page, 5)
  await play(page, 2)
  product.reveal('grows', null)
  product.put({ videoId: 'grows', status: 'ready', ready: true, progress: { percent: 100 } })
  product.say('grows', 'PlaylistPublished', { revision: 3, complete: true, playableDurationMs: CLIP_SECONDS * 1000 })
  await untilEnded(page, 60_000)
  const report = await reportPlayback(page)
  t.equal(report.bufferedRanges, 1)
  t.equal(Math.round(report.currentTime), CLIP_SECONDS)
  t.same(report.errors, [])
  t.equal(await page.locator('#steps .done').count(), 6, 'every step is done')
  t.equal(await page.locator('.growing').isVisible(), false)

  t.equal(await page.locator('media-poster-image').getAttribute('src'), null)
  const watch = '/watch/grows'
  product.put({ videoId: 'grows', posterUrl: `${watch}/poster.jpg`, storyboardUrl: `${watch}/storyboard.vtt` })
  product.say('grows', 'ThumbnailsExtracted')
  await page.locator(`media-poster-image[src="${watch}/poster.jpg"]`).waitFor({ state: 'attached' })
  await page.locator(`track[src="${watch}/storyboard.vtt"]`).waitFor({ state: 'attached' })
  t.equal(await page.locator('.growing').isVisible(), false)
  t.same(complaints, [])
})

t.test('the quality menu fixes a level, and gives it back', async (t) => {
  const product = await withProduct(t)
  product.put({ videoId: 'clip' })
  const { page, complaints } = await visit(browser, `${product.url}/v/clip`)
  await recordPlayback(page)
  await play(page)
  const choose = async (name: string) => {
    await page.locator('media-rendition-menu-button').click()
    await page.getByRole('menuitemradio', { name }).click()
  }
  await choose('180p')
  await page.waitForFunction(() => window.notes?.switches.at(-1) === '320x180')
  await choose('Auto')
  await page.waitForFunction(() => window.notes?.switches.at(-1) === '1280x720')
  // What was being loaded at the other level is given up, which hls.js calls an error, but no fatal one.
  t.same(
    (await reportPlayback(page)).errors.filter((error) => !error.startsWith('aborted')),
    [],
  )
  t.same(complaints, [])
})

t.test('the player is worked by keyboard', async (t) => {
  const product = await withProduct(t)
  product.put({ videoId: 'clip' })
  const { page } = await visit(browser, `${product.url}/v/clip`)
  await recordPlayback(page)
  await play(page)
  await page.locator('media-controller').focus()
  await page.keyboard.press('k')
  await page.waitForFunction(() => document.querySelector('video')?.paused)
  await page.keyboard.press('ArrowRight')
  await page.waitForFunction(() => (document.querySelector('video')?.currentTime ?? 0) > 8)
  t.pass()
})

t.test('pointing at the time line shows the picture of that moment', async (t) => {
  const product = await withProduct(t)
  product.put({ videoId: 'clip' })
  const { page, complaints } = await visit(browser, `${product.url}/v/clip`)
  await recordPlayback(page)
  await untilPlayedTo(page, 0.1)
  await page.waitForFunction(() => (document.querySelector('video')?.textTracks[0]?.cues?.length ?? 0) > 0)
  await page.locator('media-time-range').hover()
  await page.locator('media-preview-thumbnail[mediapreviewimage*="storyboard.jpg"]').waitFor({ state: 'attached' })
  t.match(await page.locator('media-preview-thumbnail').getAttribute('mediapreviewcoords'), /\d+ \d+ 160 90/)
  t.same(complaints, [])
})

t.test('the log is shown in words, and says what came of what', async (t) => {
  const product = await withProduct(t)
  product.put({ videoId: 'clip' })
  for (const type of ['UploadStarted', 'PartUploaded', 'UploadCompleted', 'SourceProbed'] as const)
    product.say('clip', type)
  const { page, complaints } = await visit(browser, `${product.url}/v/clip`)
  await page.getByRole('heading', { name: 'Source checked' }).waitFor()
  t.equal(await page.locator('.fact:visible').count(), 3, 'a part is no milestone')
  await page.getByRole('button', { name: 'Every fact' }).click()
  t.equal(await page.locator('.fact:visible').count(), 4)
  await page.getByRole('button', { name: 'because of #3' }).click()
  t.equal(await page.evaluate(() => document.activeElement?.id), 'fact-3')
  await page.getByText('#4 SourceProbed').click()
  t.match(await textOf(page, '#fact-4 pre'), /"codec": "h264"/)
  t.same(complaints, [])
})

t.test('a rejected video says why, with its code', async (t) => {
  const product = await withProduct(t)
  const error = { code: 'NOT_MEDIA', message: 'The file is not a video.' }
  product.put({ ...UNPLAYABLE, videoId: 'notes', status: 'rejected', error })
  product.say('notes', 'UploadCompleted')
  product.say('notes', 'SourceRejected', { code: 'NOT_MEDIA', detail: 'The file is not a video.' })
  const { page, complaints } = await visit(browser, `${product.url}/v/notes`)
  await page.getByText('This video was rejected').waitFor()
  t.match(await textOf(page, '#player'), /The file is not a video\.\s+NOT_MEDIA/)
  t.same(complaints, [])
})

t.test('a video that is not there is told from one that cannot be shown', async (t) => {
  const product = await withProduct(t)
  const { page } = await visit(browser, `${product.url}/v/nowhere`)
  await page.getByText('There is no such video', { exact: true }).waitFor()
  t.match(await textOf(page, '#player'), /VIDEO_NOT_FOUND/)
})

t.test('a private video is asked for with the token of whoever is signed in', async (t) => {
  const product = await withProduct(t)
  product.put({ videoId: 'mine', visibility: 'PRIVATE' })
  const { page, complaints } = await visit(browser, `${product.url}/upload`)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.locator('#drop').waitFor()
  const asked: (string | undefined)[] = []
  page.on('request', (request) => {
    if (request.url().includes('/watch/mine/')) asked.push(request.headers().authorization)
  })
  await page.goto(`${product.url}/v/mine`)
  await recordPlayback(page)
  await play(page)
  await untilPlayedTo(page, 0.5)
  t.ok(asked.length > 3, `${asked.length} requests`)
  t.same(new Set(asked), new Set(['Bearer fake-token']), 'playlists and segments, and no pictures')
  t.same(complaints, [])
})

t.test('everything that can be operated has a name', async (t) => {
  const product = await withProduct(t)
  product.put({ videoId: 'clip', tags: ['sea'], durationMs: 12_000 })
  for (const pathname of ['/', '/upload', '/v/clip']) {
    const { page } = await visit(browser, product.url + pathname)
    await page.locator('[aria-busy="false"], #sign-in:not([hidden])').first().waitFor()
    t.same(await namelessControls(page), [], pathname)
  }
})
