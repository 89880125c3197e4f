import { systemClock } from '../../../platform/clock.ts'
import { readConfig, requireSettings } from '../../../platform/config.ts'
import { UpstreamError } from '../../../platform/errors.ts'
import { endGracefully } from '../../../platform/graceful-end.ts'
import { createLogger } from '../../../platform/log.ts'
import type { Executor } from '../../../runtime/run/executors.ts'
import { bound, run } from '../../../runtime/run/run.ts'
import { openSession } from '../../../runtime/run/session.ts'
import { announceVideos } from './processor.ts'

/** Runs outside any transaction, at least once: whoever is posted to knows a repetition by its Idempotency-Key. */
const postTo =
  (url: string): Executor<{ revision: number }, { revision: number }> =>
  async (input, { key, effectId, signal }) => {
    const headers = { 'content-type': 'application/json', 'idempotency-key': effectId }
    const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ videoId: key }), signal })
    if (!response.ok) throw new UpstreamError('ANNOUNCEMENT_REFUSED', `the answer was ${response.status}`)
    return input
  }

const [url = 'http://127.0.0.1:9999'] = process.argv.slice(2)
const config = readConfig()
requireSettings(config, ['kafkaBrokers', 'schemaRegistryUrl'])
const log = createLogger('announce-videos', config.logLevel)
const atEnd = endGracefully(log)
const session = await openSession({
  brokers: config.kafkaBrokers,
  registryUrl: config.schemaRegistryUrl,
  clientId: 'announce-videos',
  log,
})
const running = await run([bound(announceVideos, { post: postTo(url) })], {
  ...session,
  appId: config.appId,
  instanceId: String(process.pid),
  clock: systemClock,
  log,
})
atEnd(async () => {
  await running.stop()
  await session.close()
})
