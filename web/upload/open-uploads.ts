/**
 * The uploads of this browser that were begun and have not ended: remembered in localStorage, one list per author, so
 * that a reload, a crash or a closed tab loses nothing but the file at hand.
 *
 * What runs in another tab holds a lock named after the file (Web Locks; they end with their tab), so it is neither
 * shown as interrupted here nor sent twice.
 */
import { fingerprintOf, type OpenUpload, storageMemory, type UploadMemory } from '../../ingest/sdk/index.ts'
import { getUpload, ProblemError } from '../api-client.ts'

export const memoryOf = (authorId: string): UploadMemory =>
  storageMemory(() => localStorage, `reelstream.upload.${authorId}.`)

/** What a file is known by here: its details are remembered with it, so they need not be asked for again. */
export const fingerprintOfFile = (file: File): Promise<string> => fingerprintOf(file, file.type)

const lockOf = (fingerprint: string): string => `reelstream.upload.${fingerprint}`

/** A tab that was just closed lets go of its lock a moment later. */
const LOCK_WITHIN_MS = 2_000

/** Runs the work while no other tab works on the same file. @throws ProblemError ALREADY_UPLOADING */
export const alone = async <T>(fingerprint: string, work: () => Promise<T>): Promise<T> => {
  const signal = AbortSignal.timeout(LOCK_WITHIN_MS)
  let hasBegun = false
  try {
    return await navigator.locks.request(lockOf(fingerprint), { signal }, () => {
      hasBegun = true
      return work()
    })
  } catch (error) {
    if (hasBegun || !signal.aborted) throw error
    throw new ProblemError('ALREADY_UPLOADING', 0, 'This file is being uploaded in another tab.')
  }
}

export interface Interrupted {
  readonly upload: OpenUpload
  /** As the log has it; `completed` when only the end was missed. */
  readonly status: 'open' | 'completed'
  readonly storedBytes: number
}

/** What can be gone on with, oldest first. What the server has ended or never heard of is forgotten on the way. */
export const interruptedUploads = async (memory: UploadMemory): Promise<readonly Interrupted[]> => {
  const { held = [] } = await navigator.locks.query()
  const running = new Set(held.map(({ name }) => name))
  const uploads = (await memory.all()).filter(({ fingerprint }) => !running.has(lockOf(fingerprint)))
  const found = await Promise.all(uploads.map((upload) => asRecorded(upload, memory)))
  return found.filter((upload) => upload !== null)
}

const asRecorded = async (upload: OpenUpload, memory: UploadMemory): Promise<Interrupted | null> => {
  if (upload.uploadId === null) return { upload, status: 'open', storedBytes: 0 }
  try {
    const { status, storedBytes } = await getUpload(upload.uploadId)
    if (status === 'open') return { upload, status, storedBytes }
    await memory.forget(upload.fingerprint)
    return status === 'completed' ? { upload, status, storedBytes } : null
  } catch (error) {
    if (!(error instanceof ProblemError && error.status === 404)) throw error
    await memory.forget(upload.fingerprint)
    return null
  }
}
