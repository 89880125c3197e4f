import t from 'tap'
import { createCodec } from '../codec/avro.ts'
import { memoryDirectory } from '../codec/schema-directory.ts'
import { type Edge, to } from '../processor.ts'
import { deliveries, sendOrders } from '../testing/example.ts'
import { derivedOrigin } from './origin.ts'
import { Step } from './step.ts'

/** What a step refuses though the types of a declaration would not let it pass: handlers may be plain JavaScript, or cast. */
const stepOf = (key: string): Step => {
  const settings = { processor: sendOrders, codec: createCodec(memoryDirectory()), source: '/test' }
  return new Step(settings, derivedOrigin(key, `test/${key}`, { causeId: 'cause', traceparent: null }, 1))
}
const edge: Edge = to(deliveries, ['OrderLost'])
const LOST = { code: 'X' }

t.test('an event that its topic does not have', async (t) => {
  const step = stepOf('a')
  t.throws(() => step.emit(edge, 'OrderFound', LOST), {
    code: 'EVENT_UNKNOWN',
    message: 'deliveries has no event OrderFound',
  })
  t.same(step.outputs, [])
})

t.test('an event without a key: a hook has none of its own, and may name one', async (t) => {
  const hook = stepOf('')
  t.throws(() => hook.emit(edge, 'OrderLost', LOST), { code: 'KEY_MISSING', message: /^OrderLost is emitted without/ })
  t.same(hook.outputs, [])
  hook.emit(edge, 'OrderLost', LOST, { key: 'a' })
  t.match(hook.outputs, [{ topic: 'deliveries', key: 'a' }])
})

t.test('a timer that is not declared', async (t) => {
  const step = stepOf('a')
  const unknown = { code: 'TIMER_UNKNOWN', message: 'no timer early is declared' }
  t.throws(() => step.setTimer('early', 1), unknown)
  t.throws(() => step.setTimer('early', null), unknown)
  step.setTimer('late', 1)
  t.same([...step.timers], [['late', 1]])
})

t.test('an effect that is not declared', async (t) => {
  const step = stepOf('a')
  t.throws(() => step.perform('fetch', {}), { code: 'EFFECT_UNKNOWN', message: 'no effect fetch is declared' })
  t.same(step.performs, [])
})
