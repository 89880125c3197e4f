import { mock } from 'node:test'
import fc from 'fast-check'
import t from 'tap'
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

t.test('a video that may not be followed is an error, not a loop', async (t) => {
  const fetch = async () => new Response('{"code":"VIDEO_NOT_FOUND","detail":"No."}', { status: 404 })
  const options = { apiUrl: 'http://api', signal: new AbortController().signal, fetch }
  await t.rejects(
    followVideo('v1', () => {}, options),
    { code: 'VIDEO_NOT_FOUND' },
  )
})
