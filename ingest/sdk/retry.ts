/** A failure that another try may cure. `afterMs`: not before then (Retry-After). */
export class Retryable extends Error {
  readonly reason: Error
  readonly afterMs: number

  constructor(reason: Error, afterMs = 0) {
    super(reason.message)
    this.reason = reason
    this.afterMs = afterMs
  }
}

const FIRST_PAUSE_MS = 250
const MAX_PAUSE_MS = 15_000
/** With the pauses about a minute and a half: a gateway or a broker that restarts is waited for. */
export const MAX_ATTEMPTS = 12

/**
 * Calls until it succeeds, throws something that is not Retryable, or has failed too often; then throws the reason.
 * Pauses double up to 15 s, each shortened by up to half at random, so that many clients do not come back at once.
 */
export const retrying = async <T>(call: (attempt: number) => Promise<T>, signal?: AbortSignal): Promise<T> => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call(attempt)
    } catch (error) {
      if (!(error instanceof Retryable)) throw error
      if (attempt === MAX_ATTEMPTS || signal?.aborted) throw error.reason
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (attempt - 1), MAX_PAUSE_MS)
      await pause(Math.max(pauseMs * (1 - Math.random() / 2), error.afterMs), signal)
    }
  }
}

/** Waits; rejects with the signal's reason when it aborts. */
export const pause = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const abort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', abort, { once: true })
  })
