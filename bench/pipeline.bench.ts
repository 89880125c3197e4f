import { execFile } from 'node:child_process'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { RunFile } from '../local/run-file.ts'
import { UpstreamError } from '../platform/errors.ts'
import { CLI, type Fact, ffmpeg, historyOf, makeClip, runningProduct } from './product.ts'
import { keep, median } from './table.ts'
import { withTemporaryFolder } from './temporary-folder.ts'

/**
 * P1: from UploadCompleted to ready, against one bare FFmpeg process that makes the same ladder and the same sound from
 * the same file. Interleaved pairs; needs a product that runs (`npm start`) and is otherwise idle.
 */
const PAIRS = 5
const SECONDS = 60
const run = promisify(execFile)

export const bench = (): Promise<void> =>
  withTemporaryFolder(async (folder) => {
    const clip = await makeClip(folder, SECONDS)
    const bare: number[] = []
    const ours: number[] = []
    const playable: number[] = []
    for (let pair = 0; pair < PAIRS; pair++) {
      bare.push(await bareLadder(clip, path.join(folder, `bare-${pair}`)))
      const { readyMs, playableMs } = await throughProduct(clip)
      ours.push(readyMs)
      playable.push(playableMs)
    }
    const series = (values: readonly number[]) => values.map((ms) => (ms / 1000).toFixed(2)).join(' ')
    keep('pipeline', [
      `${SECONDS} s of 1280x720 at 25 fps, ${PAIRS} interleaved pairs, seconds.`,
      '',
      '| | median | series |',
      '|---|---|---|',
      `| bare single-process FFmpeg ladder | ${(median(bare) / 1000).toFixed(2)} | ${series(bare)} |`,
      `| UploadCompleted → ready | ${(median(ours) / 1000).toFixed(2)} | ${series(ours)} |`,
      `| UploadCompleted → first playable playlist | ${(median(playable) / 1000).toFixed(2)} | ${series(playable)} |`,
      `| ready ÷ bare | ${(median(ours) / median(bare)).toFixed(3)} | |`,
    ])
  })

/** The chained ladder of media/ladder.yml as one shell command would have it, written to disk. */
const bareLadder = async (clip: string, out: string): Promise<number> => {
  const rung = (pad: string, rate: string, buffer: string, file: string) => [
    ...['-map', pad, '-c:v', 'libx264', '-profile:v', 'high', '-preset', 'veryfast', '-crf', '23'],
    ...[
      '-maxrate',
      rate,
      '-bufsize',
      buffer,
      '-g',
      '50',
      '-keyint_min',
      '50',
      '-sc_threshold',
      '0',
      '-pix_fmt',
      'yuv420p',
    ],
    ...['-movflags', '+cmaf+dash+delay_moov+skip_sidx+frag_keyframe', '-f', 'mp4', `${out}-${file}.mp4`],
  ]
  const started = performance.now()
  await ffmpeg(
    ...['-i', clip, '-filter_complex'],
    '[0:v]scale=1280:720,split[v0][t];[t]scale=854:480,split[v1][u];[u]scale=320:180[v2]',
    ...rung('[v0]', '2800k', '4200k', '720'),
    ...rung('[v1]', '1200k', '1800k', '480'),
    ...rung('[v2]', '200k', '300k', '180'),
    ...['-map', '0:a', '-c:a', 'aac', '-b:a', '128k', '-ac', '2', `${out}-audio.mp4`],
  )
  return performance.now() - started
}

const throughProduct = async (clip: string): Promise<{ readyMs: number; playableMs: number }> => {
  const product = await runningProduct()
  const { stdout } = await run(process.execPath, [CLI, 'upload', clip, '--wait', '--json'], {
    maxBuffer: 64 * 1024 * 1024,
  })
  const { videoId } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') as { videoId: string }
  const facts = await settledHistory(product, videoId)
  const at = (what: string, found: (fact: Fact) => boolean): number => {
    const fact = facts.find(found)
    if (fact === undefined) throw new UpstreamError('BENCH_INCOMPLETE', `the history of ${videoId} has no ${what}`)
    return Date.parse(fact.recordedAt)
  }
  const completed = at('UploadCompleted', ({ type }) => type === 'UploadCompleted')
  return {
    readyMs:
      at('complete PlaylistPublished', ({ type, body }) => type === 'PlaylistPublished' && body.complete === true) -
      completed,
    playableMs: at('PlaylistPublished', ({ type }) => type === 'PlaylistPublished') - completed,
  }
}

/** Waits for the thumbnails, too: the next measurement must not share the cores with what is left of this one. */
const settledHistory = async (product: RunFile, videoId: string): Promise<readonly Fact[]> => {
  for (let tries = 0; tries < 300; tries++) {
    const facts = await historyOf(product, videoId)
    if (facts.some(({ type }) => type === 'ThumbnailsExtracted')) return facts
    await delay(100)
  }
  throw new UpstreamError('BENCH_INCOMPLETE', `the history of ${videoId} has no ThumbnailsExtracted after 30 s`)
}
