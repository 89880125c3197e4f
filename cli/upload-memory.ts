import { randomUUID } from 'node:crypto'
import { link, mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { hasExpired, isOpenUpload, type OpenUpload, type UploadMemory } from '../ingest/sdk/index.ts'
import { UpstreamError } from '../platform/errors.ts'

/**
 * The uploads that were begun on the command line and have not ended, in one small file: that is how the same command
 * goes on where an earlier one was stopped, by Ctrl-C, by a crash or by kill -9.
 *
 * Only its owner may read it, though no secret is in it: paths are hashed into fingerprints, tokens are not written. It
 * is replaced as a whole, by rename, so whoever dies while writing leaves the old one. Several commands at once take
 * turns by a lock file with a process id in it; one that was left behind by the dead, or that is old, is taken over. A file that cannot be
 * read as ours is replaced: the worst that can be lost is that a file is sent from its beginning.
 */
export const uploadMemoryFile = (stateDir: string): string =>
  path.join(stateDir === '' ? path.join(homedir(), '.local', 'state') : stateDir, 'reelstream', 'uploads.json')

/** @throws UpstreamError STATE_LOCKED, and what the file system throws */
export const fileMemory = (file: string, now: () => number = Date.now): UploadMemory => {
  let turn: Promise<unknown> = Promise.resolve()

  const current = async (): Promise<readonly OpenUpload[]> => {
    const uploads = (await readUploads(file)).filter((upload) => !hasExpired(upload, now()))
    return uploads.sort((a, b) => a.beganAtMs - b.beganAtMs)
  }

  /** One change after the other, in this process and among all. */
  const change = (fingerprint: string, added: readonly OpenUpload[]): Promise<void> => {
    const mine = turn.then(() =>
      locked(file, async () => {
        const others = (await current()).filter((upload) => upload.fingerprint !== fingerprint)
        await writeUploads(file, [...others, ...added])
      }),
    )
    turn = mine.catch(() => undefined)
    return mine
  }

  return {
    all: current,
    recall: async (fingerprint) => (await current()).find((upload) => upload.fingerprint === fingerprint),
    remember: (upload) => change(upload.fingerprint, [upload]),
    forget: (fingerprint) => change(fingerprint, []),
  }
}

const readUploads = async (file: string): Promise<OpenUpload[]> => {
  try {
    const { uploads } = JSON.parse(await readFile(file, 'utf8')) as { uploads?: unknown }
    return Array.isArray(uploads) ? uploads.filter(isOpenUpload) : []
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || error instanceof SyntaxError) return []
    throw error
  }
}

const writeUploads = async (file: string, uploads: readonly OpenUpload[]): Promise<void> => {
  const whole = `${file}.${randomUUID()}`
  try {
    await writeFile(whole, `${JSON.stringify({ uploads }, null, 1)}\n`, { mode: 0o600, flush: true })
    await rename(whole, file)
  } catch (error) {
    await rm(whole, { force: true })
    throw error
  }
}

const LOCK_WITHIN_MS = 5_000
const LOOK_EVERY_MS = 20

const locked = async (file: string, work: () => Promise<void>): Promise<void> => {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 })
  const lock = `${file}.lock`
  const endMs = Date.now() + LOCK_WITHIN_MS
  while (!(await takeLock(lock))) {
    if (Date.now() > endMs) throw new UpstreamError('STATE_LOCKED', `Somebody else holds ${lock}.`)
    await delay(LOOK_EVERY_MS)
  }
  try {
    await work()
  } finally {
    await rm(lock, { force: true })
  }
}

const takeLock = async (lock: string): Promise<boolean> => {
  try {
    const handle = await open(lock, 'wx', 0o600)
    await handle.writeFile(String(process.pid))
    await handle.close()
    return true
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
  if (await isAbandoned(lock)) await clear(lock)
  return false
}

/** A change takes milliseconds. Whoever was cut off before the id was written, or whose id is another's now, is as dead. */
const ABANDONED_AFTER_MS = 30_000

const isAbandoned = async (lock: string): Promise<boolean> => {
  const stats = await stat(lock).catch(() => null)
  if (stats === null) return false
  if (Date.now() - stats.mtimeMs > ABANDONED_AFTER_MS) return true
  const holder = Number(await readFile(lock, 'utf8').catch(() => ''))
  return holder > 0 && !isAlive(holder)
}

/** By renaming, which of several who find it abandoned one alone can. */
const clear = async (lock: string): Promise<void> => {
  const grave = `${lock}.${randomUUID()}`
  try {
    await rename(lock, grave)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw error
  }
  // Somebody was faster, and this is the new lock: it is put back.
  if (!(await isAbandoned(grave))) await link(grave, lock).catch(() => undefined)
  await rm(grave, { force: true })
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // Somebody else's process is alive, too.
    return codeOf(error) !== 'ESRCH'
  }
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code
