import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { type Config, readConfig, requireSettings } from '../../../platform/config.ts'
import { silentLogger } from '../../../platform/log.ts'
import { createKafka, type Kafka, type KafkaSettings } from '../client.ts'
import { createIdempotentProducer } from '../idempotent-producer.ts'
import type { OutputRecord } from '../log-records.ts'
import { ensureTopics } from '../topics.ts'

/** For integration tests: a client of the broker that KAFKA_BROKERS names. Throws CONFIG_MISSING when it names none. */
export const realKafka = (settings: Partial<KafkaSettings> = {}): Kafka => {
  const config = readConfig()
  requireSettings(config, ['kafkaBrokers'])
  return createKafka({ brokers: config.kafkaBrokers, clientId: 'test', logger: silentLogger, ...settings })
}

/** The URL of the registry that SCHEMA_REGISTRY_URL names. Throws CONFIG_MISSING when it names none. */
export const realRegistryUrl = (): Config['schemaRegistryUrl'] => {
  const config = readConfig()
  requireSettings(config, ['schemaRegistryUrl'])
  return config.schemaRegistryUrl
}

/** A name that no other test uses. */
export const uniqueName = (prefix: string): string => `${prefix}-${randomUUID().slice(0, 8)}`

export const createTopic = async (
  kafka: Kafka,
  prefix: string,
  options: { partitions?: number; config?: Record<string, string> } = {},
): Promise<string> => {
  const { partitions = 1, config = {} } = options
  const name = uniqueName(prefix)
  await ensureTopics(kafka, [{ name, partitions, replicationFactor: 1, config }])
  return name
}

export const textRecord = (topic: string, key: string, value: string, partition?: number): OutputRecord => ({
  topic,
  key,
  value: Buffer.from(value),
  headers: {},
  ...(partition !== undefined && { partition }),
})

/** Appends texts to one partition, each keyed by itself. */
export const append = async (kafka: Kafka, topic: string, values: readonly string[], partition = 0): Promise<void> => {
  const producer = createIdempotentProducer(kafka)
  try {
    await producer.send(values.map((value) => textRecord(topic, value, value, partition)))
  } finally {
    await producer.close()
  }
}

const POLL_MS = 5

/** Resolves when the condition holds; fails the test when it does not within the time. */
export const until = async (t: Test, what: string, holds: () => boolean, withinMs = 10_000): Promise<void> => {
  const deadline = Date.now() + withinMs
  while (!holds()) {
    if (Date.now() > deadline) {
      t.fail(`waited ${withinMs} ms until ${what}`)
      throw new Error(`never: ${what}`)
    }
    await sleep(POLL_MS)
  }
}
