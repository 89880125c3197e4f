import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { envelopeHeaders } from '../codec/envelope.ts'
import { createIdempotentProducer, type IdempotentProducer } from '../kafka/idempotent-producer.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import { createPartitionReader, type PartitionReader } from '../kafka/partition-reader.ts'
import { ensureTopics } from '../kafka/topics.ts'
import { initialPositions } from '../run/initial-positions.ts'
import { changelogOf } from '../run/kafka-task-log.ts'
import { engineTopics } from '../topology.ts'
import * as shop from './example.ts'
import { openShop, type Shop, shopKafka } from './shop.ts'

/** A shop of a test's own on a real broker: its topics, somebody who orders, and somebody who looks at what was sent. */
export interface ShopOnKafka extends Shop {
  readonly suffix: string
  readonly changelog: string
  readonly partitions: number
  readonly kafka: ReturnType<typeof shopKafka>
  readonly reader: PartitionReader
  readonly producer: IdempotentProducer
  /** Orders, each of so many boxes, in one request. Fewer than none is what the shop's handler fails on. */
  place(...orders: readonly (readonly [key: string, boxes: number])[]): Promise<void>
  /** Events of one type that were emitted and committed, of all partitions. */
  sent(type: 'BoxSent' | 'OrderSent' | 'OrderLost'): Promise<readonly LogRecord[]>
}

export interface ShopTopics {
  readonly partitions: number
  /** False: as a processor that is new on a topic with history. */
  readonly positions?: boolean
  readonly changelogConfig?: Readonly<Record<string, string>>
  readonly deliveriesConfig?: Readonly<Record<string, string>>
}

export const openShopOnKafka = async (t: Test, options: ShopTopics): Promise<ShopOnKafka> => {
  const { partitions, changelogConfig = { 'cleanup.policy': 'compact' }, deliveriesConfig = {} } = options
  const suffix = randomUUID().slice(0, 8)
  const opened = openShop(suffix)
  const { processor, topics, codec } = opened
  const changelog = changelogOf(processor)
  const kafka = shopKafka(`test-${suffix}`)
  const spec = { partitions, replicationFactor: 1 }
  await ensureTopics(kafka, [
    { ...spec, name: topics.orders, config: {} },
    { ...spec, name: topics.deliveries, config: deliveriesConfig },
    { ...spec, name: changelog, config: changelogConfig },
    ...engineTopics([], { replicationFactor: 1 }, () => spec),
  ])
  const reader = await createPartitionReader(kafka)
  const producer = createIdempotentProducer(kafka)
  t.teardown(async () => {
    await producer.close()
    await reader.close()
  })
  if (options.positions !== false)
    await producer.send(await initialPositions([processor], () => partitions, reader, codec))
  return {
    ...opened,
    suffix,
    changelog,
    partitions,
    kafka,
    reader,
    producer,
    place: async (...orders) => {
      await producer.send(orders.map(([key, boxes]) => orderOf(opened, key, boxes)))
    },
    sent: async (type) => {
      const all: LogRecord[] = []
      for (let partition = 0; partition < partitions; partition++) {
        await reader.readToEnd(topics.deliveries, partition, 0n, (records) => void all.push(...records))
      }
      return all.filter(({ headers }) => headers.ce_type === `shop.${type}`)
    },
  }
}

export const orderOf = ({ topics, codec }: Shop, key: string, boxes: number) => {
  const schema = shop.OrderPlacedSchema
  const headers = envelopeHeaders({
    id: randomUUID(),
    type: schema.name,
    source: '/test',
    timeMs: Date.now(),
    causationId: null,
    traceparent: null,
  })
  return { topic: topics.orders, key, value: codec.encode(schema, { boxes }), headers }
}

/** Resolves when it is so; asks every 50 ms. Throws, naming it, when it is not so in time. */
export const until = async (
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> => {
  const end = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await delay(50)
  }
}
