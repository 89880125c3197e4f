import type { KafkajsPatch } from './modules.ts'

/** How soon a queued request is looked at again when nothing says when; kafkajs' own value. */
const CHECK_PENDING_MS = 10

/** How often the requests in flight are looked at for their time limit, ms; stock: 100, on each of two connections. */
const CHECK_TIMEOUTS_MS = 500

interface SocketRequest {
  readonly sentAt: number
  readonly requestTimeout: number
  timeoutRequest(): void
}

interface RequestQueue {
  readonly enforceRequestTimeout: boolean
  readonly inflight: ReadonlyMap<number, SocketRequest>
  requestTimeoutIntervalId: NodeJS.Timeout
  isConnected(): boolean
  destroy(): void
  scheduleRequestTimeoutCheck(): void
  throttleCheckTimeoutId: NodeJS.Timeout | null
  throttledUntil: number
  readonly pending: readonly unknown[]
  checkPendingRequests(): void
  scheduleCheckPendingRequests(): void
}

/**
 * Stock re-arms this timer for ever on every connection, with a delay of `-1 - Date.now()`: a wake-up each millisecond
 * and connection, half of the CPU of an idle process, and a TimeoutNegativeWarning on Node 24
 * (https://github.com/tulios/kafkajs/issues/1704, /1751). With nothing pending there is nothing to check: `push` arms it.
 */
function scheduleOnlyWhenPending(this: RequestQueue): void {
  if (this.throttleCheckTimeoutId !== null || this.pending.length === 0) return
  const throttledMs = this.throttledUntil - Date.now()
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null
      this.checkPendingRequests()
    },
    throttledMs > 0 ? throttledMs : CHECK_PENDING_MS,
  )
}

/** The stock check at a slower pace: a limit of 4.5 s need not be kept to 0.1 s by every idle connection. */
function checkTimeoutsNowAndThen(this: RequestQueue): void {
  if (!this.enforceRequestTimeout) return
  this.destroy()
  this.requestTimeoutIntervalId = setInterval(() => {
    const now = Date.now()
    for (const request of this.inflight.values()) {
      if (now - request.sentAt > request.requestTimeout) request.timeoutRequest()
    }
    if (!this.isConnected()) this.destroy()
  }, CHECK_TIMEOUTS_MS)
}

export const idleTimer: KafkajsPatch = {
  name: 'idle-timer',
  apply: (modules) => {
    const queue = modules.load<{ prototype: RequestQueue }>('network/requestQueue/index.js')
    queue.prototype.scheduleCheckPendingRequests = scheduleOnlyWhenPending
    queue.prototype.scheduleRequestTimeoutCheck = checkTimeoutsNowAndThen
  },
}
