import t from 'tap'
import { sendOrders } from '../testing/example.ts'
import { EffectLedger, type LiveEffect } from './effect-ledger.ts'

const EFFECTS = 2_000
const DUE = { runs: 0, unproven: 0, failures: 0, resumeFrom: 0, notBeforeMs: 0, replayed: false, askedAtMs: 0 }

/** Effects that count how often somebody asks for their place. */
const counted = () => {
  let asked = 0
  const effectOf = (place: number, notBeforeMs = 0): LiveEffect => ({
    id: `e-${place}`,
    key: `o-${place}`,
    input: {},
    record: {
      ...DUE,
      effect: 'send',
      input: Buffer.alloc(0),
      causeId: '',
      traceparent: null,
      notBeforeMs,
      get sequence() {
        asked += 1
        return place
      },
    },
  })
  return { effectOf, asked: () => asked }
}
const none = () => false

t.test('what was restored out of order is put in order once', async (t) => {
  const { effectOf, asked } = counted()
  const ledger = new EffectLedger(sendOrders.effects)
  for (let n = EFFECTS; n > 0; n--) ledger.put(effectOf(n))
  t.same(
    ledger
      .runnable(1, none, none)
      .map(({ id }) => id)
      .slice(0, 3),
    ['e-1', 'e-2', 'e-3'],
  )
  const before = asked()
  for (let n = 0; n < 100; n++) ledger.runnable(1, none, none)
  ledger.put(effectOf(EFFECTS + 1))
  t.equal(ledger.all().at(-1)?.id, `e-${EFFECTS + 1}`)
  t.ok(asked() - before < 10, `${asked() - before} questions`)
})

t.test('the next back-off to end', async (t) => {
  const { effectOf } = counted()
  const ledger = new EffectLedger(sendOrders.effects)
  t.equal(ledger.nextDueMs(0), null)
  for (const [n, notBeforeMs] of [0, 50, 20, 40].entries()) ledger.put(effectOf(n + 1, notBeforeMs))
  t.equal(ledger.nextDueMs(10), 20)
  t.equal(ledger.nextDueMs(20), 40)
  t.same(
    ledger.runnable(20, none, none).map(({ id }) => id),
    ['e-1', 'e-3'],
  )
})
