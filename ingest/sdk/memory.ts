import type { UploadDetails } from './types.ts'

/**
 * An upload that was begun and has not ended: all that is needed to go on with it, as long as the file is at hand.
 * Holds no secret; `details` is what people wrote.
 */
export interface OpenUpload {
  /** Of the file and of whatever else makes it the same upload (fingerprintOf). */
  readonly fingerprint: string
  /** The same key is the same upload. */
  readonly idempotencyKey: string
  /** Null until the server has answered for the first time. */
  readonly uploadId: string | null
  /** As they were sent: a key that is used again must come with the same ones. */
  readonly details: UploadDetails
  readonly sizeBytes: number
  /** Milliseconds since 1970. */
  readonly beganAtMs: number
  /** When the server gives it up; null until it has answered. */
  readonly expiresAtMs: number | null
}

/**
 * Where open uploads outlive the page or the process. A port: `storageMemory` keeps them in a browser, the command
 * line in a file. One entry per fingerprint, whole or not at all; the last `remember` wins. Entries that have expired
 * are not given out. Methods may reject: the upload then goes on and says `unremembered`.
 */
export interface UploadMemory {
  recall(fingerprint: string): Promise<OpenUpload | undefined>
  remember(upload: OpenUpload): Promise<void>
  /** Without effect when there is none. */
  forget(fingerprint: string): Promise<void>
  /** Oldest first. */
  all(): Promise<readonly OpenUpload[]>
}

/** No server keeps an upload open for longer (UPLOAD_EXPIRY_HOURS), so one that never had an answer is of no use then. */
const LONGEST_LIFE_MS = 30 * 24 * 3_600_000

/** Whether the server has given the upload up by now. */
export const hasExpired = ({ beganAtMs, expiresAtMs }: OpenUpload, nowMs: number): boolean =>
  nowMs > (expiresAtMs ?? beganAtMs + LONGEST_LIFE_MS)

/**
 * A memory in a browser's localStorage (or sessionStorage). One item per upload, so tabs do not overwrite each other.
 * @param prefix of the item names; one per author keeps their uploads apart
 * @throws what the storage throws: SecurityError where it is switched off, QuotaExceededError where it is full
 */
export const storageMemory = (
  storage: () => Pick<Storage, 'length' | 'key' | 'getItem' | 'setItem' | 'removeItem'>,
  prefix = 'reelstream.upload.',
  now: () => number = Date.now,
): UploadMemory => {
  const read = (name: string): OpenUpload | undefined => {
    const upload = parsed(storage().getItem(name))
    if (upload !== undefined && !hasExpired(upload, now())) return upload
    storage().removeItem(name)
    return undefined
  }
  const names = (): readonly string[] => {
    const items = storage()
    const all = Array.from({ length: items.length }, (_, i) => items.key(i) ?? '')
    return all.filter((name) => name.startsWith(prefix))
  }
  return {
    recall: async (fingerprint) => read(prefix + fingerprint),
    remember: async (upload) => storage().setItem(prefix + upload.fingerprint, JSON.stringify(upload)),
    forget: async (fingerprint) => storage().removeItem(prefix + fingerprint),
    all: async () =>
      names()
        .map(read)
        .filter((upload) => upload !== undefined)
        .sort((a, b) => a.beganAtMs - b.beganAtMs),
  }
}

/** Anything else under our prefix is somebody's mistake, or of a version to come: it is removed, not trusted. */
const parsed = (text: string | null): OpenUpload | undefined => {
  try {
    const value: unknown = JSON.parse(text ?? 'null')
    return isOpenUpload(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Whether what was read back is what `remember` wrote: whoever reads entries from outside asks first. */
export const isOpenUpload = (value: unknown): value is OpenUpload => {
  const { fingerprint, idempotencyKey, beganAtMs, details } = (value ?? {}) as Partial<Record<string, unknown>>
  return (
    typeof fingerprint === 'string' &&
    typeof idempotencyKey === 'string' &&
    typeof beganAtMs === 'number' &&
    typeof details === 'object' &&
    details !== null
  )
}
