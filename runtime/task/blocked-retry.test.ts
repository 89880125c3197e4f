import t from 'tap'
import { createCodec } from '../codec/avro.ts'
import { envelopeHeaders } from '../codec/envelope.ts'
import { memoryDirectory } from '../codec/schema-directory.ts'
import { OrderPlacedSchema, sendOrders } from '../testing/example.ts'
import { learningCodec } from '../testing/simulation/learning-codec.ts'
import { toRecord } from './changelog.ts'
import { TaskCore } from './task-core.ts'

/** A key that is blocked by a record whose schema this process has not learned, and an operator who asks for a retry. */
const NOW = Date.UTC(2026, 0, 1)
const KEY = 'o-1'

const open = () => {
  const everything = createCodec(memoryDirectory())
  const { codec, learn } = learningCodec(everything, async (id) => id)
  const about = { id: 'input-1', type: OrderPlacedSchema.name, source: '/test', timeMs: NOW, causationId: null }
  const record = {
    topic: 'orders',
    partition: 0,
    offset: 0n,
    timestampMs: NOW,
    key: KEY,
    value: everything.encode(OrderPlacedSchema, { boxes: 1 }),
    headers: envelopeHeaders({ ...about, traceparent: null }),
  }
  const core = new TaskCore({ processor: sendOrders, codec, source: '/test', task: 0, instanceId: 'p1' })
  core.refuse(record, { code: 'SCHEMA_UNKNOWN', detail: 'not registered' }, NOW)
  let requests = 0
  const retry = async (): Promise<void> => {
    const requestId = `retry-${++requests}`
    const value = { command: 'RETRY', key: KEY, atMs: NOW } as const
    const request = toRecord({ kind: 'request', requestId, value }, everything, sendOrders.state)
    await learn(everything.schemaId(request.value as Buffer) as number)
    core.restore(request)
    core.serveRequests(NOW)
  }
  return { core, retry, learn }
}

t.test('a retry of what cannot be read yet blocks the key again, and does not stop the task', async (t) => {
  const { core, retry } = open()
  await retry()
  t.match(core.blocked(), [{ key: KEY, code: 'SCHEMA_UNKNOWN', queued: 1 }])
  await retry()
  t.equal(core.blocked().length, 1)
})

t.test('once its schema is learned it is folded', async (t) => {
  const { core, retry, learn } = open()
  for (const id of core.unlearned()) await learn(id)
  t.same([...core.unlearned()], [])
  await retry()
  t.same(core.blocked(), [])
  t.same(core.state(KEY).count, { '': { count: 1 } })
})
