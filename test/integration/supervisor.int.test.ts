import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { openDataDir } from '../../local/data-dir.ts'
import { freePorts } from '../../local/ports.ts'
import { processIdentity, sessionMembers } from '../../local/processes.ts'
import { type RunFile, readRunFile } from '../../local/run-file.ts'
import { childEnvironment } from '../../platform/config.ts'

/**
 * The supervisor of `npm start`, with roles that do nothing but be ready, on the servers that the test runner started.
 */
const roleProgram = (portSetting: string) => `
import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
spawn('sleep', ['600'], { stdio: 'ignore' })
createServer((_, response) => response.end('{}')).listen(process.env.${portSetting}, '127.0.0.1')
process.once('SIGTERM', () => process.exit(0))
`

const startable = async (t: Test, overrides: Record<string, string> = {}) => {
  const folder = t.testdir({
    'workers.mjs': roleProgram('WORKERS_PORT'),
    'front.mjs': roleProgram('WEB_PORT'),
    'migrate.mjs': '',
    'cli.mjs': 'console.log("uploads", process.argv.slice(2).join(" "))',
    'clip.mp4': '',
    ...overrides,
  })
  const [workers, web] = await freePorts(2)
  const dataDir = await openDataDir(path.join(folder, 'data'))
  const env = childEnvironment({ DATA_DIR: dataDir, WORKERS_PORT: String(workers), WEB_PORT: String(web) })
  const start = (...args: string[]) => {
    const script = path.join(import.meta.dirname, 'stub-product.ts')
    const supervisor = spawn(process.execPath, [script, folder, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const output: string[] = []
    supervisor.stdout.on('data', (chunk) => output.push(String(chunk)))
    supervisor.stderr.on('data', (chunk) => output.push(String(chunk)))
    t.teardown(() => stop(supervisor))
    return { supervisor, output: () => output.join('') }
  }
  const ready = () => until(() => readRunFile(dataDir))
  return { folder, dataDir, start, ready, clip: path.join(folder, 'clip.mp4') }
}

const until = async <T>(probe: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> => {
  for (const end = Date.now() + 20_000; Date.now() < end; await delay(20)) {
    const found = await probe()
    if (found) return found
  }
  throw new Error('the condition did not come true within 20 s')
}

const stop = async (supervisor: ChildProcess): Promise<number | null> => {
  if (supervisor.exitCode !== null || supervisor.signalCode !== null) return supervisor.exitCode
  const exited = once(supervisor, 'exit')
  supervisor.kill('SIGTERM')
  const [code] = (await exited) as [number | null]
  return code
}

const pidOf = (run: RunFile, role: string): number => run.pids[role] ?? 0

t.test('a role that is killed comes back, and what it had started is gone', async (t) => {
  const product = await startable(t)
  const { supervisor } = product.start()
  const before = await product.ready()
  const killed = pidOf(before, 'workers')
  const orphans = sessionMembers(killed).filter((pid) => pid !== killed)
  t.equal(orphans.length, 1, 'the role has a child')
  process.kill(killed, 'SIGKILL')
  const after = await until(async () => {
    const run = await readRunFile(product.dataDir)
    return run && pidOf(run, 'workers') !== killed && run
  })
  t.not(pidOf(after, 'workers'), killed, 'run.json has the new pid')
  t.equal(pidOf(after, 'front'), pidOf(before, 'front'), 'the others were left alone')
  t.same(sessionMembers(killed), [])
  t.equal(await stop(supervisor), 0)
  t.same(Object.values(after.pids).flatMap(sessionMembers), [], 'no child is left after a stop')
  t.notOk(existsSync(path.join(product.dataDir, 'run.json')))
})

t.test('after kill -9 of the supervisor the next start clears its children away and goes on', async (t) => {
  const product = await startable(t)
  const first = product.start()
  const before = await product.ready()
  const exited = once(first.supervisor, 'exit')
  first.supervisor.kill('SIGKILL')
  await exited
  t.ok(processIdentity(pidOf(before, 'front')), 'the roles live on')
  const second = product.start()
  const after = await until(async () => {
    const run = await readRunFile(product.dataDir)
    return run && run.supervisorPid === second.supervisor.pid && run
  })
  t.match(second.output(), 'stopped what the last run left behind')
  t.same(Object.values(before.pids).flatMap(sessionMembers), [])
  t.equal(Object.keys(after.pids).length, 2)
  t.equal(await stop(second.supervisor), 0)
})

t.test('a second start says that the first is running, and hands its file over to it', async (t) => {
  const product = await startable(t)
  const first = product.start()
  const run = await product.ready()
  const second = product.start(product.clip)
  const [code] = (await once(second.supervisor, 'close')) as [number]
  t.equal(code, 0)
  t.match(second.output(), `already running here (pid ${first.supervisor.pid}): ${run.webUrl}`)
  t.match(second.output(), `uploads upload ${product.clip} --wait`)
  t.equal(first.supervisor.exitCode, null, 'the first is not disturbed')
})

t.test('a role that cannot start ends the start with the reason from its log, and leaves nothing', async (t) => {
  const product = await startable(t, { 'workers.mjs': 'console.error("error: no lanes"); process.exit(3)' })
  const { supervisor, output } = product.start()
  const [code] = (await once(supervisor, 'close')) as [number]
  t.equal(code, 1)
  t.match(output(), 'workers ended (exit code 3)')
  t.match(output(), 'error: no lanes')
  t.same(JSON.parse(readFileSync(path.join(product.dataDir, 'processes.json'), 'utf8')), [])
})

t.test('Ctrl-C in the middle of a start stops it cleanly', async (t) => {
  const product = await startable(t, { 'migrate.mjs': 'setTimeout(() => {}, 60_000)' })
  const { supervisor } = product.start()
  const records = path.join(product.dataDir, 'processes.json')
  await until(() => existsSync(records) && readFileSync(records, 'utf8').includes('"migrate"'))
  t.equal(await stop(supervisor), 0)
  t.same(JSON.parse(readFileSync(records, 'utf8')), [])
})
