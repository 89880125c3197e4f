import t from 'tap'
import { systemClock } from '../../platform/clock.ts'
import { silentLogger } from '../../platform/log.ts'
import { createCodec } from '../codec/avro.ts'
import { envelopeHeaders } from '../codec/envelope.ts'
import { memoryDirectory } from '../codec/schema-directory.ts'
import { TaskCore } from '../task/task-core.ts'
import { OrderPlacedSchema, sendOrders } from '../testing/example.ts'
import { Bisection } from './bisection.ts'
import { Folding } from './folding.ts'
import { TASK_LIMITS } from './limits.ts'
import { Mailbox } from './mailbox.ts'
import { SchemaPatience } from './schema-patience.ts'

const NOW = Date.UTC(2026, 0, 1)
const codec = createCodec(memoryDirectory())

/** A core with three pending effects, all of which have just ended, behind a record. Batches are full with one record. */
const open = () => {
  const core = new TaskCore({ processor: sendOrders, codec, source: '/test', task: 0, instanceId: 'p1' })
  const order = (offset: bigint) => {
    const about = {
      id: `input-${offset}`,
      type: OrderPlacedSchema.name,
      source: '/test',
      timeMs: NOW,
      causationId: null,
    }
    const value = codec.encode(OrderPlacedSchema, { boxes: 0 })
    const headers = envelopeHeaders({ ...about, traceparent: null })
    return { topic: 'orders', partition: 0, offset, timestampMs: NOW, key: `o-${offset}`, value, headers }
  }
  for (const offset of [0n, 1n, 2n]) core.fold(order(offset), NOW)
  core.takeBatch()
  const mailbox = new Mailbox({ pause: () => undefined, resume: () => undefined }, TASK_LIMITS.mailbox)
  const patience = new SchemaPatience(async () => undefined, systemClock)
  const limits = { ...TASK_LIMITS, batchRecords: 1 }
  const parts = { mailbox, patience, limits, bisection: new Bisection(), clock: systemClock, log: silentLogger }
  const folding = new Folding(parts)
  mailbox.push({ kind: 'record', record: order(3n) })
  for (const { id: effectId } of core.effects()) {
    const outcome = { ok: true, value: { trackingId: effectId } } as const
    mailbox.push({ kind: 'settled', effectId, outcome, done: () => undefined })
  }
  return { core, mailbox, folding }
}

t.test('what effects say is folded before the records in front of it, a batch at a time', async (t) => {
  const { core, mailbox, folding } = open()
  const left: number[] = []
  for (let batch = 0; batch < 3; batch++) {
    folding.foldEffectMessages(core)
    left.push(core.effects().length)
    t.equal(folding.takeInputs().count, 1)
    core.takeBatch()
  }
  t.same(left, [2, 1, 0])
  t.match(mailbox, { size: 1, first: { kind: 'record' } })
})

t.test('the last batch of a task takes all of it', async (t) => {
  const { core, mailbox, folding } = open()
  folding.foldLastEffectMessages(core)
  t.same([core.effects(), mailbox.size], [[], 1])
})
