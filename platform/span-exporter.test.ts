import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { systemClock } from './clock.ts'
import { createSpanExporter, type Span } from './span-exporter.ts'

const SEND_EVERY_MS = 5_000

interface OtlpSpan {
  readonly name: string
}
interface OtlpBody {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[] }[]
}

/** A collector that answers with the given statuses, one after the other, and then with 200; time passes when told to. */
const open = async (t: Test, ...statuses: number[]) => {
  const bodies: OtlpBody[] = []
  const requests: { url: string | undefined; type: string | undefined }[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    requests.push({ url: request.url, type: request.headers['content-type'] })
    const status = statuses.shift() ?? 200
    if (status === 200) bodies.push(JSON.parse(Buffer.concat(chunks).toString()) as OtlpBody)
    response.writeHead(status).end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const timers = new Set<() => void>()
  const after = (delayMs: number, act: () => void) => {
    if (delayMs === SEND_EVERY_MS) timers.add(act)
    return () => void timers.delete(act)
  }
  const lines: { readonly msg: string }[] = []
  const log = pino({ base: null }, { write: (line) => void lines.push(JSON.parse(line)) })
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const clock = { ...systemClock, after }
  const exporter = createSpanExporter({ endpoint, service: 'workers', log, clock })
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await sleep(2)
  }
  /** Lets the time until the next sending pass, and that happen. */
  const pass = async (): Promise<void> => {
    const before = requests.length
    await until(() => timers.size > 0)
    for (const act of [...timers]) {
      timers.delete(act)
      act()
    }
    await until(() => requests.length > before)
  }
  const names = () =>
    bodies.map(({ resourceSpans }) => resourceSpans[0]?.scopeSpans[0]?.spans.map(({ name }) => name) ?? [])
  return { exporter, bodies, requests, names, pass, until, timers, lines: () => lines.map(({ msg }) => msg) }
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

t.test('spans are sent together, as OTLP has them', async (t) => {
  const { exporter, requests, bodies, pass } = await open(t)
  exporter.export(span('probe'))
  exporter.export({ ...span('encode'), kind: 'producer', parentSpanId: null, failure: 'FFMPEG_FAILED' })
  t.same(requests, [], 'not one by one')
  await pass()
  t.same(requests, [{ url: '/v1/traces', type: 'application/json' }])
  const common = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' }
  const times = { startTimeUnixNano: '1767225600000000000', endTimeUnixNano: '1767225600250000000' }
  const attributes = [
    { key: 'effectId', value: { stringValue: 'e-1' } },
    { key: 'attempt', value: { intValue: '2' } },
  ]
  t.same(bodies, [
    {
      resourceSpans: [
        {
          resource: {
            attributes: [
              { key: 'service.name', value: { stringValue: 'workers' } },
              { key: 'service.namespace', value: { stringValue: 'reelstream' } },
            ],
          },
          scopeSpans: [
            {
              scope: { name: 'reelstream' },
              spans: [
                { ...common, ...times, parentSpanId: '00f067aa0ba902b7', name: 'probe', kind: 1, attributes },
                {
                  ...common,
                  ...times,
                  name: 'encode',
                  kind: 4,
                  attributes,
                  status: { code: 2, message: 'FFMPEG_FAILED' },
                },
              ],
            },
          ],
        },
      ],
    },
  ])
  await exporter.close()
})

t.test('a full batch does not wait', async (t) => {
  const { exporter, names, until } = await open(t)
  for (let n = 0; n < 513; n++) exporter.export(span(`${n}`))
  await until(() => names().length === 1)
  t.equal(names()[0]?.length, 512)
  await exporter.close()
  t.same(names()[1], ['512'], 'what is left is sent at the end')
})

t.test('a collector that is busy gets the same spans again, and the log says so once', async (t) => {
  const { exporter, names, pass, lines, until } = await open(t, 503, 429)
  exporter.export(span('a'))
  await pass()
  await pass()
  t.same(names(), [])
  t.same(lines(), ['spans cannot be exported'])
  await pass()
  await until(() => lines().length === 2)
  t.same(names(), [['a']])
  t.same(lines()[1], 'spans are exported again')
  await exporter.close()
})

t.test('what a collector refuses is dropped, the next is sent', async (t) => {
  const { exporter, names, pass, until, lines } = await open(t, 400)
  exporter.export(span('bad'))
  await pass()
  await until(() => lines().length === 1)
  exporter.export(span('good'))
  await pass()
  t.same(names(), [['good']])
  await exporter.close()
})

t.test('no more is kept than a queue holds', async (t) => {
  const { exporter, names, pass, until, lines } = await open(t, 503)
  for (let n = 0; n < 5_000; n++) exporter.export(span(`${n}`))
  await until(() => lines().length === 1)
  await pass()
  await until(() => names().length === 1)
  await exporter.close()
  t.equal(names().flat().length, 2_048)
})

t.test('a trace that nobody records is not sent, and nothing is when there is no collector', async (t) => {
  const { exporter, timers } = await open(t)
  exporter.export(span('unrecorded', '00'))
  t.equal(timers.size, 0)
  await exporter.close()
  const log = pino({ level: 'silent' })
  const nowhere = createSpanExporter({ endpoint: '', service: 'workers', log })
  nowhere.export(span('a'))
  await nowhere.close()
})

t.test('a collector that does not answer holds nobody up', async (t) => {
  const server = createServer(() => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const exporter = createSpanExporter({ endpoint, service: 'workers', log: pino({ level: 'silent' }) })
  exporter.export(span('a'))
  const startedAt = performance.now()
  await exporter.close()
  t.ok(performance.now() - startedAt < 3_000)
})
