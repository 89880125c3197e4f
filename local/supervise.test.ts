import { existsSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { childEnvironment } from '../platform/config.ts'
import { createChildren } from './child.ts'
import { type Managed, supervise } from './supervise.ts'

/** A process that is healthy as soon as its file is there. */
const managed = (folder: string, script: string): Managed => ({
  name: 'subject',
  spec: () => ({ name: 'subject', command: 'sh', args: ['-c', script], env: childEnvironment({}), cwd: folder }),
  isHealthy: async () => existsSync(path.join(folder, 'healthy')),
})

const options = (folder: string, report: (line: string) => void = () => undefined) => ({
  children: createChildren(folder),
  readyTimeoutMs: 5_000,
  report,
})

t.test('a process that dies is started again, until it is asked to stop', async (t) => {
  const folder = t.testdir()
  const again = Promise.withResolvers<void>()
  const subject = await supervise(managed(folder, 'touch healthy; exec sleep 60'), {
    ...options(folder),
    onRestart: again.resolve,
  })
  const first = subject.pid()
  process.kill(first, 'SIGKILL')
  await again.promise
  const second = subject.pid()
  t.not(second, first)
  await subject.stop()
  t.throws(() => process.kill(second, 0), { code: 'ESRCH' })
})

t.test('a first start that fails is not tried again: its log says why', async (t) => {
  const folder = t.testdir()
  const failed = supervise(managed(folder, 'echo fatal: out of luck; exit 7'), options(folder))
  await t.rejects(failed, { code: 'CHILD_FAILED', message: /exit code 7[\s\S]*fatal: out of luck/ })
})

t.test('a failure that passes by itself is tried again', async (t) => {
  const folder = t.testdir()
  const script = 'if [ -e tried ]; then touch healthy; exec sleep 60; fi; touch tried; echo still in use; exit 1'
  const subject = await supervise(
    { ...managed(folder, script), isPassing: (error) => error.message.includes('still in use') },
    options(folder),
  )
  t.ok(existsSync(path.join(folder, 'tried')))
  await subject.stop()
})

t.test('one that never becomes healthy is given up', async (t) => {
  const folder = t.testdir()
  const hanging = options(folder)
  await t.rejects(supervise(managed(folder, 'exec sleep 60'), { ...hanging, readyTimeoutMs: 100 }), {
    code: 'NOT_READY',
  })
  await hanging.children.stopAll()
})

t.test('stopping while it starts ends the waiting at once, and nothing can be started any more', async (t) => {
  const folder = t.testdir()
  const starting = options(folder)
  const subject = supervise(managed(folder, 'exec sleep 60'), starting)
  starting.children.close()
  await t.rejects(subject, { code: 'STOPPING' })
  await t.rejects(supervise(managed(folder, 'exec sleep 60'), starting), { code: 'STOPPING' })
  await starting.children.stopAll()
})
