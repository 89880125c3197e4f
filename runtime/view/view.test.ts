import t, { type Test } from 'tap'
import { UpstreamError } from '../../platform/errors.ts'
import { silentLogger } from '../../platform/log.ts'
import { createCodec } from '../codec/avro.ts'
import { memoryDirectory } from '../codec/schema-directory.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import type { RecordBatch } from '../kafka/partition-reader.ts'
import { SCHEMA_PATIENCE_MS } from '../run/schema-patience.ts'
import { orders } from '../testing/example.ts'
import { defineView, openView, type ViewDeclaration, type ViewTools } from './view.ts'

const AWAY = new UpstreamError('PARTITION_UNREADABLE', 'brokers are away')
const GONE = new UpstreamError('OFFSET_OUT_OF_RANGE', 'gone', { retryable: false })

/** A topic in memory, and a reader of it that can be told to fail once. */
const memoryTopic = (partitions: number) => {
  const logs = Array.from({ length: partitions }, (): LogRecord[] => [])
  const codec = createCodec(memoryDirectory())
  let changed = Promise.withResolvers<void>()
  let failure: Error | null = null
  const wake = () => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  const reader: ViewTools['reader'] = {
    partitions: async () => logs.map((_, partition) => partition),
    offsets: async (_topic, partition) => ({ beginning: 0n, end: BigInt(logs[partition]?.length ?? 0) }),
    async *tail(_topic, partition, from, signal): AsyncGenerator<RecordBatch> {
      signal.addEventListener('abort', wake)
      for (let at = Number(from); !signal.aborted; ) {
        const next = changed.promise
        if (failure !== null) {
          const error = failure
          failure = null
          throw error
        }
        const records = logs[partition]?.slice(at) ?? []
        at += records.length
        if (records.length > 0) yield { records, nextOffset: BigInt(at) }
        else await next
      }
    },
  }
  const append = (partition: number, key: string | null, value: Buffer | null, headers = {}) => {
    const log = logs[partition] as LogRecord[]
    log.push({ topic: 'orders', partition, offset: BigInt(log.length), timestampMs: 1, key, value, headers })
    wake()
  }
  let nowMs = 0
  let asked = 0
  const learn = async (schemaId: number) => {
    asked += 1
    nowMs += SCHEMA_PATIENCE_MS / 2
    throw new UpstreamError('SCHEMA_UNKNOWN', `The registry knows no schema ${schemaId}`, { facts: { schemaId } })
  }
  return {
    append,
    codec,
    asked: () => asked,
    tools: { reader, codec, learn, log: silentLogger, clock: { monotonicMs: () => nowMs } },
    place: (partition: number, key: string, boxes: number) =>
      append(partition, key, codec.encode(orders.events.OrderPlaced, { boxes })),
    withdraw: (partition: number, key: string) =>
      append(partition, key, codec.encode(orders.events.OrderWithdrawn, { why: '' }), {
        ce_type: 'shop.OrderWithdrawn',
      }),
    fail: (error: Error) => {
      failure = error
      wake()
    },
  }
}

const boxes = defineView({
  topic: orders,
  fold: {
    OrderPlaced: (before: number | undefined, { boxes }) => (before ?? 0) + boxes,
    OrderWithdrawn: () => undefined,
  },
})

const opened = async (t: Test, declaration: ViewDeclaration<typeof orders, number> = boxes) => {
  const topic = memoryTopic(2)
  topic.place(0, 'a', 1)
  topic.place(1, 'b', 2)
  const view = await openView(declaration, topic.tools)
  t.teardown(() => view.close())
  return { ...topic, view }
}

t.test('holds what was there when it was opened, then what comes', async (t) => {
  const { view, place, withdraw } = await opened(t)
  t.same(view.entries(), [
    ['a', 1],
    ['b', 2],
  ])
  place(0, 'a', 3)
  withdraw(1, 'b')
  await view.until(() => view.position(0) === 2n && view.position(1) === 2n)
  t.same(view.entries(), [['a', 4]])
  t.same([view.get('a'), view.get('b'), view.size, await view.lag()], [4, undefined, 1, 0])
})

t.test('an empty topic is an empty view', async (t) => {
  const view = await openView(boxes, memoryTopic(3).tools)
  t.same([view.entries(), view.position(2)], [[], 0n])
  await view.close()
})

t.test('a tombstone removes, a record without a key is passed over, other events need no schema', async (t) => {
  const { view, append, codec } = await opened(t)
  append(0, null, codec.encode(orders.events.OrderPlaced, { boxes: 9 }))
  append(0, 'a', null)
  append(1, 'b', Buffer.from([0, 0, 0, 0, 99, 1]), { ce_type: 'shop.OfAnotherRelease' })
  await view.until(() => view.position(0) === 3n && view.position(1) === 2n)
  t.same(view.entries(), [['b', 2]])
})

t.test('waiting ends with the signal', async (t) => {
  const { view } = await opened(t)
  const stop = new AbortController()
  const waiting = view.until(() => view.get('nobody') !== undefined, stop.signal)
  stop.abort(new RangeError('enough'))
  await t.rejects(waiting, { message: 'enough' })
  await t.rejects(
    view.until(() => true, stop.signal),
    { message: 'enough' },
  )
})

t.test('opening ends with the signal', async (t) => {
  const { tools } = memoryTopic(1)
  const never = { ...tools.reader, offsets: async () => ({ beginning: 0n, end: 5n }) }
  const stop = new AbortController()
  const opening = openView(boxes, { ...tools, reader: never }, stop.signal)
  stop.abort(new RangeError('enough'))
  await t.rejects(opening, { message: 'enough' })
})

t.test('waiting ends with the view, which keeps what it has', async (t) => {
  const { view } = await opened(t)
  const waiting = view.until(() => false)
  const ended = t.rejects(waiting, { code: 'VIEW_CLOSED', retryable: false })
  await view.close()
  await ended
  t.same([view.state, view.get('a')], ['closed', 1])
})

t.test('what may pass is tried again, and nothing is folded twice', async (t) => {
  const { view, place, fail } = await opened(t)
  fail(AWAY)
  place(0, 'a', 5)
  place(1, 'b', 5)
  await view.until(() => view.position(0) === 2n && view.position(1) === 2n)
  t.same(view.entries(), [
    ['a', 6],
    ['b', 7],
  ])
  t.equal(view.state, 'following')
})

t.test('a schema that the registry cannot give at the moment is waited for, mid-batch', async (t) => {
  const topic = memoryTopic(1)
  topic.place(0, 'a', 1)
  topic.place(0, 'a', 1)
  let asked = 0
  let known = false
  const knows = (id: number) => known && topic.codec.knows(id)
  const learn = async () => {
    asked += 1
    if (asked === 1) throw new UpstreamError('REGISTRY_UNAVAILABLE', 'away')
    known = true
  }
  const view = await openView(boxes, { ...topic.tools, codec: { ...topic.codec, knows }, learn })
  t.same([view.get('a'), asked], [2, 2])
  await view.close()
})

type Expected = {
  readonly code: string
  readonly retryable?: boolean
  readonly message?: RegExp
  readonly facts?: object
}
const ends = async (t: Test, make: (topic: Awaited<ReturnType<typeof opened>>) => void, expected: Expected) => {
  const topic = await opened(t)
  make(topic)
  await t.rejects(
    topic.view.until(() => false),
    expected,
  )
  t.match(topic.view.failure, expected)
  t.same([topic.view.state, topic.view.get('a')], ['failed', 1], 'it answers with what it has')
  return topic
}

t.test('what cannot be read ends it, with the place', async (t) => {
  await ends(t, ({ append }) => append(1, 'b', Buffer.from('junk'), { ce_type: 'shop.OrderPlaced' }), {
    code: 'VIEW_FAILED',
    retryable: false,
    facts: { topic: 'orders', partition: 1, offset: '1' },
  })
})

t.test('so does what does not even say of what type it is', async (t) => {
  await ends(t, ({ append }) => append(1, 'b', Buffer.from('junk'), {}), {
    code: 'VIEW_FAILED',
    message: /UNDECODABLE/,
  })
})

t.test('so does a schema that an answering registry does not know, after a while', async (t) => {
  const { asked } = await ends(t, ({ append }) => append(0, 'a', Buffer.from([0, 0, 0, 18, 103, 0])), {
    code: 'VIEW_FAILED',
    message: /SCHEMA_UNKNOWN.*4711/,
  })
  t.equal(asked(), 3)
})

t.test('opening ends with it, too', async (t) => {
  const { append, tools } = memoryTopic(1)
  append(0, 'a', Buffer.from([0, 0, 0, 18, 103, 0]))
  await t.rejects(openView(boxes, tools), {
    code: 'VIEW_FAILED',
    facts: { topic: 'orders', partition: 0, offset: '0' },
  })
})

t.test('so does a position that the log no longer holds', async (t) => {
  await ends(t, ({ fail }) => fail(GONE), { code: 'VIEW_FAILED', message: /OFFSET_OUT_OF_RANGE/ })
})

t.test('so does a fold that throws', async (t) => {
  const topic = memoryTopic(1)
  topic.place(0, 'a', 1)
  const fold = () => {
    throw new RangeError('cannot count')
  }
  await t.rejects(openView({ ...boxes, fold: { OrderPlaced: fold } }, topic.tools), {
    code: 'VIEW_FAILED',
    message: /orders\/0\/0.*cannot count/,
  })
})

t.test('and one entry too many; those that are there may change', async (t) => {
  const { view, place } = await opened(t, { ...boxes, maxEntries: 2 })
  place(0, 'a', 1)
  await view.until(() => view.get('a') === 2)
  place(0, 'c', 1)
  await t.rejects(
    view.until(() => false),
    { code: 'VIEW_FULL', facts: { maxEntries: 2 } },
  )
})
