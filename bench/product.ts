import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { type RunFile, readRunFile } from '../local/run-file.ts'
import { readConfig } from '../platform/config.ts'
import { UpstreamError } from '../platform/errors.ts'

/** The product that a bench measures: running, of this DATA_DIR, and otherwise idle. */
export const CLI = path.join(import.meta.dirname, '..', 'cli', 'main.ts')

const run = promisify(execFile)

/** @throws UpstreamError NOT_RUNNING */
export const runningProduct = async (): Promise<RunFile> => {
  const found = await readRunFile(readConfig().dataDir)
  if (found !== undefined) return found
  throw new UpstreamError('NOT_RUNNING', 'The bench needs a product that runs: start it with npm start.')
}

export const ffmpeg = (...args: readonly string[]) => run('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...args])

/** 1280x720 at 25 fps with a tone, made in the folder. */
export const makeClip = async (folder: string, seconds: number): Promise<string> => {
  const clip = path.join(folder, 'clip.mp4')
  await ffmpeg(
    ...['-f', 'lavfi', '-i', `testsrc2=size=1280x720:rate=25:duration=${seconds}`],
    ...['-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=48000:duration=${seconds}`],
    ...['-c:v', 'libx264', '-preset', 'veryfast', '-pix_fmt', 'yuv420p', '-c:a', 'aac', clip],
  )
  return clip
}

export interface Fact {
  readonly type: string
  readonly recordedAt: string
  readonly body: { readonly complete?: boolean; readonly track?: string }
}

export const historyOf = async ({ apiUrl, token }: RunFile, videoId: string): Promise<readonly Fact[]> => {
  const headers = { authorization: `Bearer ${token}` }
  const response = await fetch(`${apiUrl}/videos/${videoId}/history?limit=200`, { headers })
  return ((await response.json()) as { items: readonly Fact[] }).items
}
