import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { clipFolder, videoClip } from './clips.ts'
import { readFacts, statementOf, twice } from './facts.ts'
import { cli, type Product, settledVideo, startProduct, until } from './product.ts'

/**
 * kill -9 of a role at a moment that nobody chose, once per video. Each video becomes ready, no fact is said twice, no
 * encoder outlives its worker.
 */
const ROUNDS = 5
const CLIP_SECONDS = 20

for (const role of ['workers', 'processors'] as const) {
  t.test(`kill -9 of the ${role}, ${ROUNDS} times`, async (t) => {
    const product = await startProduct(t)
    const folder = await clipFolder(t)
    for (let round = 0; round < ROUNDS; round++) {
      const upload = cli(product, 'upload', await videoClip(folder, CLIP_SECONDS, round), '--json')
      const begun =
        role === 'workers' ? await until('FFmpeg runs', async () => (await encoders(product)).length > 0) : true
      t.ok(begun)
      await delay(Math.random() * 1_500)
      const { pids } = await product.run()
      const before = await encoders(product)
      process.kill(pids[role], 'SIGKILL')
      if (role === 'workers') {
        const orphans = async () => (await Promise.all(before.map(isAlive))).some(Boolean)
        await until('no encoder outlives its worker', async () => !(await orphans()), 2_000)
      }
      const { code, lines } = await upload
      t.equal(code, 0, 'the upload is complete all the same')
      const video = await settledVideo(product, String(lines.at(-1)?.videoId))
      t.equal(video.status, 'ready')
      t.same(
        video.renditions.map(({ width, height }) => `${width}x${height}`),
        ['1280x720', '854x480', '320x180'],
      )
    }
    await checkFacts(t, product)
  })
}

const checkFacts = async (t: Test, product: Product): Promise<void> => {
  const facts = await readFacts(await product.run())
  t.same(twice(facts.map(({ id }) => id)), [], 'no ce_id twice')
  t.same(twice(facts.map(statementOf)), [], 'no statement twice')
  t.equal(facts.filter(({ type }) => type === 'TranscodePlanned').length, ROUNDS)
}

/** Children of the worker: it starts FFmpeg and ffprobe, nothing else. */
const encoders = async (product: Product): Promise<readonly number[]> => {
  const { workers } = (await product.run()).pids
  const children = await readFile(`/proc/${workers}/task/${workers}/children`, 'utf8').catch(() => '')
  return children.split(' ').filter(Boolean).map(Number)
}

const isAlive = async (pid: number): Promise<boolean> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => 'State:\tX')
  return !/^State:\s+[XZ]/m.test(status)
}
