import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { UpstreamError } from '../../platform/errors.ts'
import { createAddressGuard } from './address-guard.ts'
import { createGuardedRequests, type GuardedRequestOptions } from './guarded-request.ts'
import { openUrl, type UrlSource } from './url-source.ts'

/** A real server, real sockets, and the real guard with this machine's loopback allowed where a test needs a server. */
const FILE = randomBytes(300_000)
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

type Handler = (request: IncomingMessage, response: ServerResponse) => void

const startServer = async (t: Test, handler: Handler) => {
  const seen: string[] = []
  const connections = { made: 0 }
  const server = createServer((request, response) => {
    seen.push(`${request.url} ${request.headers.range ?? ''}`.trim())
    handler(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  server.on('connection', () => {
    connections.made += 1
  })
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, connections }
}

const open = (
  t: Test,
  url: string,
  { maxBytes = 1_000_000, ...options }: Partial<GuardedRequestOptions> & { maxBytes?: number } = {},
): Promise<UrlSource> => {
  const requests = createGuardedRequests({ guard: createAddressGuard(['127.0.0.0/8']), ...options })
  t.teardown(() => requests.close())
  return openUrl(url, { requests, maxBytes, signal: AbortSignal.timeout(20_000), backoffMs: () => 1 })
}

/** A well-behaved file server. `tamper` may answer first. */
const files =
  (tamper: (request: IncomingMessage, response: ServerResponse) => boolean = () => false, etag = '"v1"'): Handler =>
  (request, response) => {
    if (tamper(request, response)) return
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    const isCurrent = request.headers['if-range'] === undefined || request.headers['if-range'] === etag
    if (first === undefined || last === undefined || !isCurrent) {
      return void response.writeHead(200, { etag, 'content-length': FILE.length }).end(FILE)
    }
    const body = FILE.subarray(Number(first), Number(last) + 1)
    const range = `bytes ${first}-${last}/${FILE.length}`
    response.writeHead(206, { etag, 'content-range': range, 'content-length': body.length }).end(body)
  }

const readRanged = async (source: UrlSource): Promise<Buffer> => {
  if (source.kind !== 'ranged') throw new Error('not ranged')
  const starts = Array.from({ length: Math.ceil(source.size / 100_000) }, (_, i) => i * 100_000)
  const whole = new Uint8Array(source.size)
  const pieces = starts.map((start) => whole.subarray(start, start + 100_000))
  const lengths = await Promise.all(pieces.map((piece, i) => source.readInto(piece, starts[i] ?? 0)))
  if (lengths.some((length, i) => length !== pieces[i]?.length)) throw new Error(`short: ${lengths}`)
  return Buffer.from(whole)
}

t.test('a server with ranges and an ETag: like a file', async (t) => {
  const { url, seen } = await startServer(t, files())
  const source = await open(t, `${url}/films/a%20film.mp4?x=1`)
  t.match(source, { kind: 'ranged', size: FILE.length, name: 'a film.mp4', version: /"v1"$/ })
  t.equal(sha256(await readRanged(source)), sha256(FILE))
  t.equal(seen.length, 4, 'one look, three ranges')
})

t.test(
  'a range that is cut is continued from the missing byte, and a server that is busy is asked again',
  async (t) => {
    let faults = 0
    const { url, seen } = await startServer(
      t,
      files((request, response) => {
        if (request.headers['if-range'] === undefined || faults >= 4) return false
        faults += 1
        if (faults % 2 === 1) return Boolean(response.writeHead(503).end())
        const [, first = 0, last = 0] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
        const body = FILE.subarray(Number(first), Number(last) + 1)
        const headers = { 'content-range': `bytes ${first}-${last}/${FILE.length}`, 'content-length': body.length }
        response.writeHead(206, headers)
        response.write(body.subarray(0, 1000), () => response.destroy())
        return true
      }),
    )
    t.equal(sha256(await readRanged(await open(t, url))), sha256(FILE))
    t.ok(
      seen.some((request) => /bytes=\d*1000-/.test(request)),
      'not from the beginning',
    )
  },
)

t.test('a file that is replaced in the middle is noticed, never mixed', async (t) => {
  let etag = '"v1"'
  const { url } = await startServer(t, (request, response) => files(undefined, etag)(request, response))
  const source = await open(t, url)
  etag = '"v2"'
  await t.rejects(readRanged(source), { code: 'IMPORT_SOURCE_CHANGED', retryable: false })
})

t.test('what ends the import is what its reading fails with', async (t) => {
  const timeUp = new UpstreamError('IMPORT_TIMED_OUT', 'Too slow.')
  const requests = createGuardedRequests({ guard: createAddressGuard(['127.0.0.0/8']) })
  t.teardown(() => requests.close())
  const serving = async (answer: (stop: () => void) => Handler) => {
    const stop = new AbortController()
    const { url } = await startServer(
      t,
      answer(() => stop.abort(timeUp)),
    )
    return { stop, source: openUrl(url, { requests, maxBytes: 1_000_000, signal: stop.signal }) }
  }
  await t.rejects((await serving((stop) => stop)).source, timeUp, 'before the server has answered')
  const stopInRange = (stop: () => void) => (request: IncomingMessage) => {
    if (request.headers['if-range'] === undefined) return false
    stop()
    return true
  }
  const ranged = await serving((stop) => files(stopInRange(stop)))
  await t.rejects(readRanged(await ranged.source), timeUp, 'in a range')
  const { stop, source } = await serving(() => (_request, response) => void response.writeHead(200).write('some'))
  const streamed = await source
  if (streamed.kind !== 'streamed') throw new Error('not a stream')
  stop.abort(timeUp)
  await t.rejects(buffer(streamed.stream), timeUp, 'in a stream')
})

t.test('a server that answers another range than was asked for is not believed', async (t) => {
  const lies: Record<string, Record<string, string>> = {
    another: { 'content-range': `bytes 5-100004/${FILE.length}` },
    longer: { 'content-range': `bytes 0-99999/${FILE.length}` },
    none: {},
  }
  for (const [what, headers] of Object.entries(lies)) {
    const { url } = await startServer(
      t,
      files((request, response) => {
        if (request.headers['if-range'] === undefined) return false
        response.writeHead(206, headers).end(FILE.subarray(0, what === 'longer' ? 100_001 : 100_000))
        return true
      }),
    )
    const source = await open(t, url)
    await t.rejects(readRanged(source), { code: 'IMPORT_SOURCE_CHANGED' }, what)
  }
})

t.test('a server without ranges, or without a validator: one stream', async (t) => {
  const { url } = await startServer(t, (_request, response) => void response.end(FILE))
  const source = await open(t, url)
  if (source.kind !== 'streamed') throw new Error('not streamed')
  t.match(source, { version: null })
  t.equal(sha256(await buffer(source.stream)), sha256(FILE))
  const blind = await startServer(
    t,
    files((_request, response) => {
      response.removeHeader('etag')
      const plain = response.writeHead.bind(response)
      response.writeHead = ((status: number, { etag: _none, ...headers }: Record<string, string>) =>
        plain(status, headers)) as never
      return false
    }),
  )
  const unvalidated = await open(t, blind.url)
  if (unvalidated.kind !== 'streamed') throw new Error('not streamed')
  t.equal(sha256(await buffer(unvalidated.stream)), sha256(FILE))
  t.same(blind.seen, ['/ bytes=0-0', '/'])
})

t.test('a stream that ends before its announced length is a failure, not a shorter file', async (t) => {
  const { url } = await startServer(t, (_request, response) => {
    response.writeHead(200, { 'content-length': FILE.length })
    response.write(FILE.subarray(0, 1000), () => response.destroy())
  })
  const source = await open(t, url)
  if (source.kind !== 'streamed') throw new Error('not streamed')
  await t.rejects(buffer(source.stream))
})

t.test('what is too large is refused: announced at once, else when it is', async (t) => {
  const announced = await startServer(t, files())
  await t.rejects(open(t, announced.url, { maxBytes: FILE.length - 1 }), { code: 'IMPORT_TOO_LARGE' })
  t.match(await open(t, announced.url, { maxBytes: FILE.length }), { size: FILE.length })
  const chunked = await startServer(t, (_request, response) => {
    response.writeHead(200)
    response.write(FILE)
    response.end(FILE)
  })
  const source = await open(t, chunked.url, { maxBytes: FILE.length })
  if (source.kind !== 'streamed') throw new Error('not streamed')
  await t.rejects(buffer(source.stream), { code: 'IMPORT_TOO_LARGE' })
})

t.test('answers that are none', async (t) => {
  const answers: readonly (readonly [number, Record<string, string>, string])[] = [
    [404, {}, 'IMPORT_REFUSED'],
    [403, {}, 'IMPORT_REFUSED'],
    [204, {}, 'IMPORT_REFUSED'],
    [500, {}, 'IMPORT_UNREACHABLE'],
    [429, {}, 'IMPORT_UNREACHABLE'],
    [200, { 'content-encoding': 'gzip' }, 'IMPORT_ENCODED'],
    [200, { 'content-length': '0' }, 'EMPTY_FILE'],
    [416, {}, 'EMPTY_FILE'],
  ]
  for (const [status, headers, code] of answers) {
    const { url } = await startServer(t, (_request, response) => void response.writeHead(status, headers).end())
    await t.rejects(open(t, url), { code }, `${status} ${JSON.stringify(headers)}`)
  }
  const silent = await startServer(t, () => undefined)
  await t.rejects(open(t, silent.url, { idleMs: 50 }), { code: 'IMPORT_UNREACHABLE', retryable: true })
  await t.rejects(open(t, 'http://127.0.0.1:1/'), { code: 'IMPORT_UNREACHABLE' })
})

t.test('the guard', async (t) => {
  const strict = { guard: createAddressGuard() }
  const refused = { code: 'IMPORT_ADDRESS_REFUSED', retryable: false }

  t.test('addresses in every form that a URL can give them, without a connection', async (t) => {
    const { url, connections } = await startServer(t, files())
    const { port } = new URL(url)
    for (const host of [
      '127.0.0.1',
      '0x7f.1',
      '2130706433',
      '0177.0.0.1',
      '127.1',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '0',
    ]) {
      await t.rejects(open(t, `http://${host}:${port}/`, strict), refused, host)
    }
    t.equal(connections.made, 0)
  })

  t.test('names, by every address that they have, before a connection is made', async (t) => {
    const { url, connections } = await startServer(t, files())
    const { port } = new URL(url)
    await t.rejects(open(t, `http://localhost:${port}/`, strict), refused)
    const mixed: GuardedRequestOptions['resolve'] = (_host, _options, done) =>
      done(null, [
        { address: '93.184.216.34', family: 4 },
        { address: '127.0.0.1', family: 4 },
      ])
    await t.rejects(open(t, `http://cdn.example:${port}/`, { ...strict, resolve: mixed }), refused)
    t.equal(connections.made, 0)
  })

  t.test('a name that is resolved to another address the next time is connected to as it was checked', async (t) => {
    const { url } = await startServer(t, files())
    let resolved = 0
    const rebinding: GuardedRequestOptions['resolve'] = (_host, _options, done) => {
      resolved += 1
      done(null, [{ address: resolved === 1 ? '127.0.0.1' : '169.254.169.254', family: 4 }])
    }
    const source = await open(t, `http://rebind.example:${new URL(url).port}/`, { resolve: rebinding })
    t.match(source, { kind: 'ranged' })
    t.equal(resolved, 1, 'asked once for the connection that was made')
  })

  t.test('every redirect', async (t) => {
    const inside = await startServer(t, files())
    const targets = ['http://169.254.169.254/latest/meta-data/', 'http://[::ffff:10.0.0.1]/', 'http://10.0.0.1/']
    for (const location of targets) {
      const { url } = await startServer(t, (_request, response) => void response.writeHead(302, { location }).end())
      await t.rejects(open(t, url), refused, location)
    }
    for (const location of ['file:///etc/passwd', 'ftp://example.org/', 'http://user:pass@127.0.0.1/', 'data:,x']) {
      const { url } = await startServer(t, (_request, response) => void response.writeHead(307, { location }).end())
      await t.rejects(open(t, url), { code: 'IMPORT_URL_INVALID' }, location)
    }
    const good = await startServer(t, (_request, response) => {
      response.writeHead(301, { location: `${inside.url}/film.mp4` }).end()
    })
    t.match(await open(t, good.url), { kind: 'ranged', name: 'film.mp4' })
    const loop = await startServer(
      t,
      (_request, response) => void response.writeHead(302, { location: '/again' }).end(),
    )
    await t.rejects(open(t, loop.url), { code: 'IMPORT_TOO_MANY_REDIRECTS' })
    t.equal(loop.seen.length, 6)
  })

  t.test('only http and https', async (t) => {
    for (const url of [
      'file:///etc/passwd',
      'ftp://example.org/a',
      'gopher://x',
      'no url',
      'http://u:p@example.org/',
    ]) {
      await t.rejects(open(t, url), { code: 'IMPORT_URL_INVALID' }, url)
    }
  })

  t.test('nothing of ours is sent along', async (t) => {
    let headers: IncomingMessage['headers'] = {}
    const { url } = await startServer(t, (request, response) => {
      headers = request.headers
      files()(request, response)
    })
    await open(t, url)
    t.same(Object.keys(headers).sort(), ['accept-encoding', 'connection', 'host', 'range'])
  })
})
