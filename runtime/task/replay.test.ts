import t, { type Test } from 'tap'
import { createCodec } from '../codec/avro.ts'
import { memoryDirectory } from '../codec/schema-directory.ts'
import { OrderPlacedSchema, orders, sendOrders } from '../testing/example.ts'
import { History } from './history.ts'
import { TaskCore } from './task-core.ts'

/** What a replay does over whole lives is tested in runtime/testing/replay.test.ts. */
const SOURCE = '/test'
const codec = createCodec(memoryDirectory())
const placed = {
  topic: orders.name,
  partition: 0,
  offset: 0n,
  timestampMs: 1,
  key: 'a',
  value: codec.encode(OrderPlacedSchema, { boxes: 1 }),
  headers: { ce_type: OrderPlacedSchema.name, ce_id: 'order' },
}

const replaying = (t: Test): TaskCore => {
  const core = new TaskCore({ processor: sendOrders, codec, source: SOURCE, task: 0, instanceId: 'test' })
  t.ok(core.needsReplay(0n), 'it has no position')
  core.beginReplay(new Map([[orders.name, { beginning: 0n, end: 1n }]]))
  core.forgetSome(1)
  return core
}

t.test('nothing is done again before it is known what was done', async (t) => {
  const core = replaying(t)
  core.fold(placed, 1)
  t.match(core.blocked(), [{ key: 'a', code: 'HISTORY_MISSING', queued: 1 }])
  t.same(core.effects(), [])

  const told = replaying(t)
  told.remember(new History(sendOrders, SOURCE))
  told.fold(placed, 1)
  t.same(told.blocked(), [])
  t.match(told.effects(), [{ key: 'a' }])
})
