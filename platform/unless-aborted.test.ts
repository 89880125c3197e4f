import { getEventListeners } from 'node:events'
import t from 'tap'
import { unlessAborted } from './unless-aborted.ts'

const never = new Promise<never>(() => undefined)

t.test('settles as the work does, and listens no more', async (t) => {
  const { signal } = new AbortController()
  t.equal(await unlessAborted(signal, Promise.resolve('done')), 'done')
  await t.rejects(unlessAborted(signal, Promise.reject(new Error('away'))), { message: 'away' })
  t.equal(getEventListeners(signal, 'abort').length, 0)
})

t.test('an abort ends the wait with its reason, before or while it lasts', async (t) => {
  const controller = new AbortController()
  const waiting = unlessAborted(controller.signal, never)
  controller.abort(new Error('closed'))
  await t.rejects(waiting, { message: 'closed' })
  await t.rejects(unlessAborted(controller.signal, never), { message: 'closed' })
})

t.test('work that is left behind and fails later is nobody’s error', async (t) => {
  const controller = new AbortController()
  const work = Promise.withResolvers<void>()
  const waiting = unlessAborted(controller.signal, work.promise)
  controller.abort(new Error('closed'))
  await t.rejects(waiting, { message: 'closed' })
  work.reject(new Error('away'))
  await new Promise(setImmediate) // an unhandled rejection would fail the file here
  t.pass()
})
