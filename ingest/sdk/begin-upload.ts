import { asUploadError, UploadError } from './errors.ts'
import { hasExpired, type OpenUpload, type UploadMemory } from './memory.ts'
import { isRefusal, requestJson, type Server } from './requests.ts'
import type { CreatedUpload, UploadDetails } from './types.ts'

/**
 * How an upload begins, and how it goes on: both are the same create. The key names the upload, so whoever comes with
 * a key that was used before is told of the upload that it made, in whatever state that is.
 *
 * With a memory, the key is written down BEFORE the server hears of it: whatever dies after that, the next attempt comes
 * with the same key. A remembered key that is of no use any more (its upload was given up or has expired, or it was for
 * other details) is forgotten, and the upload begins anew. So is what the server refused to begin: other details may help,
 * and whoever is asked for them must not be told that there is an upload already.
 */
export interface UploadAnswer extends CreatedUpload {
  readonly status: 'open' | 'completed' | 'aborted'
  readonly partSizeBytes: number
  /** Null while the length is not known. */
  readonly partCount: number | null
  readonly uploadToken: string
  /** Nobody has come with this key before: nothing can be stored. */
  readonly isNew: boolean
}

export interface Beginning {
  readonly server: Server
  readonly signal: AbortSignal
  readonly details: UploadDetails
  /** Null = not known. */
  readonly sizeBytes: number | null
  readonly memory: UploadMemory
  readonly fingerprint: string
  /** Used when nothing is remembered; by default a new one. */
  readonly idempotencyKey: string | undefined
  /** Told of the key before the server is. */
  onKey(idempotencyKey: string): void
}

/** @throws UploadError */
export const beginUpload = async (beginning: Beginning): Promise<UploadAnswer> => {
  const { memory, fingerprint, idempotencyKey } = beginning
  const remembered = idempotencyKey === undefined ? await memory.recall(fingerprint) : undefined
  if (remembered !== undefined) {
    const answer = await createAgain(beginning, remembered)
    if (answer !== undefined) return { ...answer, isNew: false }
    await memory.forget(fingerprint)
  }
  const answer = await create(beginning, openUpload(beginning))
  return { ...answer, isNew: idempotencyKey === undefined }
}

const openUpload = ({ fingerprint, idempotencyKey, details, sizeBytes }: Beginning): OpenUpload => ({
  fingerprint,
  idempotencyKey: idempotencyKey ?? crypto.randomUUID(),
  uploadId: null,
  details,
  sizeBytes: sizeBytes ?? 0,
  beganAtMs: Date.now(),
  expiresAtMs: null,
})

/** Undefined when the remembered key leads nowhere. */
const createAgain = async (beginning: Beginning, remembered: OpenUpload): Promise<Created | undefined> => {
  if (hasExpired(remembered, Date.now())) return undefined
  try {
    const answer = await create(beginning, remembered)
    return answer.status === 'aborted' ? undefined : answer
  } catch (error) {
    if (asUploadError(error).code === 'IDEMPOTENCY_KEY_REUSED') return undefined
    throw error
  }
}

type Created = Omit<UploadAnswer, 'isNew'>

const create = async (beginning: Beginning, upload: OpenUpload): Promise<Created> => {
  const { server, signal, details, sizeBytes, memory, onKey } = beginning
  onKey(upload.idempotencyKey)
  await memory.remember(upload)
  const headers = { 'idempotency-key': upload.idempotencyKey }
  const body = { ...details, ...(sizeBytes === null ? {} : { sizeBytes }) }
  const asked = requestJson<Created>(server, '/uploads', { method: 'POST', headers, body, signal })
  const answer = await asked.catch(async (error: unknown) => {
    if (upload.uploadId === null && isRefusal(asUploadError(error))) await memory.forget(upload.fingerprint)
    throw error
  })
  await memory.remember({ ...upload, uploadId: answer.uploadId, expiresAtMs: answer.expiresAtMs })
  return answer
}

/** For uploads that nobody wants to go on with. */
export const noMemory: UploadMemory = {
  recall: async () => undefined,
  remember: async () => undefined,
  forget: async () => undefined,
  all: async () => [],
}

/**
 * A memory that fails must not fail the upload: it goes on as one that cannot be resumed, and says so, once.
 */
export const tolerant = (memory: UploadMemory, onFailure: (error: UploadError) => void): UploadMemory => {
  let hasFailed = false
  const tried = async <T>(call: () => Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await call()
    } catch (error) {
      if (!hasFailed) {
        onFailure(new UploadError('MEMORY_FAILED', 'This upload cannot be resumed later.', null, error))
      }
      hasFailed = true
      return otherwise
    }
  }
  return {
    recall: (fingerprint) => tried(() => memory.recall(fingerprint), undefined),
    remember: (upload) => tried(() => memory.remember(upload), undefined),
    forget: (fingerprint) => tried(() => memory.forget(fingerprint), undefined),
    all: () => tried(() => memory.all(), []),
  }
}
