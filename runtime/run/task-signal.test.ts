import t from 'tap'
import { UpstreamError } from '../../platform/errors.ts'
import { seededRandom } from '../testing/simulation/random.ts'
import { SimulatedProcess } from '../testing/simulation/simulated-process.ts'
import { VirtualTime } from '../testing/simulation/virtual-time.ts'
import { TaskSignal } from './task-signal.ts'

const open = () => {
  const time = new VirtualTime(seededRandom(1), 0)
  const signal = new TaskSignal(new SimulatedProcess('p1', time, seededRandom(1)).clock)
  /** When a wait that begins now ends, ms; null: it does not. */
  const endOf = async (wait: Promise<void>): Promise<number | null> => {
    let endedAtMs: number | null = null
    void wait.then(() => {
      endedAtMs = time.nowMs
    })
    time.after(0, null, () => undefined) // promises are settled with events
    await time.runUntil(1_000)
    return endedAtMs
  }
  return { time, signal, endOf }
}
const LOST = new UpstreamError('POSITION_LOST', 'there is a hole', { retryable: false })

t.test('a wait ends after its time, or never when it has none', async (t) => {
  const [some, none] = [open(), open()]
  t.equal(await some.endOf(some.signal.next(300)), 300)
  t.equal(await none.endOf(none.signal.next(null)), null)
})

t.test('it ends when the task is woken, stopped or failed', async (t) => {
  for (const act of ['wake', 'stop', 'fail'] as const) {
    const { time, signal, endOf } = open()
    time.after(200, null, () => signal[act](LOST))
    t.equal(await endOf(signal.next(null)), 200, act)
  }
})

t.test('a task that was stopped, or has failed, while it was at something else does not wait', async (t) => {
  for (const act of ['stop', 'fail'] as const) {
    const { signal, endOf } = open()
    signal[act](LOST)
    t.equal(await endOf(signal.next(null)), 0, act)
  }
})

t.test('a pause is kept to its end, unless the task is stopped', async (t) => {
  for (const [act, endsAtMs] of [
    ['wake', 500],
    ['fail', 500],
    ['stop', 200],
  ] as const) {
    const { time, signal, endOf } = open()
    time.after(200, null, () => signal[act](LOST))
    t.equal(await endOf(signal.pause(500)), endsAtMs, act)
  }
})
