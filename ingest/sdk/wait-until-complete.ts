import { UploadError } from './errors.ts'
import type { Outage } from './outage.ts'
import { uploadStatus } from './recorded-upload.ts'
import { serverAt } from './requests.ts'
import { pause } from './retry.ts'
import type { TokenSource } from './types.ts'

export interface WaitOptions {
  /** Base URL of the gateway. */
  readonly gatewayUrl: string
  /** The upload's own, which lives as long as the upload, or the author's. */
  readonly token?: TokenSource | undefined
  readonly signal?: AbortSignal | undefined
  readonly fetch?: typeof fetch | undefined
  readonly outage?: Outage | undefined
}

/** How an upload ended. */
export interface UploadOutcome {
  readonly status: 'completed' | 'aborted'
  /** Why it was aborted. */
  readonly code: string | null
  readonly detail: string | null
}

const MIN_PAUSE_MS = 50
const MAX_PAUSE_MS = 2_000
/** Of what was waited so far: an end is heard of that much later than it was, and no server is asked much. */
const PAUSE_SHARE = 0.1

/**
 * Resolves when it is recorded how the upload ended: completed, so its parts are ONE verified object and nothing of it
 * can get lost (transcoding has not begun yet), or aborted. Asks again and again, ever more slowly, for ever: end it
 * with the signal.
 * @throws UploadError with the code of the gateway
 */
export const waitUntilClosed = async (uploadId: string, options: WaitOptions): Promise<UploadOutcome> => {
  const { gatewayUrl, signal } = options
  const server = serverAt(gatewayUrl, options)
  const ask = () => uploadStatus(server, uploadId, signal)
  const { status, code, detail } = await askUntil(isClosed, ask, Number.POSITIVE_INFINITY, createPauses(signal))
  return { status: status === 'aborted' ? 'aborted' : 'completed', code, detail }
}

export const isClosed = ({ status }: { readonly status: string }): boolean => status !== 'open'

/** Asks until the answer is enough or `withinMs` are over. The last answer. A pause follows each that is not enough. */
export const askUntil = async <T>(
  isEnough: (answer: T) => boolean,
  ask: () => Promise<T>,
  withinMs: number,
  nextPause: () => Promise<void>,
): Promise<T> => {
  const endMs = performance.now() + withinMs
  for (;;) {
    const answer = await ask()
    if (isEnough(answer)) return answer
    await nextPause()
    if (performance.now() >= endMs) return answer
  }
}

/** Pauses of somebody who begins to wait now, each as long as is due by then. Reject when the signal aborts. */
export const createPauses = (signal: AbortSignal | undefined): (() => Promise<void>) => {
  const sinceMs = performance.now()
  return () => pause(pauseMsAfter(performance.now() - sinceMs), signal)
}

export const pauseMsAfter = (waitedMs: number): number =>
  Math.min(Math.max(MIN_PAUSE_MS, waitedMs * PAUSE_SHARE), MAX_PAUSE_MS)

/**
 * As waitUntilClosed, for whom only one end is good.
 * @throws UploadError with the code of the abort (UPLOAD_ABORTED without one), or that of the gateway
 */
export const waitUntilComplete = async (uploadId: string, options: WaitOptions): Promise<void> => {
  const outcome = await waitUntilClosed(uploadId, options)
  if (outcome.status === 'aborted') throw failureOf(outcome)
}

export const failureOf = ({ code, detail }: Pick<UploadOutcome, 'code' | 'detail'>): UploadError =>
  new UploadError(code ?? 'UPLOAD_ABORTED', detail ?? 'The upload was given up.')
