import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { clipFolder, videoClip } from './clips.ts'
import { readFacts, statementOf, twice } from './facts.ts'
import { cli, type Product, settledVideo, startProduct, until } from './product.ts'

/**
 * kill -9 of a role at a moment that nobody chose, once per video. Each video becomes ready, no fact is said twice, no
 * encoder outlives its worker.
 *
 * Workers and processors are killed side by side in one product, each while a video of their own is under way: most of
 * the time passes in waiting for the groups to notice a death, and they notice at the same time. The two kinds of
 * videos differ in their length, by which an encoder is known: so a worker dies with its own video, once.
 */
const ROUNDS = 5
const SECONDS = { workers: 8, processors: 6 } as const
const FRAMES_A_SECOND = 25
type Role = keyof typeof SECONDS

t.test(`kill -9 of the workers and of the processors, ${ROUNDS} times each`, async (t) => {
  const product = await startProduct(t)
  const folder = await clipFolder(t)
  await Promise.all([killing(t, product, folder, 'workers'), killing(t, product, folder, 'processors')])
  const facts = await readFacts(await product.run())
  t.same(twice(facts.map(({ id }) => id)), [], 'no ce_id twice')
  t.same(twice(facts.map(statementOf)), [], 'no statement twice')
  t.equal(facts.filter(({ type }) => type === 'TranscodePlanned').length, 2 * ROUNDS)
})

/** One video after the other: five deaths in succession would rightly be held against one encode. */
const killing = async (t: Test, product: Product, folder: string, role: Role): Promise<void> => {
  for (let round = 0; round < ROUNDS; round++) {
    const upload = cli(product, 'upload', await videoClip(folder, SECONDS[role], round), '--json')
    if (role === 'workers') await until('FFmpeg makes the pictures', () => makesPictures(product, role), WITHIN_MS)
    await delay(Math.random() * (role === 'workers' ? 1_500 : 3_000))
    await kill(product, role)
    const { code, lines } = await upload
    t.equal(code, 0, `${role}, ${round}: the upload is complete all the same`)
    const video = await settledVideo(product, String(lines.at(-1)?.videoId), WITHIN_MS)
    t.equal(video.status, 'ready', `${role}, ${round}`)
    t.same(
      video.renditions.map(({ width, height }) => `${width}x${height}`),
      ['1280x720', '854x480', '320x180'],
    )
  }
}

/** A death costs ten seconds until the group has noticed it, and both roles die. */
const WITHIN_MS = 120_000

const kill = async (product: Product, role: Role): Promise<void> => {
  const { pids } = await product.run()
  const before = await encoders(product)
  process.kill(pids[role], 'SIGKILL')
  if (role !== 'workers') return
  const orphans = async () => (await Promise.all(before.map(isAlive))).some(Boolean)
  await until('no encoder outlives its worker', async () => !(await orphans()), 2_000)
}

const makesPictures = async (product: Product, role: Role): Promise<boolean> => {
  const lastFrame = `trim=end_pts=${SECONDS[role] * FRAMES_A_SECOND},`
  const commands = await Promise.all((await encoders(product)).map((pid) => ofProcess(pid, 'cmdline')))
  return commands.some((command) => command.includes(lastFrame))
}

/** Children of the worker: it starts FFmpeg and ffprobe, nothing else. */
const encoders = async (product: Product): Promise<readonly number[]> => {
  const { workers } = (await product.run()).pids
  const children = await ofProcess(workers, `task/${workers}/children`)
  return children.split(' ').filter(Boolean).map(Number)
}

const isAlive = async (pid: number): Promise<boolean> => /^State:\s+[^XZ\s]/m.test(await ofProcess(pid, 'status'))

/** Empty for a process that is gone. */
const ofProcess = (pid: number, file: string): Promise<string> =>
  readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')
