import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t, { type Test } from 'tap'
import { createChildren } from './child.ts'
import { firstRun } from './first-run.ts'

/** A program that notes how it was run, then ends as a role without settings does. */
const PROGRAM = `
  import { appendFileSync } from 'node:fs'
  appendFileSync('runs', [process.execArgv, process.env.KAFKA_BROKERS === '' ? 'no settings' : 'settings'].join(' ') + '\\n')
  throw new Error('cannot start without settings')`

const prepared = async (t: Test) => {
  const folder = t.testdir()
  const entry = path.join(folder, 'role.mjs')
  await writeFile(entry, PROGRAM)
  await mkdir(path.join(folder, 'cache'))
  const children = createChildren(folder)
  t.teardown(() => children.stopAll())
  const fill = (cache: string | undefined) =>
    firstRun(cache, { programs: [entry, entry], flags: ['--max-semi-space-size=2'] }, children)
  const runs = () => readFile(path.join(folder, 'runs'), 'utf8').catch(() => '')
  return { fill, runs, cache: path.join(folder, 'cache') }
}

t.test('each program is run once, with its flags and without settings, and never again', async (t) => {
  const { fill, runs, cache } = await prepared(t)
  await fill(path.join(cache, 'v1'))
  t.equal(await runs(), '--max-semi-space-size=2 no settings\n'.repeat(2))
  await fill(path.join(cache, 'v2'))
  t.equal((await runs()).split('\n').length, 3)
})

t.test('without a cache there is nothing to fill', async (t) => {
  const { fill, runs } = await prepared(t)
  await fill(undefined)
  t.equal(await runs(), '')
})
