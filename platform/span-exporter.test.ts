import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { openSpanExporter, type Span } from './span-exporter.ts'

interface Attribute {
  readonly key: string
  readonly value: { readonly stringValue: string }
}
interface OtlpBody {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] }
    readonly scopeSpans: readonly { readonly spans: readonly { readonly name: string }[] }[]
  }[]
}

const logging = () => {
  const lines: { readonly level: number; readonly msg: string; readonly dropped?: number }[] = []
  const log = pino({ base: null }, { write: (line) => void lines.push(JSON.parse(line)) })
  return { log, lines, messages: () => lines.map(({ msg }) => msg) }
}

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await sleep(2)
}

/** A collector that answers with the given statuses, one after the other, and then with 200, when it may answer. */
const open = async (t: Test, { statuses = [] as number[], sendEveryMs = 5, answering = Promise.resolve() } = {}) => {
  const bodies: OtlpBody[] = []
  const requests: { url: string | undefined; headers: IncomingHttpHeaders }[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    requests.push({ url: request.url, headers: request.headers })
    const status = statuses.shift() ?? 200
    await answering
    if (status === 200) bodies.push(JSON.parse(Buffer.concat(chunks).toString()) as OtlpBody)
    // If again, then at once.
    response.writeHead(status, { 'retry-after': new Date(0).toUTCString() }).end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { log, lines, messages } = logging()
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const exporter = await openSpanExporter({ endpoint, service: 'workers', log, sendEveryMs })
  const names = () =>
    bodies.map(({ resourceSpans }) => resourceSpans[0]?.scopeSpans[0]?.spans.map(({ name }) => name) ?? [])
  return { exporter, bodies, requests, names, lines, messages }
}

const span = (name: string, flags = '01'): Span => ({
  context: { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', flags },
  parentSpanId: '00f067aa0ba902b7',
  name,
  kind: 'internal',
  startedAtMs: 1_767_225_600_000,
  durationMs: 250,
  failure: null,
  attributes: { effectId: 'e-1', attempt: 2 },
})

/** Of the environment, for one test. */
const set = (t: Test, name: string, value: string): void => {
  process.env[name] = value
  t.teardown(() => void delete process.env[name])
}

t.test('spans are sent together, as OTLP has them', async (t) => {
  const { exporter, requests, bodies } = await open(t, { sendEveryMs: 50 })
  exporter.export(span('probe'))
  const root = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '53995c3f42cd8ad8', flags: '01' }
  exporter.export({ ...span('claim'), context: root, kind: 'producer', parentSpanId: null, failure: 'SEND_FAILED' })
  t.same(requests, [], 'not one by one')
  await until(() => bodies.length === 1)
  t.match(requests, [{ url: '/v1/traces', headers: { 'content-type': 'application/json' } }])
  const [{ resource, scopeSpans } = { resource: { attributes: [] }, scopeSpans: [] }] = bodies[0]?.resourceSpans ?? []
  t.same(resource.attributes, [
    { key: 'service.name', value: { stringValue: 'workers' } },
    { key: 'service.namespace', value: { stringValue: 'reelstream' } },
  ])
  const common = {
    startTimeUnixNano: '1767225600000000000',
    endTimeUnixNano: '1767225600250000000',
    attributes: [
      { key: 'effectId', value: { stringValue: 'e-1' } },
      { key: 'attempt', value: { intValue: 2 } },
    ],
  }
  const { traceId, spanId } = span('').context
  const probe = { traceId, spanId, parentSpanId: '00f067aa0ba902b7', name: 'probe', kind: 1, status: { code: 0 } }
  const claim = {
    ...{ traceId: root.traceId, spanId: root.spanId, parentSpanId: undefined, name: 'claim', kind: 4 },
    status: { code: 2, message: 'SEND_FAILED' },
  }
  t.equal(scopeSpans.length, 1)
  t.match(scopeSpans[0], {
    scope: { name: 'reelstream' },
    spans: [
      { ...common, ...probe },
      { ...common, ...claim },
    ],
  })
  await exporter.close()
})

t.test('a collector gets the headers and attributes that OpenTelemetry finds in the environment', async (t) => {
  set(t, 'OTEL_EXPORTER_OTLP_HEADERS', 'api-key=sesame')
  set(t, 'OTEL_RESOURCE_ATTRIBUTES', 'deployment.environment.name=staging')
  const { exporter, requests, bodies } = await open(t)
  exporter.export(span('a'))
  await exporter.close()
  t.equal(requests[0]?.headers['api-key'], 'sesame')
  const attributes = bodies[0]?.resourceSpans[0]?.resource.attributes ?? []
  t.same(Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue])), {
    'service.name': 'workers',
    'service.namespace': 'reelstream',
    'deployment.environment.name': 'staging',
  })
})

t.test('a full batch does not wait', async (t) => {
  const { exporter, names, messages } = await open(t, { sendEveryMs: 60_000 })
  for (let n = 0; n < 513; n++) exporter.export(span(`${n}`))
  await until(() => names().length === 1)
  t.equal(names()[0]?.length, 512)
  await exporter.close()
  t.same(names()[1], ['512'], 'what is left is sent at the end')
  t.same(messages(), [])
})

t.test('a collector that is busy gets the same spans again', async (t) => {
  const { exporter, names, requests, messages } = await open(t, { statuses: [503, 429] })
  exporter.export(span('a'))
  await until(() => names().length === 1)
  t.same(names(), [['a']])
  t.equal(requests.length, 3)
  await exporter.close()
  t.same(messages(), [])
})

t.test('what a collector refuses is counted, the log says so once, the next is sent', async (t) => {
  const { exporter, names, requests, lines, messages } = await open(t, { statuses: [400, 400] })
  for (const [n, name] of ['bad', 'worse', 'good'].entries()) {
    exporter.export(span(name))
    await until(() => requests.length > n && lines.length > 0)
  }
  await until(() => lines.length === 2)
  t.same(names(), [['good']])
  t.same(messages(), ['spans cannot be exported', 'spans are exported again'])
  t.match(lines, [{ level: 40, detail: /Bad Request/ }, { dropped: 2 }])
  await exporter.close()
  t.equal(lines.length, 2)
})

t.test('no more is kept than a queue holds, and the end says how many are missing', async (t) => {
  let answer = (): void => undefined
  const answering = new Promise<void>((resolve) => {
    answer = resolve
  })
  const { exporter, names, lines, messages } = await open(t, { answering })
  for (let n = 0; n < 5_000; n++) exporter.export(span(`${n}`))
  answer()
  await until(() => names().flat().length === 2_048)
  await exporter.close()
  t.equal(names().flat().length, 2_048)
  t.same(messages(), ['spans were not exported'])
  t.equal(lines[0]?.dropped, 5_000 - 2_048)
})

t.test('a trace that nobody records is not sent, and nothing is after the end', async (t) => {
  const { exporter, requests, messages } = await open(t)
  exporter.export(span('unrecorded', '00'))
  await exporter.close()
  exporter.export(span('late'))
  await exporter.close()
  t.same(requests, [])
  t.same(messages(), [])
})

t.test('a collector that does not answer holds nobody up', async (t) => {
  // After which the request is given up: nobody ends this process before.
  set(t, 'OTEL_EXPORTER_OTLP_TIMEOUT', '5000')
  const { exporter, lines } = await open(t, { answering: new Promise(() => undefined) })
  exporter.export(span('a'))
  const startedAt = performance.now()
  await exporter.close()
  t.ok(performance.now() - startedAt < 3_000)
  t.match(lines, [{ msg: 'spans were not exported', dropped: 1 }])
})

t.test('a URL that is none costs one line of the log', async (t) => {
  const { log, messages } = logging()
  const exporter = await openSpanExporter({ endpoint: 'collector', service: 'workers', log })
  exporter.export(span('a'))
  await exporter.close()
  t.same(messages(), ['spans cannot be exported'])
})

t.test('OpenTelemetry is loaded where there is a collector, and nowhere else', async (t) => {
  const loaded = async (endpoint: string): Promise<string> => {
    const script = `
      import { registerHooks } from 'node:module'
      let loaded = 0
      registerHooks({ load: (url, context, next) => {
        if (url.includes('/@opentelemetry/')) loaded += 1
        return next(url, context)
      } })
      const { openSpanExporter } = await import(${JSON.stringify(import.meta.resolve('./span-exporter.ts'))})
      const log = { warn: (facts, text) => console.log(text, facts) }
      await openSpanExporter({ endpoint: ${JSON.stringify(endpoint)}, service: 'workers', log })
      console.log(loaded > 0)`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script])
    return stdout.trim()
  }
  t.equal(await loaded(''), 'false')
  t.equal(await loaded('http://127.0.0.1:4318'), 'true')
})
