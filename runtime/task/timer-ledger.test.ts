import t from 'tap'
import { TimerLedger } from './timer-ledger.ts'

const TIMERS = 20_000

/** Timers that count how often somebody asks when they are due. */
const counted = () => {
  let asked = 0
  const timerAt = (timerId: string, atMs: number) => ({
    timerId,
    causeId: '',
    traceparent: null,
    get atMs() {
      asked += 1
      return atMs
    },
  })
  return { timerAt, asked: () => asked }
}

t.test('a look after each change does not look at all of them', async (t) => {
  const { timerAt, asked } = counted()
  const ledger = new TimerLedger()
  for (let n = 0; n < TIMERS; n++) {
    ledger.put({ key: `o-${n}`, name: 'late', timer: timerAt(`${n}`, 1_000_000 - n) })
    ledger.due(n)
    ledger.nextDueMs()
  }
  t.ok(asked() < TIMERS * 60, `${asked()} questions`)
})

t.test('those due come in their order, ties by id, and stay until they are removed', async (t) => {
  const { timerAt } = counted()
  const ledger = new TimerLedger()
  for (const [id, atMs] of [
    ['c', 2],
    ['b', 1],
    ['a', 2],
    ['d', 9],
  ] as const) {
    ledger.put({ key: id, name: 'late', timer: timerAt(id, atMs) })
  }
  const due = () => ledger.due(5).map(({ key }) => key)
  t.same(due(), ['b', 'a', 'c'])
  ledger.remove('b', 'late')
  ledger.put({ key: 'a', name: 'late', timer: timerAt('a', 20) })
  t.same(due(), ['c'])
  t.equal(
    ledger.nextDueMs((key) => key === 'c'),
    9,
  )
  t.equal([...ledger.clear()].length, 3)
  t.equal(ledger.nextDueMs(), null)
})
