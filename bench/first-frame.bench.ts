import { openAsBlob } from 'node:fs'
import { loadavg } from 'node:os'
import path from 'node:path'
import { createUpload, type UploadSource } from '../ingest/sdk/index.ts'
import { launchBrowser, visit } from '../test/e2e/browser.ts'
import { play, ranDry, recordPlayback, reportPlayback, untilEnded } from '../test/e2e/playback.ts'
import { type Fact, historyOf, makeClip, runningProduct } from './product.ts'
import { keep, median } from './table.ts'
import { withTemporaryFolder } from './temporary-folder.ts'

/**
 * P2: from UploadCompleted (its time in the log) to the first moving frame in a real Chromium that already shows the
 * page, hop by hop, and whether it then plays to the end without running dry. Browser and encoder share the machine;
 * the product must otherwise be idle. All clocks are this machine's.
 *
 *     npm run bench -- first-frame [file] [runs]
 */
const RUNS = 5
const SECONDS = 60

export const bench = ([given, runs = String(RUNS)]: readonly string[]): Promise<void> =>
  withTemporaryFolder(async (folder) => {
    const browser = await launchBrowser()
    try {
      const clip = given ?? (await makeClip(folder, SECONDS))
      const views: View[] = []
      for (let n = 0; n < Number(runs); n++) views.push(await watchGrowing(browser, clip))
      keep(given === undefined ? 'first-frame' : `first-frame-${path.parse(given).name}`, report(clip, given, views))
    } finally {
      await browser.close()
    }
  })

/** What happens until a frame moves, in this order; milliseconds since UploadCompleted. */
const HOPS = [
  'last byte confirmed',
  'SourceProbed',
  'TranscodePlanned',
  'first SegmentsTranscoded of the picture',
  'PlaylistPublished',
  'the page asks for the master',
  'the page has its first segment',
  'second frame shown',
] as const

interface View {
  readonly hops: Readonly<Record<(typeof HOPS)[number], number>>
  readonly load: number
  readonly stalls: number
  readonly dry: number
  readonly frames: number
  readonly errors: number
}

const watchGrowing = async (browser: Awaited<ReturnType<typeof launchBrowser>>, clip: string): Promise<View> => {
  const [load = Number.NaN] = loadavg()
  const product = await runningProduct()
  const pageIsOpen = Promise.withResolvers<void>()
  const upload = createUpload(sourceAfter(pageIsOpen.promise, await openAsBlob(clip)), {
    gatewayUrl: product.gatewayUrl,
    token: product.token,
    details: { title: path.basename(clip), visibility: 'PUBLIC' },
  })
  let lastByteAtMs = Number.NaN
  upload.on('state', (state) => {
    if (state === 'completing') lastByteAtMs = Date.now()
  })
  const { videoId } = await new Promise<{ videoId: string }>((resolve) => upload.on('created', resolve))
  const { page, close } = await visit(browser, `${product.webUrl}/v/${videoId}`)
  await page.getByText('Still being uploaded').waitFor()
  pageIsOpen.resolve()
  await recordPlayback(page)
  await play(page)
  await untilEnded(page, 600_000)
  const playback = await reportPlayback(page)
  const requests = await page.evaluate(() =>
    performance.getEntriesByType('resource').map((entry) => {
      const { name, startTime, responseEnd } = entry as PerformanceResourceTiming
      return { name, askedAtMs: performance.timeOrigin + startTime, hadAtMs: performance.timeOrigin + responseEnd }
    }),
  )
  await close()
  await upload.done
  const facts = await historyOf(product, videoId)
  const completedAtMs = timeOf(facts, ({ type }) => type === 'UploadCompleted')
  const moments = [
    lastByteAtMs,
    timeOf(facts, ({ type }) => type === 'SourceProbed'),
    timeOf(facts, ({ type }) => type === 'TranscodePlanned'),
    timeOf(facts, ({ type, body }) => type === 'SegmentsTranscoded' && body.track === 'video'),
    timeOf(facts, ({ type }) => type === 'PlaylistPublished'),
    requests.find(({ name }) => name.endsWith('/master.m3u8'))?.askedAtMs ?? Number.NaN,
    requests.find(({ name }) => name.endsWith('/00000.m4s'))?.hadAtMs ?? Number.NaN,
    playback.movedAtMs ?? Number.NaN,
  ]
  const { stalls, totalFrames: frames, errors } = playback
  return {
    hops: Object.fromEntries(
      HOPS.map((hop, i) => [hop, Math.round((moments[i] ?? Number.NaN) - completedAtMs)]),
    ) as View['hops'],
    load,
    stalls: stalls.length,
    dry: ranDry(playback).length,
    frames,
    errors: errors.length,
  }
}

/** The file, of which nothing is read before `ready`. */
const sourceAfter = (ready: Promise<void>, file: Blob): UploadSource => ({
  size: file.size,
  name: 'clip.mp4',
  type: 'video/mp4',
  slice: (start, end) => ({
    async arrayBuffer() {
      await ready
      return file.slice(start, end).arrayBuffer()
    },
  }),
})

const timeOf = (facts: readonly Fact[], found: (fact: Fact) => boolean): number =>
  Date.parse(facts.find(found)?.recordedAt ?? '')

const report = (clip: string, given: string | undefined, views: readonly View[]): readonly string[] => {
  const what = given === undefined ? `${SECONDS} s of 1280x720 at 25 fps (lavfi)` : path.basename(clip)
  return [
    `${what}, encoded beside the browser on the same cores. Milliseconds since UploadCompleted.`,
    '',
    '| until | median | series |',
    '|---|---|---|',
    ...HOPS.map((hop) => {
      const series = views.map(({ hops }) => hops[hop])
      return `| ${hop} | ${median(series)} | ${series.join(' ')} |`
    }),
    '',
    '| run | load before | stalls | of these for want of video | frames shown | errors of hls.js |',
    '|---|---|---|---|---|---|',
    ...views.map(
      ({ load, stalls, dry, frames, errors }, n) =>
        `| ${n + 1} | ${load.toFixed(2)} | ${stalls} | ${dry} | ${frames} | ${errors} |`,
    ),
  ]
}
