import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'

const run = promisify(execFile)

/** A folder of test clips, made with ffmpeg's own sources, removed when the test ends. */
export const clipFolder = async (t: Test): Promise<string> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'reelstream-clips-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** 1280x720, 25 fps, moving picture and a tone; every `seed` is another file. */
export const videoClip = async (folder: string, seconds: number, seed = 0): Promise<string> => {
  const file = path.join(folder, `clip-${seconds}s-${seed}.mp4`)
  await ffmpeg(
    ...['-f', 'lavfi', '-i', `testsrc2=size=1280x720:rate=25:duration=${seconds}`],
    ...['-f', 'lavfi', '-i', `sine=frequency=${440 + seed}:sample_rate=48000:duration=${seconds}`],
    ...['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-shortest', file],
  )
  return file
}

export const soundClip = async (folder: string): Promise<string> => {
  const file = path.join(folder, 'sound.mp4')
  await ffmpeg('-f', 'lavfi', '-i', 'sine=frequency=440:duration=2', '-c:a', 'aac', file)
  return file
}

export const textClip = async (folder: string, name: string, text: string): Promise<string> => {
  const file = path.join(folder, name)
  await writeFile(file, text)
  return file
}

const ffmpeg = async (...args: readonly string[]): Promise<void> => {
  await run('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...args])
}
