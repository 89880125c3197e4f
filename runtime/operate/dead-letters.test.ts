import t from 'tap'
import { orders, sendOrders } from '../testing/example.ts'
import { testDriver } from '../testing/test-driver.ts'
import { letterOf, redriven } from './dead-letters.ts'

/** An order that the processor could not fold, and that an operator skipped. */
const skipped = () => {
  const driver = testDriver([sendOrders], { blocking: 'keep' })
  driver.pipe(orders, 'OrderPlaced', 'o-1', { boxes: -1 }, { id: 'order-1' })
  driver.skip(sendOrders.name, 'o-1')
  const [letter] = driver.dlq().map(letterOf)
  if (letter === undefined) throw new Error('there is no dead letter')
  return letter
}

t.test('a fact that was skipped is not appended again: others have folded it', async (t) => {
  t.throws(() => redriven(skipped(), new Set(['another-topic'])), {
    code: 'NOT_A_DOOR',
    message: /processors reset send-orders/,
    facts: { topic: 'orders' },
  })
})

t.test('a claim is, as it came', async (t) => {
  const { value } = skipped()
  const again = redriven(skipped(), new Set(['orders']))
  t.match(again, { topic: 'orders', key: 'o-1', value })
  t.match(again.headers, { ce_id: 'order-1', 'redriven-from': 'dead-letters/0' })
  t.notOk(Object.keys(again.headers).some((name) => name.startsWith('dlq-')))
})

t.test('one that the dead letter could not hold is not', async (t) => {
  const omitted = { ...skipped(), value: null, omittedBytes: 2_000_000 }
  t.throws(() => redriven(omitted, new Set(['orders'])), { code: 'LETTER_OMITTED' })
})
