import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { childEnvironment, readConfig } from '../../platform/config.ts'
import { silentLogger } from '../../platform/log.ts'
import { envelopeHeaders } from '../../runtime/codec/envelope.ts'
import { withAdmin } from '../../runtime/kafka/admin.ts'
import { createIdempotentProducer } from '../../runtime/kafka/idempotent-producer.ts'
import type { LogRecord } from '../../runtime/kafka/log-records.ts'
import { realKafka } from '../../runtime/kafka/testing/real-kafka.ts'
import { dropTopics } from '../../runtime/kafka/topics.ts'
import { openSession } from '../../runtime/run/session.ts'
import { until } from '../../runtime/testing/shop-on-kafka.ts'
import { examples } from '../../schemas/examples.ts'
import { videoEvents } from '../../schemas/topics.ts'

/**
 * docs/write-a-processor.md, followed by somebody who has only that page: its files are put into an empty folder, and its
 * commands are run there, on real servers.
 */
const ROOT = path.resolve(import.meta.dirname, '..', '..')
const page = readFileSync(path.join(ROOT, 'docs', 'write-a-processor.md'), 'utf8')
const files = [...page.matchAll(/<!-- (docs\/examples\/announce-videos\/\S+) -->\n```ts\n([\s\S]*?)```/g)]
/** The page's `npx node docs/…` lines, in their order, by the name of the program. */
const commands = new Map(
  [...page.matchAll(/^npx node (docs\/\S+\/)(\S+)(.*?)( &)?$/gm)].map(([, folder, name, args]) => [
    name,
    [`${folder}${name}`, ...`${args}`.trim().split(' ')].filter((word) => word !== ''),
  ]),
)
const WITHIN_MS = 60_000

t.test('the page has the files of the example, and a command for each that is run', async (t) => {
  const folder = path.join(ROOT, 'docs', 'examples', 'announce-videos')
  t.same(files.map(([, file = '']) => path.basename(file)).sort(), readdirSync(folder).sort())
  t.same([...commands.keys()], ['processor.test.ts', 'prepare.ts', 'main.ts'])
})

/** What a checkout has, but for the folder that the page makes. */
const emptyFolder = (t: Test): string => {
  const folder = mkdtempSync(path.join(tmpdir(), 'reelstream-tutorial-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  for (const name of ['node_modules', 'package.json', 'platform', 'runtime', 'schemas'])
    symlinkSync(path.join(ROOT, name), path.join(folder, name))
  for (const [, file = '', code = ''] of files) {
    mkdirSync(path.join(folder, path.dirname(file)), { recursive: true })
    writeFileSync(path.join(folder, file), code)
  }
  return folder
}

t.test('who follows the page announces each video once, whatever dies', async (t) => {
  const folder = emptyFolder(t)
  const start = (command: string, url?: string): ChildProcess => {
    const args = (commands.get(command) ?? []).map((word) => (word.startsWith('http:') ? (url ?? word) : word))
    const options = { cwd: folder, env: childEnvironment({ LOG_LEVEL: 'warn' }) }
    return spawn(process.execPath, args, { ...options, stdio: ['ignore', 'ignore', 'inherit'] })
  }
  const runToEnd = async (command: string): Promise<void> => {
    const [code] = await once(start(command), 'exit')
    t.equal(code, 0, command)
  }

  const kafka = realKafka()
  const before = new Set(await withAdmin(kafka, (admin) => admin.listTopics()))
  t.teardown(async () => {
    const own = ['announcements', 'announce-videos-state', videoEvents.name].filter((name) => !before.has(name))
    await dropTopics(kafka, own)
  })
  await runToEnd('processor.test.ts')
  await runToEnd('prepare.ts')
  await runToEnd('prepare.ts')

  const told: string[] = []
  const listener = createServer(async (request, answer) => {
    const text = Buffer.concat(await request.toArray()).toString()
    told.push(`${(JSON.parse(text) as { videoId: string }).videoId} ${request.headers['idempotency-key']}`)
    answer.end()
  }).listen(0, '127.0.0.1')
  t.teardown(() => listener.close())
  await once(listener, 'listening')
  const url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`

  const { kafkaBrokers: brokers, schemaRegistryUrl: registryUrl } = readConfig()
  const session = await openSession({ brokers, registryUrl, clientId: 'tutorial', log: silentLogger })
  const producer = createIdempotentProducer(kafka)
  t.teardown(() => Promise.all([producer.close(), session.close()]))
  const publish = async (key: string): Promise<void> => {
    const schema = videoEvents.events.PlaylistPublished
    const value = session.codec.encode(schema, { ...examples.PlaylistPublished, complete: true })
    const about = { type: schema.name, source: '/test', timeMs: Date.now(), causationId: null, traceparent: null }
    await producer.send([
      { topic: videoEvents.name, key, value, headers: envelopeHeaders({ id: randomUUID(), ...about }) },
    ])
  }
  const announced = async (key: string): Promise<number> => {
    const all: LogRecord[] = []
    for (let partition = 0; partition < readConfig().videoPartitions; partition++)
      await session.reader.readToEnd('announcements', partition, 0n, (records) => void all.push(...records))
    return all.filter((record) => record.key === key).length
  }

  const [first, second] = [`tutorial-${randomUUID()}`, `tutorial-${randomUUID()}`]
  let running = start('main.ts', url)
  t.teardown(() => running.kill('SIGKILL'))
  await publish(first)
  await until('the first video is announced', async () => (await announced(first)) === 1, WITHIN_MS)

  running.kill('SIGKILL')
  await once(running, 'exit')
  await publish(second)
  await publish(first)
  running = start('main.ts', url)
  await until('the second video is announced', async () => (await announced(second)) === 1, WITHIN_MS)
  running.kill('SIGTERM')
  t.same(await once(running, 'exit'), [0, null], 'Ctrl-C and SIGTERM end it in order')

  t.equal(await announced(first), 1)
  for (const key of [first, second]) {
    const posts = told.filter((line) => line.startsWith(key))
    t.ok(posts.length >= 1 && new Set(posts).size === 1, 'a repetition is known by its Idempotency-Key')
  }
})
