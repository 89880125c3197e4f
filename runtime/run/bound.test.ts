import t from 'tap'
import { sendOrders } from '../testing/example.ts'
import { bound } from './run.ts'

const send = async () => ({})

t.test('each effect has an executor, and each executor an effect', async (t) => {
  const wrong = { code: 'EFFECT_UNBOUND' }
  t.same(bound(sendOrders, { send }), { processor: sendOrders, executors: { send } })
  t.throws(() => bound(sendOrders), { ...wrong, message: /no executor is bound to send/ })
  t.throws(() => bound(sendOrders, { sent: send }), { ...wrong, message: /bound to send; it has no effect sent/ })
})
