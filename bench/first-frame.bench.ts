import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { launchBrowser, visit } from '../test/e2e/browser.ts'
import { play, recordPlayback, reportPlayback, untilEnded } from '../test/e2e/playback.ts'
import { CLI, historyOf, makeClip, runningProduct } from './product.ts'
import { keep, median } from './table.ts'

/**
 * P2: from UploadCompleted (its time in the log) to the first moving frame in a real Chromium that already shows the
 * page, and whether it then plays to the end without a stall. Needs a product that runs and is otherwise idle.
 */
const RUNS = 5
const SECONDS = 60

export const bench = async (args: readonly string[]): Promise<void> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'reelstream-bench-'))
  const browser = await launchBrowser()
  try {
    const [given] = args
    const clip = given ?? (await makeClip(folder, SECONDS))
    const runs = []
    for (let n = 0; n < RUNS; n++) runs.push(await watchGrowing(browser, clip))
    const rows = runs.map(
      (one, n) => `| ${n + 1} | ${one.firstFrameMs} | ${one.stalls} | ${one.frames} | ${one.errors} |`,
    )
    keep(given === undefined ? 'first-frame' : `first-frame-${path.parse(given).name}`, [
      `${given === undefined ? `${SECONDS} s of 1280x720 at 25 fps (lavfi)` : path.basename(given)}, encoded beside the browser on the same cores.`,
      '',
      '| run | UploadCompleted → first frame, ms | stalls to the end | frames shown | errors of hls.js |',
      '|---|---|---|---|---|',
      ...rows,
      '',
      `Median to the first frame: ${median(runs.map(({ firstFrameMs }) => firstFrameMs))} ms.`,
    ])
  } finally {
    await browser.close()
    await rm(folder, { recursive: true, force: true })
  }
}

const watchGrowing = async (browser: Awaited<ReturnType<typeof launchBrowser>>, clip: string) => {
  const product = await runningProduct()
  const upload = spawn(process.execPath, [CLI, 'upload', clip, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const videoId = await firstVideoId(upload.stdout)
  const { page, close } = await visit(browser, `${product.webUrl}/v/${videoId}`)
  await recordPlayback(page)
  await play(page)
  await untilEnded(page, 240_000)
  const { movedAtMs, waits, totalFrames, errors } = await reportPlayback(page)
  await close()
  const facts = await historyOf(product, videoId)
  const completedAt = Date.parse(facts.find(({ type }) => type === 'UploadCompleted')?.recordedAt ?? '')
  return {
    firstFrameMs: (movedAtMs ?? Number.NaN) - completedAt,
    stalls: waits,
    frames: totalFrames,
    errors: errors.length,
  }
}

/** The id is in the first line; the rest is read too, or the upload would end for want of a reader. */
const firstVideoId = (lines: NodeJS.ReadableStream): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = ''
    lines.on('data', (chunk) => {
      text += String(chunk)
      const found = /"videoId":"([^"]+)"/.exec(text)?.[1]
      if (found !== undefined) resolve(found)
    })
    lines.on('end', () => reject(new RangeError(`the upload named no video: ${text}`)))
  })
