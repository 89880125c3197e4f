/**
 * A person with a browser, and the whole product: signs in, uploads from the page, watches while the rest is still
 * being encoded, and comes back on a slow line.
 */
import type { Browser } from 'playwright-core'
import t from 'tap'
import type { Video } from '../../web/api-client.ts'
import { launchBrowser, visit } from './browser.ts'
import { clipFolder, textClip, videoClip } from './clips.ts'
import { createThrottle, play, ranDry, recordPlayback, reportPlayback, untilEnded } from './playback.ts'
import { type RunFile, settledVideo, startProduct } from './product.ts'

/** Long enough for every pace at which playlists grow. */
const CLIP_SECONDS = 40
const FRAMES_A_SECOND = 25
const LEVELS = ['320x180', '854x480', '1280x720']

t.test('somebody uploads and watches', async (t) => {
  const product = await startProduct(t)
  const { webUrl, s3Endpoint } = await product.run()
  const folder = await clipFolder(t)
  const browser: Browser = await launchBrowser()
  t.teardown(() => browser.close())
  const uploading = await visit(browser, `${webUrl}/upload`, { allowedOrigins: [new URL(s3Endpoint).origin] })
  const { page: form } = uploading
  let watchUrl = ''

  await t.test('the upload page signs in, sends the file and offers the video as soon as it plays', async (t) => {
    await form.getByRole('button', { name: 'Sign in' }).click()
    await form.locator('#drop').waitFor()
    await form.locator('#file').setInputFiles(await videoClip(folder, CLIP_SECONDS))
    await form.getByLabel('Title').fill('Test pattern')
    await form.getByLabel('Tags').fill('Pattern, test')
    await form.getByRole('button', { name: 'Upload', exact: true }).click()
    const link = form.getByRole('link', { name: 'Watch it now' })
    await link.waitFor({ timeout: 60_000 })
    watchUrl = new URL((await link.getAttribute('href')) ?? '', webUrl).href
    t.same(uploading.complaints, [])
  })

  const videoId = watchUrl.split('/').at(-1) ?? ''
  const first = await visit(browser, watchUrl)

  await t.test('playback begins before the encode has ended, and reaches the end', async (t) => {
    await recordPlayback(first.page)
    await play(first.page)
    await untilEnded(first.page, 120_000)
    const { movedAtMs, errors, ...report } = await reportPlayback(first.page)
    const { readyAt, status } = (await settledVideo(product, videoId)) as unknown as Video & { readyAt: string }
    t.equal(status, 'ready')
    t.ok((movedAtMs ?? Number.POSITIVE_INFINITY) < Date.parse(readyAt), 'it played before it was ready')
    t.equal(report.bufferedRanges, 1)
    t.same(
      errors.filter((error) => error.includes('fatal')),
      [],
    )
    t.same(report.levels, LEVELS)
    const speed = await encodingSpeed(await product.run(), videoId)
    t.comment(
      `encoded at ${speed.toFixed(2)} x; ${JSON.stringify(report.stalls)} stalls; ${errors.join('; ') || 'no errors'}`,
    )
    if (speed >= SPEED_THAT_FEEDS_A_VIEWER) t.same(ranDry(report), [], 'what was to be played was there in time')
    else t.pass('the viewer is fed', { skip: `this machine encodes at ${speed.toFixed(2)} x real time` })
    t.same(first.complaints, [])
  })

  await t.test('the upload page and the watch page saw every step', async (t) => {
    for (const page of [form, first.page]) {
      await page.locator('[data-step="ready"].done').waitFor({ timeout: 60_000 })
      t.equal(await page.locator('.steps .done').count(), 6)
    }
    await first.page.getByRole('heading', { name: 'Ready, to the last frame' }).waitFor()
    t.same(await first.page.locator('#rendition-rows th').allTextContents(), ['720p', '480p', '180p', 'aac'])
    await first.close()
  })

  await t.test('a ready video plays every frame: no error, no stall, one buffered range', async (t) => {
    const { page, complaints, close } = await visit(browser, watchUrl)
    await recordPlayback(page)
    await play(page)
    await untilEnded(page, 60_000)
    const report = await reportPlayback(page)
    t.same(report.errors, [])
    t.same(ranDry(report), [])
    t.equal(report.bufferedRanges, 1)
    t.equal(report.totalFrames, CLIP_SECONDS * FRAMES_A_SECOND)
    t.same(complaints, [])
    await close()
  })

  await t.test('the level follows the bandwidth', async (t) => {
    const { page, complaints, close } = await visit(browser, webUrl)
    const throttle = await createThrottle(page)
    await throttle({ downloadBps: 4_000_000 })
    await page.getByRole('link', { name: 'Test pattern' }).click()
    await page.waitForURL(watchUrl)
    await recordPlayback(page)
    await play(page)
    await page.waitForFunction(() => window.notes?.switches.includes('1280x720'))
    await throttle({ downloadBps: 300_000 })
    await page.waitForFunction(() => window.notes?.switches.at(-1) !== '1280x720', undefined, { timeout: 30_000 })
    t.comment((await reportPlayback(page)).switches.join(' → '))
    t.same(complaints, [])
    await close()
  })

  await t.test('a text file in the clothes of a video is refused in words, with a code', async (t) => {
    await form.locator('#file').setInputFiles(await textClip(folder, 'notes.mp4', 'Dear diary, this is no video.'))
    await form.getByRole('button', { name: 'Upload', exact: true }).click()
    await form.locator('.upload-row').getByText('NOT_MEDIA').waitFor({ timeout: 60_000 })
    await form.locator('[data-step="checked"].failed').waitFor()
    t.same(uploading.complaints, [])
  })
})

/** What processors/publish-playlist/growth.test.ts promises a viewer's supply for. */
const SPEED_THAT_FEEDS_A_VIEWER = 1.25

interface SegmentsFact {
  readonly type: string
  readonly recordedAt: string
  readonly body: {
    readonly track: string
    readonly renditions: readonly {
      readonly init: { readonly timescale: number }
      readonly segments: readonly { readonly durationTicks: number }[]
    }[]
  }
}

/** The encoder's speed since its first segment, as a multiple of real time, where it was lowest. */
const encodingSpeed = async ({ apiUrl, token }: RunFile, videoId: string): Promise<number> => {
  const headers = { authorization: `Bearer ${token}` }
  const response = await fetch(`${apiUrl}/videos/${videoId}/history?limit=200`, { headers })
  const { items } = (await response.json()) as { items: readonly SegmentsFact[] }
  const [first, ...later] = items.filter(({ type, body }) => type === 'SegmentsTranscoded' && body.track === 'video')
  const beganAtMs = Date.parse(first?.recordedAt ?? '')
  let encodedMs = 0
  const speeds = later.map(({ recordedAt, body: { renditions } }) => {
    const [largest] = renditions
    encodedMs += ((largest?.segments[0]?.durationTicks ?? 0) * 1000) / (largest?.init.timescale ?? 1)
    return encodedMs / (Date.parse(recordedAt) - beganAtMs)
  })
  return Math.min(...speeds)
}
