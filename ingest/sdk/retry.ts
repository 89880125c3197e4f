import { asUploadError } from './errors.ts'
import { Outage } from './outage.ts'

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
/** In a row, within about a second: what passes sooner is not worth a word. */
const SILENCES_TO_TELL = 3

/**
 * Calls until it succeeds, throws something that is not Retryable, or has failed too often; then throws the reason.
 * Where nobody answers (no connection, or 5xx) it goes on for as long as the outage is borne, and for as long as the
 * browser knows that there is no network. Pauses double up to 15 s, each shortened by up to half at random, so that many
 * clients do not come back at once; a network that comes back ends them.
 */
export const retrying = async <T>(
  call: (attempt: number) => Promise<T>,
  signal?: AbortSignal,
  outage: Outage = new Outage(0),
): Promise<T> => {
  let refusals = 0
  let silences = 0
  let silentSinceMs = 0
  for (let attempt = 1; ; attempt++) {
    try {
      const result = await call(attempt)
      outage.answered()
      return result
    } catch (error) {
      if (!(error instanceof Retryable)) throw error
      if (isSilence(error)) {
        silences += 1
        if (silences === 1) silentSinceMs = Date.now()
        if (silences >= SILENCES_TO_TELL || isOffline()) outage.silentSince(silentSinceMs)
      } else {
        silences = 0
        refusals += 1
        outage.answered()
      }
      const isOver = silences >= MAX_ATTEMPTS && !isOffline() && outage.isOver(silentSinceMs)
      if (refusals === MAX_ATTEMPTS || isOver || signal?.aborted) throw error.reason
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** ((silences || refusals) - 1), MAX_PAUSE_MS)
      await pauseUntilOnline(Math.max(pauseMs * (1 - Math.random() / 2), error.afterMs), signal)
    }
  }
}

/** 501 is an answer: the server cannot do it, and will not learn it. */
const isSilence = ({ reason }: Retryable): boolean => {
  const { status } = asUploadError(reason)
  return status === null || (status >= 500 && status !== 501)
}

/** Node says nothing of its network, and a browser errs in one way only: what it says is not there is not there. */
const isOffline = (): boolean => globalThis.navigator?.onLine === false

/** Or for so long: a server on this machine or in this house may answer without the network that the browser misses. */
const pauseUntilOnline = async (ms: number, signal: AbortSignal | undefined): Promise<void> => {
  const online = new AbortController()
  const end = () => online.abort()
  globalThis.addEventListener?.('online', end)
  try {
    await pause(ms, signal === undefined ? online.signal : AbortSignal.any([signal, online.signal]))
  } catch (error) {
    signal?.throwIfAborted()
    if (!online.signal.aborted) throw error
  } finally {
    globalThis.removeEventListener?.('online', end)
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
