import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mock } from 'node:test'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { followVideo } from './index.ts'
import { parseServerSentEvents, type ServerSentEvent } from './server-sent-events.ts'

const parsed = (pieces: readonly string[]): ServerSentEvent[] => {
  const events: ServerSentEvent[] = []
  const parse = parseServerSentEvents((event) => events.push(event))
  pieces.forEach(parse)
  return events
}

t.test('an event stream is read as the standard says', async (t) => {
  const stream =
    ': hello\n\nid: 7\nevent: SourceProbed\ndata: {"a":1}\n\ndata: one\ndata:two\nignored: x\n\nid: 8\n\ndata'
  t.same(parsed([stream]), [
    { id: '7', type: 'SourceProbed', data: '{"a":1}' },
    { id: '7', type: 'message', data: 'one\ntwo' },
  ])
})

t.test('where the network cuts a stream makes no difference, whatever its line ends', async (t) => {
  const stream = 'id: 1\nevent: A\ndata: first\ndata: second\n\n: ping\n\nid: 2\ndata: third\n\n'
  const whole = parsed([stream])
  fc.assert(
    fc.property(fc.array(fc.nat(stream.length)), fc.constantFrom('\n', '\r\n', '\r'), (cuts, end) => {
      const text = stream.replaceAll('\n', end)
      const places = [0, ...cuts.sort((a, b) => a - b), text.length]
      const events = parsed([...places.slice(1).map((to, i) => text.slice(places[i], to)), end === '\r' ? ':' : ''])
      return JSON.stringify(events) === JSON.stringify(whole)
    }),
  )
  t.pass('held')
})

t.test('a stream that is cut goes on behind the last event', async (t) => {
  const streams = ['id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\nda', 'id: 3\ndata: c\n\nid: 4\ndata: too late\n\n']
  const asked: (string | null)[] = []
  const stop = new AbortController()
  const seen: string[] = []
  await followVideo(
    'v1',
    ({ data }) => {
      seen.push(data)
      if (data === 'c') stop.abort()
    },
    {
      apiUrl: 'http://api',
      token: 'author',
      signal: stop.signal,
      fetch: async (_url, init) => {
        const headers = new Headers(init?.headers)
        t.equal(headers.get('authorization'), 'Bearer author')
        asked.push(headers.get('last-event-id'))
        if (asked.length === 2) throw new TypeError('fetch failed')
        return new Response(streams.shift() ?? '')
      },
    },
  )
  t.same(seen, ['a', 'b', 'c'])
  t.same(asked, [null, '2', '2'])
})

t.test('an outage is borne for as long as is asked for, and said', async (t) => {
  const MINUTE_MS = 60_000
  const follow = async (giveUpAfterMs: number | undefined) => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 })
    const backAtMs = Date.now() + 10 * MINUTE_MS
    const said: boolean[] = []
    const stop = new AbortController()
    const fetch = async () => {
      if (Date.now() < backAtMs) throw new TypeError('fetch failed')
      return new Response('id: 1\ndata: a\n\n')
    }
    const onWaiting = (isWaiting: boolean) => said.push(isWaiting)
    const options = { apiUrl: 'http://api', signal: stop.signal, giveUpAfterMs, onWaiting, fetch }
    let outcome: PromiseSettledResult<void> | undefined
    void Promise.allSettled([followVideo('v1', () => stop.abort(), options)]).then(([settled]) => {
      outcome = settled
    })
    for (let passedMs = 0; outcome === undefined && passedMs < 20 * MINUTE_MS; passedMs += 1000) {
      mock.timers.tick(1000)
      await new Promise(setImmediate)
    }
    mock.timers.reset()
    return { outcome, said }
  }
  t.match(await follow(60 * MINUTE_MS), { outcome: { status: 'fulfilled' }, said: [true, false] })
  t.match(await follow(undefined), { outcome: { status: 'rejected', reason: { code: 'CONNECTION_FAILED' } } })
})

/** A real connection; what arrives on it is up to the test. */
const serve = async (t: Test, answer: (request: IncomingMessage, response: ServerResponse) => void) => {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** While the clock of the client stands still. */
const until = async (isTrue: () => boolean): Promise<void> => {
  const endMs = performance.now() + 10_000
  while (!isTrue()) {
    if (performance.now() > endMs) throw new Error('waited for in vain')
    await new Promise(setImmediate)
  }
}

const stopClock = (t: Test): void => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
}

/** In steps so small that what a connection needs of time is not a timeout. */
const letPassUntil = (isTrue: () => boolean): Promise<void> =>
  until(() => {
    if (isTrue()) return true
    mock.timers.tick(10)
    return false
  })

t.test('a stream that is open and says nothing is left, and gone on with behind the last event', async (t) => {
  const asked: (string | undefined)[] = []
  let live: ServerResponse | undefined
  const apiUrl = await serve(t, ({ headers }, response) => {
    asked.push(headers['last-event-id'] as string | undefined)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(asked.length === 1 ? 'id: 1\ndata: a\n\n' : 'id: 2\ndata: b\n\n')
    live ??= response
  })
  let pieces = 0
  const counting: typeof fetch = async (url, init) => {
    const { body } = await fetch(url, init)
    const count = new TransformStream<Uint8Array, Uint8Array>({
      transform(piece, controller) {
        pieces += 1
        controller.enqueue(piece)
      },
    })
    return new Response(body?.pipeThrough(count) ?? null)
  }
  const seen: string[] = []
  const stop = new AbortController()
  const onEvent = ({ data }: { readonly data: string }): void => {
    seen.push(data)
    if (data === 'b') stop.abort()
  }
  stopClock(t)
  const following = followVideo('v1', onEvent, { apiUrl, signal: stop.signal, fetch: counting })
  await until(() => seen.length === 1)

  mock.timers.tick(29_000)
  live?.write(': quiet\n\n')
  await until(() => pieces === 2)
  await new Promise(setImmediate)
  mock.timers.tick(29_000)
  await new Promise(setImmediate)
  t.equal(live?.closed, false, 'a quiet video is not a dead connection')

  mock.timers.tick(1_000)
  await until(() => live?.closed === true)
  await letPassUntil(() => seen.length === 2)
  await following
  t.same(asked, [undefined, '1'])
  t.same(seen, ['a', 'b'])
})

t.test('an API that takes the request and does not answer is asked again', async (t) => {
  let requests = 0
  const apiUrl = await serve(t, (_request, response) => {
    requests += 1
    if (requests > 1) response.writeHead(200).end('id: 1\ndata: a\n\n')
  })
  stopClock(t)
  const stop = new AbortController()
  const following = followVideo('v1', () => stop.abort(), { apiUrl, signal: stop.signal })
  await until(() => requests === 1)
  mock.timers.tick(30_000)
  await letPassUntil(() => stop.signal.aborted)
  await following
  t.equal(requests, 2)
})

t.test('a video that may not be followed is an error, not a loop', async (t) => {
  const fetch = async () => new Response('{"code":"VIDEO_NOT_FOUND","detail":"No."}', { status: 404 })
  const options = { apiUrl: 'http://api', signal: new AbortController().signal, fetch }
  await t.rejects(
    followVideo('v1', () => {}, options),
    { code: 'VIDEO_NOT_FOUND' },
  )
})
