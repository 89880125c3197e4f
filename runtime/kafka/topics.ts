/**
 * What must exist on the broker before anything runs, and whether what exists is what was meant (topic-contract.ts).
 *
 * A topic is made once and then lives for years under other releases, other settings and other people's hands. What it
 * was made with is a promise that code relies on: a key stays on its partition, facts are kept for ever, an append has
 * the broker's time. So the migrate step creates what is missing, and it and every role compare what exists with what is
 * declared. A difference is refused with a sentence that mends it, never mended silently: to shorten a retention deletes
 * data, to change a partition count breaks the order of keys, and which side is wrong only a person can say.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin, Kafka } from 'kafkajs'
import { ConfigError } from '../../platform/errors.ts'
import { type Logger, silentLogger } from '../../platform/log.ts'
import { withAdmin } from './admin.ts'
import { asUpstreamError, kafkaErrorOf } from './kafka-errors.ts'
import { ConfigResourceTypes } from './kafkajs.ts'
import { createPartitionReader } from './partition-reader.ts'
import { compareTopic, type FoundTopic, SETTINGS } from './topic-contract.ts'

export interface TopicSpec {
  readonly name: string
  readonly partitions: number
  /** The setting that the count comes from, and how else the count of an existing topic is changed; for whoever must. */
  readonly partitionsFrom?: { readonly setting: string; readonly otherwise?: string }
  readonly replicationFactor: number
  /** The setting that the replicas come from, for whoever must change it. */
  readonly replicationFrom?: string
  /** Topic settings as the broker names them, e.g. `cleanup.policy`; without that one it is `delete`. */
  readonly config: Readonly<Record<string, string>>
}

/**
 * Creates the topics that are missing, waits until they can be written, and returns their names. What exists is left as it
 * is: throws ConfigError TOPIC_DRIFT, naming every difference at once and how to mend it; what only costs something is a
 * line of the log. Safe to call from several processes at once. UpstreamError TOPICS_UNAVAILABLE (retryable) when the
 * broker cannot be asked.
 */
export const ensureTopics = (
  kafka: Kafka,
  specs: readonly TopicSpec[],
  log: Logger = silentLogger,
): Promise<string[]> =>
  checking(kafka, specs, async (admin) => {
    const missing = await missingOf(admin, specs)
    if (missing.length > 0) await create(admin, missing)
    await onceKnown(() => refuseDrift(admin, specs, log))
    if (missing.length > 0) await onceLed(kafka, missing)
    return missing.map(({ name }) => name)
  })

/**
 * For a process that is about to rely on them: resolves when every topic exists as declared. Creates nothing. Throws
 * ConfigError TOPICS_MISSING or TOPIC_DRIFT, UpstreamError TOPICS_UNAVAILABLE (retryable).
 */
export const requireTopics = async (
  kafka: Kafka,
  specs: readonly TopicSpec[],
  log: Logger = silentLogger,
): Promise<void> => {
  await checking(kafka, specs, async (admin) => {
    const missing = (await missingOf(admin, specs)).map(({ name }) => name)
    if (missing.length > 0) {
      throw new ConfigError(
        'TOPICS_MISSING',
        `Topics that do not exist: ${missing.join(', ')}. Run the migrate step.`,
        {
          facts: { topics: missing.join(',') },
        },
      )
    }
    await refuseDrift(admin, specs, log)
    return []
  })
}

/**
 * Deletes topics with all that they hold; resolves when they are gone. One that does not exist is gone. Throws
 * UpstreamError TOPICS_UNAVAILABLE (retryable).
 */
export const dropTopics = async (kafka: Kafka, names: readonly string[]): Promise<void> => {
  await checking(kafka, names, async (admin) => {
    const thereOf = async () => (await admin.listTopics()).filter((name) => names.includes(name))
    const there = await thereOf()
    if (there.length > 0) await admin.deleteTopics({ topics: there })
    while ((await thereOf()).length > 0) await sleep(ASK_AGAIN_MS)
    return []
  })
}

const checking = async (
  kafka: Kafka,
  subjects: readonly unknown[],
  act: (admin: Admin) => Promise<string[]>,
): Promise<string[]> => {
  if (subjects.length === 0) return []
  try {
    return await withAdmin(kafka, act)
  } catch (error) {
    throw asUpstreamError('TOPICS_UNAVAILABLE', 'Topics could not be checked', error)
  }
}

const missingOf = async (admin: Admin, specs: readonly TopicSpec[]): Promise<TopicSpec[]> => {
  const existing = new Set(await admin.listTopics())
  return specs.filter(({ name }) => !existing.has(name))
}

/**
 * In a cluster the broker that is asked may hear of a new topic a moment after the one that made it has answered, and of
 * its leaders after that. kafkajs waits for the leaders, and fails when it is too early for the topic.
 */
const TOO_EARLY = ['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE']
const KNOWN_WITHIN_MS = 10_000
const ASK_AGAIN_MS = 100

const onceKnown = async (check: () => Promise<void>): Promise<void> => {
  for (const deadline = Date.now() + KNOWN_WITHIN_MS; ; await sleep(ASK_AGAIN_MS)) {
    try {
      return await check()
    } catch (error) {
      if (!TOO_EARLY.includes(kafkaErrorOf(error)) || Date.now() > deadline) throw error
    }
  }
}

/** A broker that is named as a leader may not know it yet, and refuses what is written to it. */
const onceLed = async (kafka: Kafka, specs: readonly TopicSpec[]): Promise<void> => {
  const reader = await createPartitionReader(kafka)
  try {
    const asked = specs.flatMap(({ name, partitions }) =>
      Array.from({ length: partitions }, (_, partition) => reader.offsets(name, partition)),
    )
    await Promise.all(asked)
  } finally {
    await reader.close()
  }
}

const create = async (admin: Admin, specs: readonly TopicSpec[]): Promise<void> => {
  await admin.createTopics({
    waitForLeaders: false,
    topics: specs.map(({ name, partitions, replicationFactor, config }) => ({
      topic: name,
      numPartitions: partitions,
      replicationFactor,
      configEntries: Object.entries(config).map(([key, value]) => ({ name: key, value })),
    })),
  })
}

const refuseDrift = async (admin: Admin, specs: readonly TopicSpec[], log: Logger): Promise<void> => {
  const found = await foundOf(admin, specs)
  const compared = specs.map((spec) => compareTopic(spec, found(spec.name)))
  const drifts = compared.flatMap((comparison) => comparison.drifts)
  if (drifts.length > 0)
    throw new ConfigError(
      'TOPIC_DRIFT',
      `Topics that are not what this code was written for:\n${drifts.map(({ line }) => line).join('\n')}`,
      { facts: { topics: [...new Set(drifts.map(({ topic }) => topic))].join(',') } },
    )
  for (const { topic, line } of compared.flatMap(({ warnings }) => warnings))
    log.warn({ topic, detail: line }, 'a topic has a setting that costs something')
}

const foundOf = async (admin: Admin, specs: readonly TopicSpec[]): Promise<(name: string) => FoundTopic> => {
  const { topics } = await admin.fetchTopicMetadata({ topics: specs.map(({ name }) => name) })
  const settings = await settingsOf(admin, specs)
  const partitions = new Map(topics.map(({ name, partitions }) => [name, partitions]))
  return (name) => {
    const all = partitions.get(name) ?? []
    const replicas = all.length === 0 ? 0 : Math.min(...all.map((partition) => partition.replicas.length))
    return { partitions: all.length, replicas, config: settings.get(name) ?? {} }
  }
}

/** As they hold, whether they were set for the topic or are the broker's default. */
const settingsOf = async (
  admin: Admin,
  specs: readonly TopicSpec[],
): Promise<Map<string, Readonly<Record<string, string>>>> => {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: specs.map(({ name }) => ({ type: ConfigResourceTypes.TOPIC, name, configNames: [...SETTINGS] })),
  })
  return new Map(
    resources.map(({ resourceName, configEntries }) => [
      resourceName,
      Object.fromEntries(configEntries.map(({ configName, configValue }) => [configName, configValue])),
    ]),
  )
}
