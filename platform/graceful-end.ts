import { setTimeout as delay } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import { describeError, isRetryable } from './errors.ts'
import type { Logger } from './log.ts'

/**
 * How a process of the product begins and ends.
 *
 * Asked to end (SIGTERM, SIGINT, SIGHUP …) it finishes what it has begun and lets go of the rest, within 5 s: less than
 * any supervisor waits before it kills (docker 10 s, `npm start` 20 s). Asked again it leaves at once; whatever it was
 * doing is then as after a kill -9, which everything here survives. An error that nobody handled, a failed start among
 * them, is one line of the log and exit code 1.
 *
 * What it needs and cannot reach at its start, it waits for: a broker that restarts must not turn into processes that
 * die one after the other.
 */
export const END_WITHIN_MS = 5_000

/**
 * Call it first thing, so that what fails later is logged; then name what is to be closed, once there is something.
 *
 *     const atEnd = endGracefully(log)
 *     const server = await start()
 *     atEnd(() => server.close())
 */
export const endGracefully = (log: Logger, withinMs = END_WITHIN_MS): ((close: () => Promise<void>) => void) => {
  let close = async (): Promise<void> => {}
  closeWithGrace(
    {
      delay: withinMs,
      logger: false,
      onSecondSignal: (signal) => log.warn({ signal }, 'asked again, leaving at once'),
      onSecondError: (err) => log.fatal({ err }, 'another error while ending, leaving at once'),
      onTimeout: () => log.error({ withinMs }, 'not everything has ended, leaving'),
    },
    async ({ err, signal }) => {
      if (err !== undefined) log.fatal({ err }, 'ending after an error that nobody handled')
      else log.info({ signal }, 'ending')
      try {
        await close()
      } catch (error) {
        log.error({ err: error }, 'not everything has ended in order')
        throw error
      }
      log.info('ended')
    },
  )
  return (closing) => {
    close = closing
  }
}

const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 5_000
const PATIENCE_MS = 60_000

/**
 * Opens what the process needs, again and again for up to a minute while the failure is one that passes. `open` must leave
 * nothing behind when it fails. Throws its last error.
 */
export const patiently = async <T>(
  open: () => Promise<T>,
  log: Logger,
  { firstWaitMs = FIRST_WAIT_MS, patienceMs = PATIENCE_MS } = {},
): Promise<T> => {
  const deadline = Date.now() + patienceMs
  for (let waitMs = firstWaitMs; ; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
    try {
      return await open()
    } catch (error) {
      if (!isRetryable(error) || Date.now() + waitMs > deadline) throw error
      log.warn({ detail: describeError(error), waitMs }, 'what is needed is away, waiting for it')
      await delay(waitMs)
    }
  }
}
