import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { FastifyInstance } from 'fastify'
import { UpstreamError } from '../platform/errors.ts'

/**
 * Sheds load before it piles up: while the event loop is late, new requests are answered 503 with Retry-After at once,
 * which costs nothing, instead of all of them late. Health checks are always answered.
 */
const MAX_DELAY_MS = 1_000
const SAMPLE_MS = 1_000
/** A wake-up of an idle process each; fine enough for a delay of a second. */
const RESOLUTION_MS = 100
const HEALTH_CHECKS = new Set(['/healthz', '/readyz'])

export const refuseWhenOverloaded = (app: FastifyInstance): void => {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  let overloaded = false
  const sample = setInterval(() => {
    overloaded = delay.mean / 1e6 - RESOLUTION_MS > MAX_DELAY_MS
    delay.reset()
  }, SAMPLE_MS)
  sample.unref()
  app.addHook('onRequest', async (request) => {
    if (overloaded && !HEALTH_CHECKS.has(request.url)) {
      throw new UpstreamError('OVERLOADED', 'The server has more to do than it can do in time.')
    }
  })
  app.addHook('onClose', async () => {
    clearInterval(sample)
    delay.disable()
  })
}
