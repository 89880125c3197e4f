import t from 'tap'
import type { LiveEffect } from '../task/effect-ledger.ts'
import { pendingByName } from './pending-effects.ts'

const pending = (effect: string, askedAtMs: number): LiveEffect => ({
  id: `${effect}-${askedAtMs}`,
  key: 'o-1',
  input: {},
  record: {
    effect,
    askedAtMs,
    ...{ input: Buffer.alloc(0), causeId: 'cause', sequence: 1, runs: 0, unproven: 0 },
    ...{ failures: 0, resumeFrom: 0, notBeforeMs: 0, traceparent: null, replayed: false },
  },
})

t.test('the oldest of each name counts; what does not say when it was asked for has no age', async (t) => {
  const effects = [pending('send', 900), pending('refund', 990), pending('send', 400), pending('send', 0)]
  t.same(pendingByName(effects, 1_000), [
    { effect: 'send', pending: 3, oldestMs: 600 },
    { effect: 'refund', pending: 1, oldestMs: 10 },
  ])
  t.same(pendingByName([pending('send', 0)], 1_000), [{ effect: 'send', pending: 1, oldestMs: 0 }])
  t.same(pendingByName([pending('send', 2_000)], 1_000), [{ effect: 'send', pending: 1, oldestMs: 0 }])
})
