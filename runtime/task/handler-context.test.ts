import t from 'tap'
import { createCodec } from '../codec/avro.ts'
import { memoryDirectory } from '../codec/schema-directory.ts'
import { sendOrders } from '../testing/example.ts'
import { HandlerContext } from './handler-context.ts'
import { derivedOrigin } from './origin.ts'
import { StateStore } from './state-store.ts'
import { Step } from './step.ts'

const settings = { processor: sendOrders, codec: createCodec(memoryDirectory()), source: '/test' }
const stepOf = (key: string, nowMs = 1) =>
  new Step(settings, derivedOrigin(key, `test/${key}`, { causeId: 'cause', traceparent: null }, nowMs))

t.test('is always the context of the step under way', async (t) => {
  const context = new HandlerContext(sendOrders, new StateStore())
  const [first, second] = [stepOf('a', 1), stepOf('b', 2)]
  context.during(first, ({ key, now, cause, state, emit }) => {
    t.same([key, now, cause.id], ['a', 1, 'cause'])
    state.count?.put({ count: 1 })
    emit.OrderLost?.({ code: 'X' })
  })
  context.during(second, ({ key, state }) => {
    t.equal(key, 'b')
    t.equal(state.count?.get(), undefined, 'another key, another state')
  })
  t.equal(first.outputs.length, 1)
  t.equal(second.outputs.length, 0)
})

t.test('refuses to be used after its step, also after one that failed', async (t) => {
  const context = new HandlerContext(sendOrders, new StateStore())
  const step = stepOf('a')
  t.throws(() =>
    context.during(step, () => {
      throw new RangeError('the handler failed')
    }),
  )
  const late = { code: 'CONTEXT_OUTLIVED' }
  t.throws(() => context.key, late)
  t.throws(() => context.emit.OrderLost?.({ code: 'X' }), late)
  t.throws(() => context.state.count?.put({ count: 1 }), late)
  t.throws(() => context.perform.send?.({ boxes: 1 }), late)
  t.throws(() => context.schedule('late', 1), late)
  t.throws(() => context.log.info({}, 'late'), late)
  t.equal(step.outputs.length, 0)
})
