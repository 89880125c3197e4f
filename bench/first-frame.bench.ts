import { execFile, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { readConfig } from '../platform/config.ts'
import { launchBrowser, visit } from '../test/e2e/browser.ts'
import { play, recordPlayback, reportPlayback, untilEnded } from '../test/e2e/playback.ts'
import { keep, median } from './table.ts'

/**
 * P2: from UploadCompleted (its time in the log) to the first moving frame in a real Chromium that already shows the
 * page, and whether it then plays to the end without a stall. Needs a product that runs and is otherwise idle.
 */
const RUNS = 5
const SECONDS = 60
const run = promisify(execFile)

export const bench = async (args: readonly string[]): Promise<void> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'reelstream-bench-'))
  const browser = await launchBrowser()
  try {
    const [given] = args
    const clip = given ?? (await makeClip(folder))
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

const makeClip = async (folder: string): Promise<string> => {
  const clip = path.join(folder, 'clip.mp4')
  const picture = ['-f', 'lavfi', '-i', `testsrc2=size=1280x720:rate=25:duration=${SECONDS}`]
  const sound = ['-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=48000:duration=${SECONDS}`]
  const codecs = ['-c:v', 'libx264', '-preset', 'veryfast', '-pix_fmt', 'yuv420p', '-c:a', 'aac']
  await run('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...picture, ...sound, ...codecs, clip])
  return clip
}

const watchGrowing = async (browser: Awaited<ReturnType<typeof launchBrowser>>, clip: string) => {
  const { webUrl, apiUrl, token } = await runFile()
  const cli = path.join(import.meta.dirname, '..', 'cli', 'main.ts')
  const upload = spawn(process.execPath, [cli, 'upload', clip, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const videoId = await firstVideoId(upload.stdout)
  const { page, close } = await visit(browser, `${webUrl}/v/${videoId}`)
  await recordPlayback(page)
  await play(page)
  await untilEnded(page, 240_000)
  const { movedAtMs, waits, totalFrames, errors } = await reportPlayback(page)
  await close()
  const response = await fetch(`${apiUrl}/videos/${videoId}/history?limit=200`, {
    headers: { authorization: `Bearer ${token}` },
  })
  const { items } = (await response.json()) as { items: readonly { type: string; recordedAt: string }[] }
  const completedAt = Date.parse(items.find(({ type }) => type === 'UploadCompleted')?.recordedAt ?? '')
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

const runFile = async () =>
  JSON.parse(await readFile(path.join(readConfig().dataDir, 'run.json'), 'utf8')) as {
    readonly webUrl: string
    readonly apiUrl: string
    readonly token: string
  }
