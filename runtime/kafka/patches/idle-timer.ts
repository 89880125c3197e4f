import type { KafkajsPatch } from './modules.ts'

/** How soon a queued request is looked at again when nothing says when; kafkajs' own value. */
const CHECK_PENDING_MS = 10

interface RequestQueue {
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

export const idleTimer: KafkajsPatch = {
  name: 'idle-timer',
  apply: (modules) => {
    const queue = modules.load<{ prototype: RequestQueue }>('network/requestQueue/index.js')
    queue.prototype.scheduleCheckPendingRequests = scheduleOnlyWhenPending
  },
}
