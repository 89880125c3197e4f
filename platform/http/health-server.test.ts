import t, { type Test } from 'tap'
import { UpstreamError } from '../errors.ts'
import { createMetrics } from '../metrics.ts'
import { type HealthCheck, startHealthServer } from './health-server.ts'

const serve = async (t: Test, ready: () => HealthCheck) => {
  const server = await startHealthServer({ host: '127.0.0.1', port: 0, name: 'example', ready })
  t.teardown(() => server.close())
  return async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`)
    return { status: response.status, body: (await response.json()) as unknown }
  }
}
t.test('a process is healthy as long as it answers, and ready when it says so', async (t) => {
  let ready = false
  const get = await serve(t, () => ({ ready, detail: { lag: 3 } }))
  t.match(await get('/healthz'), { status: 200, body: { name: 'example', status: 'ok' } })
  t.match(await get('/readyz'), { status: 503, body: { ready: false, detail: { lag: 3 } } })
  ready = true
  t.match(await get('/readyz?verbose'), { status: 200, body: { status: 'ready' } })
  t.match(await get('/other'), { status: 404 })
})

t.test('a check that throws is not ready, and says its code', async (t) => {
  const get = await serve(t, () => {
    throw new UpstreamError('KAFKA_UNAVAILABLE', 'No broker could be reached')
  })
  t.match(await get('/readyz'), { status: 503, body: { detail: 'KAFKA_UNAVAILABLE: No broker could be reached' } })
})

t.test('metrics are there for those that measure', async (t) => {
  const options = { host: '127.0.0.1', port: 0, name: 'example', ready: () => ({ ready: true, detail: '' }) }
  const server = await startHealthServer({ ...options, metrics: createMetrics('example') })
  t.teardown(() => server.close())
  const answer = await fetch(`http://127.0.0.1:${server.port}/metrics`)
  t.match(answer.headers.get('content-type'), /^text\/plain; version=/)
  t.match(await answer.text(), /^nodejs_eventloop_lag_p99_seconds\{role="example"\} /m)
})
