import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { withPatience } from './patience.ts'

const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

t.test('what falls silent is ended, with a code', async (t) => {
  await t.rejects(withPatience(10, undefined, untilAborted), { code: 'CONNECTION_FAILED' })
})

t.test('what says now and then that something happens may take its time', async (t) => {
  const slow = withPatience(500, undefined, async (signal, happened) => {
    for (let i = 0; i < 6; i++) {
      await delay(100)
      happened()
    }
    return signal.aborted
  })
  t.equal(await slow, false)
})

t.test('somebody else may end it', async (t) => {
  const outer = new AbortController()
  const work = withPatience(60_000, outer.signal, untilAborted)
  outer.abort(new Error('enough'))
  await t.rejects(work, { message: 'enough' })
})

t.test('what happens after the end holds nobody up', async (t) => {
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
  const before = timers()
  let late = () => {}
  await withPatience(60_000, undefined, async (_signal, happened) => {
    late = happened
  })
  late()
  t.equal(timers(), before)
})
