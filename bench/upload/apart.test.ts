import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { fetchApart, type Timed } from './apart.ts'

/** On a thread of its own, so that it answers while this one is busy. */
const SERVER = `
  const { createServer } = require('node:http')
  createServer((request, response) => {
    if (request.url === '/silent') return
    response.writeHead(201, { 'x-method': request.method }).end(request.headers['x-said'])
  }).listen(0, '127.0.0.1', function () { require('node:worker_threads').parentPort.postMessage(this.address().port) })`

const start = async (t: Test) => {
  const server = new Worker(SERVER, { eval: true })
  const [port] = await once(server, 'message')
  const calls: Timed[] = []
  const apart = fetchApart((call) => calls.push(call))
  t.teardown(() => Promise.all([server.terminate(), apart.close()]))
  return { ...apart, calls, url: `http://127.0.0.1:${port}` }
}

t.test('a call is timed by the thread that only asks, however busy the other is', async (t) => {
  const { fetch, calls, url } = await start(t)
  await (await fetch(url)).text()
  const answer = fetch(`${url}/uploads?x=1`, { method: 'POST', headers: { 'x-said': 'hello' }, body: '{}' })
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
  const answered = await answer
  t.match([answered.status, answered.headers.get('x-method'), await answered.text()], [201, 'POST', 'hello'])
  t.match(calls[1], { method: 'POST', path: '/uploads', status: 201 })
  t.ok((calls[1]?.seenMs ?? 0) >= 500, `seen after ${calls[1]?.seenMs} ms`)
  t.ok((calls[1]?.durationMs ?? 500) < 400, `answered after ${calls[1]?.durationMs} ms`)
})

t.test('it fails as fetch does: when nobody listens, and when it is ended', async (t) => {
  const { fetch, calls, url } = await start(t)
  await t.rejects(fetch('http://127.0.0.1:1/'), TypeError)
  const ending = new AbortController()
  const silent = fetch(`${url}/silent`, { signal: ending.signal })
  ending.abort(new Error('enough'))
  await t.rejects(silent, { message: 'enough' })
  t.match(calls, [
    { method: 'GET', path: '/', status: null },
    { method: 'GET', path: '/silent', status: null },
  ])
})
