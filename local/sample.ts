import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { BugError, UpstreamError } from '../platform/errors.ts'
import { runToEnd } from './child.ts'

/** What the sample is called in the catalogue. */
export const SAMPLE_TITLE = 'Sample: moving test pattern'

const SAMPLE_SECONDS = 20

/** ffmpeg's arguments for a picture that moves in every part, with a tone: what a first page needs to have something to play. */
export const sampleArguments = (output: string): string[] => [
  ...['-hide_banner', '-loglevel', 'error', '-y'],
  ...['-f', 'lavfi', '-i', `testsrc2=size=1280x720:rate=25:duration=${SAMPLE_SECONDS}`],
  ...['-f', 'lavfi', '-i', `sine=frequency=440:beep_factor=4:sample_rate=48000:duration=${SAMPLE_SECONDS}`],
  ...['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '23', '-pix_fmt', 'yuv420p', '-g', '50'],
  ...['-c:a', 'aac', '-b:a', '96k', '-ac', '2', '-movflags', '+faststart', output],
]

/** Makes the sample, hands it to `use`, and removes it. @throws UpstreamError CHILD_FAILED when ffmpeg fails */
export const withSample = async (ffmpegPath: string, use: (file: string) => Promise<void>): Promise<void> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'reelstream-sample-'))
  try {
    const file = path.join(folder, 'sample.mp4')
    await runToEnd(ffmpegPath, sampleArguments(file))
    await use(file)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/**
 * Whether the catalogue has no video at all.
 * @throws UpstreamError CATALOGUE_UNAVAILABLE when the API does not answer; BugError when it answers something else
 */
export const isCatalogueEmpty = async (apiUrl: string): Promise<boolean> => {
  const response = await fetch(`${apiUrl}/videos?limit=1`, { headers: { accept: 'application/json' } })
  if (!response.ok) throw new UpstreamError('CATALOGUE_UNAVAILABLE', `GET /videos answered ${response.status}`)
  const body = (await response.json()) as unknown
  const list = Array.isArray(body) ? body : Object.values(body as Record<string, unknown>).find(Array.isArray)
  if (!Array.isArray(list)) throw new BugError('CATALOGUE_SHAPE', 'expected GET /videos to hold an array of videos')
  return list.length === 0
}
