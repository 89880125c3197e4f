import { UploadError } from './errors.ts'
import { requestJson } from './requests.ts'
import { pause } from './retry.ts'
import type { TokenSource } from './types.ts'

export interface WaitOptions {
  /** Base URL of the API. */
  readonly apiUrl: string
  readonly token?: TokenSource | undefined
  readonly signal?: AbortSignal | undefined
  readonly fetch?: typeof fetch | undefined
}

interface UploadStatus {
  readonly status: 'open' | 'completed' | 'aborted'
  readonly code?: string | null
  readonly detail?: string | null
}

const FIRST_PAUSE_MS = 50
const MAX_PAUSE_MS = 2_000

/**
 * Resolves when the upload is recorded as complete: its parts are ONE verified object. That is the moment from which
 * nothing of it can get lost; transcoding has not begun yet. Asks again and again, ever more slowly, for ever: end it
 * with the signal.
 * @throws UploadError with the code of the abort (UPLOAD_ABORTED without one), or that of the API
 */
export const waitUntilComplete = async (uploadId: string, options: WaitOptions): Promise<void> => {
  const { apiUrl, token, signal, fetch = globalThis.fetch.bind(globalThis) } = options
  const server = { url: apiUrl, token, fetch }
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.5, MAX_PAUSE_MS)) {
    const path = `/uploads/${encodeURIComponent(uploadId)}`
    const { status, code, detail } = await requestJson<UploadStatus>(server, path, { signal })
    if (status === 'completed') return
    if (status === 'aborted') throw new UploadError(code ?? 'UPLOAD_ABORTED', detail ?? 'The upload was given up.')
    await pause(pauseMs, signal)
  }
}
