import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { freePorts } from '../../local/ports.ts'
import { END_WITHIN_MS } from '../../platform/graceful-end.ts'
import { clipFolder, videoClip } from '../e2e/clips.ts'
import { cli } from '../e2e/product.ts'
import { openRoles, type RoleProcess } from './roles.ts'
import { until } from './trial.ts'

/**
 * The four processes of the product on their own, with nobody who starts them again: how they end, and what they outlive.
 * One story on one set of servers, for these take longer to start than the story.
 */
const NAMES = ['processors', 'workers', 'projections', 'front'] as const
const CLIP_SECONDS = 12
/** The end itself, and what it takes to notice it on a busy machine. */
const ENDED_WITHIN_MS = END_WITHIN_MS + 500

const roles = await openRoles(t)
const [broker] = roles.kafka.brokers
let running: RoleProcess[] = []

const endOf = async (process: RoleProcess) => {
  const askedAtMs = performance.now()
  process.signal('SIGTERM')
  const { code } = await process.exited
  return { name: process.name, code, tookMs: Math.round(performance.now() - askedAtMs) }
}
const startAll = () => Promise.all(NAMES.map((name) => roles.start(name)))
const of = (name: string): RoleProcess => {
  const process = running.find((each) => each.name === name)
  if (process === undefined) throw new RangeError(name)
  return process
}

t.test(
  'asked to end in the middle of their work, all end in order within 5 s, and the work goes on later',
  async (t) => {
    running = await startAll()
    const clip = await videoClip(await clipFolder(t), CLIP_SECONDS)
    const upload = await cli(roles, 'upload', clip, '--json')
    t.equal(upload.code, 0, upload.stderr)
    await until('FFmpeg runs', async () => (await childrenOf(of('workers'))).length > 0)
    const encoders = await childrenOf(of('workers'))
    const ends = await Promise.all(running.map(endOf))
    for (const { name, code, tookMs } of ends) {
      t.equal(code, 0, `${name} ended in order`)
      t.ok(tookMs <= ENDED_WITHIN_MS, `${name} ended after ${tookMs} ms`)
    }
    for (const process of running) t.equal(process.log().at(-1)?.msg, 'ended', `${process.name} says so`)
    t.same((await Promise.all(encoders.map(isAlive))).filter(Boolean), [], 'no encoder is left behind')

    running = await startAll()
    const videoId = String(upload.lines.at(-1)?.videoId)
    await until('the video is ready', async () => (await statusOf(videoId)) === 'ready')
  },
)

t.test('Kafka away: they wait without spinning, say so once, end when asked, and go on when it is back', async (t) => {
  await broker?.kill()
  const [port] = await freePorts(1)
  const late = roles.launch('processors', port)
  const before = await Promise.all(running.map(usageOf))
  const lookedAtMs = performance.now()
  // The time itself is what is measured here: what they use while they wait.
  await delay(8_000)
  const after = await Promise.all(running.map(usageOf))
  const passedMs = performance.now() - lookedAtMs
  for (const [n, { name }] of running.entries()) {
    const cpu = ((after[n]?.cpuMs ?? 0) - (before[n]?.cpuMs ?? 0)) / passedMs
    const lines = (after[n]?.lines ?? 0) - (before[n]?.lines ?? 0)
    t.ok(cpu < 0.1, `${name} used ${(cpu * 100).toFixed(1)} % of a core`)
    t.ok(lines < 30, `${name} wrote ${lines} lines in 8 s`)
  }
  for (const name of ['processors', 'workers']) t.notOk(await of(name).isReady(), `${name} does not say that it works`)
  t.ok(
    of('processors')
      .log()
      .some(({ detail }) => /ECONNREFUSED/.test(String(detail))),
    'the log names the broker that is away',
  )
  const end = await endOf(of('projections'))
  t.ok(end.tookMs <= ENDED_WITHIN_MS, `projections ended after ${end.tookMs} ms`)
  t.equal(end.code, 0, 'projections ended in order')
  const lateProjections = roles.launch('projections')

  await broker?.start()
  running = [...running.filter(({ name }) => name !== 'projections'), lateProjections]
  const all = [...running, late]
  for (const process of all) await until(`${process.name} is ready`, () => process.isReady())
  t.same(
    all.filter((process) => process.hasExited()).map(({ name }) => name),
    [],
    'none has died of it, and those that began without Kafka have waited for it',
  )
  await endOf(late)
})

t.test('Kafka silent: asked to end they end within 5 s, asked again at once', async (t) => {
  process.kill(broker?.pid() ?? 0, 'SIGSTOP')
  t.teardown(() => process.kill(broker?.pid() ?? 0, 'SIGCONT'))
  const processors = await endOf(of('processors'))
  t.ok(processors.tookMs <= ENDED_WITHIN_MS, `processors ended after ${processors.tookMs} ms`)
  t.equal(processors.code, 0, 'what the broker does not answer is let go in order')
  t.equal(of('processors').log().at(-1)?.msg, 'ended')
  const workers = of('workers')
  workers.signal('SIGTERM')
  await until('it is ending', () => workers.log().some(({ msg }) => msg === 'ending'))
  const { tookMs, code } = await endOf(workers)
  t.equal(code, 1, 'in the middle of its end')
  t.ok(tookMs < 500, `workers left ${tookMs} ms after the second signal`)
})

const usageOf = async (process: RoleProcess) => ({ cpuMs: await process.cpuMs(), lines: process.log().length })

const childrenOf = async ({ pid }: RoleProcess): Promise<readonly number[]> => {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return children.split(' ').filter(Boolean).map(Number)
}

const isAlive = async (pid: number): Promise<boolean> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => 'State:\tX') // no such process
  return !/^State:\s+[XZ]/m.test(status)
}

const statusOf = async (videoId: string): Promise<string | undefined> => {
  const response = await fetch(`${roles.env.GATEWAY_URL}/videos/${videoId}`, {
    headers: { authorization: `Bearer ${roles.env.AUTHOR_TOKEN}` },
  })
  return response.ok ? ((await response.json()) as { readonly status: string }).status : undefined
}
