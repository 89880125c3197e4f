import { systemClock } from '../../platform/clock.ts'
import { readConfig } from '../../platform/config.ts'
import { createLogger, silentLogger } from '../../platform/log.ts'
import { type AvroSchema, type Codec, createCodec } from '../codec/avro.ts'
import { createDirectory, type SchemaDirectory } from '../codec/schema-directory.ts'
import { createKafka, type Kafka } from '../kafka/client.ts'
import { createPartitionReader } from '../kafka/partition-reader.ts'
import type { Processor, TopicRef } from '../processor.ts'
import type { Executor } from '../run/executors.ts'
import { type EngineObserver, unobserved } from '../run/observer.ts'
import { bound, type RunningTopology, run } from '../run/run.ts'
import { ENGINE_SCHEMAS } from '../state/schemas.ts'
import * as shop from './example.ts'

/**
 * The example domain on a real broker, under names of its own, so that tests may run side by side. Schema ids are given
 * by position, far from those of registries: every process of a test knows the same ones without one.
 */
export interface Shop {
  readonly processor: Processor
  readonly topics: { readonly orders: string; readonly deliveries: string }
  readonly codec: Codec
}

const SCHEMAS: readonly AvroSchema<unknown>[] = [
  ...Object.values<AvroSchema<unknown>>(shop.orders.events),
  ...Object.values<AvroSchema<unknown>>(shop.deliveries.events),
  shop.ParcelSchema,
  shop.ReceiptSchema,
  shop.CountSchema,
  ...ENGINE_SCHEMAS,
]

const FIRST_ID = 1_000_000

type FetchSchema = (schemaId: number) => Promise<string>

const shopDirectory = (fetchSchema: FetchSchema): SchemaDirectory => {
  const directory = createDirectory(fetchSchema)
  for (const [index, { schema }] of SCHEMAS.entries()) directory.add(FIRST_ID + index, schema)
  return directory
}

const noSchema: FetchSchema = (id) => Promise.reject(new RangeError(`there is no schema ${id}`))

export const shopCodec = (): Codec => createCodec(shopDirectory(noSchema))

/** The example processor with its topics and its name made unique by a suffix. */
export const openShop = (suffix: string): Shop => {
  const renamed = (topic: TopicRef): TopicRef => ({ ...topic, name: `${topic.name}-${suffix}` })
  const { sendOrders } = shop
  const edges = (list: Processor['reads']) => list.map((edge) => ({ ...edge, topic: renamed(edge.topic) }))
  const onTopic = <T>(handlers: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(Object.entries(handlers).map(([topic, value]) => [`${topic}-${suffix}`, value]))
  const { behaviour } = sendOrders
  const processor: Processor = {
    ...sendOrders,
    name: `${sendOrders.name}-${suffix}`,
    reads: edges(sendOrders.reads),
    writes: edges(sendOrders.writes),
    closedBy: edges(sendOrders.closedBy),
    behaviour: { ...behaviour, on: onTopic(behaviour.on), closing: onTopic(behaviour.closing) },
  }
  const topics = { orders: `orders-${suffix}`, deliveries: `deliveries-${suffix}` }
  return { processor, topics, codec: shopCodec() }
}

export const shopKafka = (clientId: string): Kafka => {
  const config = readConfig()
  return createKafka({ brokers: config.kafkaBrokers, clientId, logger: createLogger(clientId, 'error') })
}

export interface ShopOptions {
  /** How long a box takes, ms. */
  readonly boxMs: number
  /** Default: there are no schemas but the shop's. */
  readonly fetchSchema?: FetchSchema
  readonly processor?: Processor
  readonly observer?: EngineObserver
  /** An order of so many boxes kills the process that sends it. */
  readonly deadlyBoxes?: number
  /** Default: sends box by box, and looks at its signal when one is done. */
  readonly send?: Executor<shop.Parcel, shop.Receipt, shop.BoxSent>
  /** How long the group waits for a dead member, ms. Default: the shortest that the broker allows. */
  readonly sessionTimeoutMs?: number
}

/** Runs the shop's processor in this process. */
export const runShop = async (suffix: string, options: ShopOptions): Promise<RunningTopology> => {
  const { processor } = openShop(suffix)
  const directory = shopDirectory(options.fetchSchema ?? noSchema)
  const kafka = shopKafka(`shop-${suffix}`)
  const reader = await createPartitionReader(kafka)
  const running = await run([bound(options.processor ?? processor, { send: options.send ?? sendWith(options) })], {
    kafka,
    codec: createCodec(directory),
    reader,
    learn: (id) => directory.learn(id),
    appId: `shop-${suffix}`,
    instanceId: `${process.pid}`,
    clock: systemClock,
    log: silentLogger,
    observer: options.observer ?? unobserved,
    sessionTimeoutMs: options.sessionTimeoutMs ?? 6_000,
  })
  return {
    get isReady() {
      return running.isReady
    },
    report: () => running.report(),
    stop: async () => {
      await running.stop()
      await reader.close()
    },
  }
}

const sendWith =
  ({ boxMs, deadlyBoxes }: ShopOptions): Executor<shop.Parcel, shop.Receipt, shop.BoxSent> =>
  async ({ boxes }, { report, resumeFrom, effectId, signal }) => {
    if (boxes === deadlyBoxes) process.kill(process.pid, 'SIGKILL')
    for (let n = resumeFrom + 1; n <= boxes; n++) {
      await new Promise((resolve) => setTimeout(resolve, boxMs))
      signal.throwIfAborted()
      await report(n, { n })
    }
    return { trackingId: effectId }
  }
