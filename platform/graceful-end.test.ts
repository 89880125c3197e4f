import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import t, { type Test } from 'tap'
import { ConfigError, UpstreamError } from './errors.ts'
import { patiently } from './graceful-end.ts'
import { silentLogger } from './log.ts'

const WITHIN_MS = 300

/** A process that says `up` when it has started, and its log. */
const run = (t: Test, body: string) => {
  const modules = Object.entries({ endGracefully: 'graceful-end.ts', createLogger: 'log.ts' })
    .map(([name, file]) => `import { ${name} } from '${path.join(import.meta.dirname, file)}'`)
    .join('\n')
  const folder = t.testdir({
    'main.mjs': `${modules}
const atEnd = endGracefully(createLogger('test', 'info'), ${WITHIN_MS})
setInterval(() => {}, 1000)
${body}
process.send('up')`,
  })
  const child = spawn(process.execPath, [path.join(folder, 'main.mjs')], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  let output = ''
  child.stdout?.on('data', (chunk) => {
    output += chunk
  })
  const ended = once(child, 'close').then(([code]) => ({
    code: code as number | null,
    said: output.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line).msg as string])),
  }))
  return { up: once(child, 'message'), ended, kill: (signal: NodeJS.Signals) => child.kill(signal) }
}

t.test('asked to end, it closes what it has and exits with 0', async (t) => {
  const { up, ended, kill } = run(
    t,
    `atEnd(async () => (await import('node:fs')).writeSync(1, '{"msg":"closing"}\\n'))`,
  )
  await up
  kill('SIGTERM')
  t.same(await ended, { code: 0, said: ['ending', 'closing', 'ended'] })
})

t.test('what does not end in time is left', async (t) => {
  const { up, ended, kill } = run(t, 'atEnd(() => new Promise(() => {}))')
  await up
  const askedAtMs = performance.now()
  kill('SIGTERM')
  t.same(await ended, { code: 1, said: ['ending', 'not everything has ended, leaving'] })
  t.ok(performance.now() - askedAtMs > WITHIN_MS - 50)
})

t.test('asked again, it leaves at once', async (t) => {
  const { up, ended, kill } = run(
    t,
    `atEnd(() => new Promise(() => process.kill(process.pid, 'SIGTERM')))
     await import('node:timers/promises').then(({ setImmediate }) => setImmediate())`,
  )
  await up
  kill('SIGTERM')
  t.same(await ended, { code: 1, said: ['ending', 'asked again, leaving at once'] })
})

t.test('a start that fails is one line of the log and exit code 1', async (t) => {
  const { ended } = run(t, `await Promise.reject(new Error('no lanes'))`)
  t.same(await ended, { code: 1, said: ['ending after an error that nobody handled', 'ended'] })
})

t.test('asked to end before it has started, it just ends', async (t) => {
  const { ended } = run(t, `process.kill(process.pid, 'SIGTERM'); await new Promise(() => {})`)
  t.same(await ended, { code: 0, said: ['ending', 'ended'] })
})

t.test('what is away at the start is waited for', async (t) => {
  let attempts = 0
  const open = async () => {
    attempts += 1
    if (attempts < 3) throw new UpstreamError('KAFKA_UNAVAILABLE', 'away')
    return 'here'
  }
  t.equal(await patiently(open, silentLogger, { firstWaitMs: 1 }), 'here')
  t.equal(attempts, 3)
})

t.test('what will not pass, or does not pass in time, is thrown', async (t) => {
  const failing = (error: Error) =>
    patiently(() => Promise.reject(error), silentLogger, { firstWaitMs: 1, patienceMs: 20 })
  await t.rejects(failing(new ConfigError('TOPIC_DRIFT', 'other partitions')), { code: 'TOPIC_DRIFT' })
  await t.rejects(failing(new UpstreamError('KAFKA_UNAVAILABLE', 'away')), { code: 'KAFKA_UNAVAILABLE' })
})
