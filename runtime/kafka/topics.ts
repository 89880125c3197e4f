/**
 * What must exist on the broker before anything runs, and whether what exists is what was meant.
 *
 * A topic is made once and then lives for years under other releases, other settings and other people's hands. What it
 * was made with is a promise that code relies on: a key stays on its partition, facts are kept for ever, an append has
 * the broker's time. So the migrate step creates what is missing, and it and every role compare what exists with what is
 * declared. A difference is refused with a sentence that mends it, never mended silently: to shorten a retention deletes
 * data, to change a partition count breaks the order of keys, and which side is wrong only a person can say.
 *
 * Compared are the partition count and those settings of CONTRACT that the spec names. All others are the operator's.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin, Kafka } from 'kafkajs'
import { ConfigError } from '../../platform/errors.ts'
import { withAdmin } from './admin.ts'
import { asUpstreamError, kafkaErrorOf } from './kafka-errors.ts'
import { ConfigResourceTypes } from './kafkajs.ts'
import { createPartitionReader } from './partition-reader.ts'

export interface TopicSpec {
  readonly name: string
  readonly partitions: number
  /** The setting that the count comes from, and how else the count of an existing topic is changed; for whoever must. */
  readonly partitionsFrom?: { readonly setting: string; readonly otherwise?: string }
  readonly replicationFactor: number
  /** Topic settings as the broker names them, e.g. `cleanup.policy`; without that one it is `delete`. */
  readonly config: Readonly<Record<string, string>>
}

type Holds = (found: string, declared: string) => boolean

const same: Holds = (found, declared) => found === declared
const atLeast: Holds = (found, declared) => Number(found) >= Number(declared)
const sameList: Holds = (found, declared) => found.split(',').sort().join() === declared.split(',').sort().join()

/** What code relies on, and when a found value keeps the promise of the declared one. */
const CONTRACT: Readonly<Record<string, Holds>> = {
  'cleanup.policy': sameList,
  'retention.ms': same,
  'retention.bytes': same,
  'message.timestamp.type': same,
  'max.message.bytes': atLeast,
}

/**
 * Creates the topics that are missing, waits until they can be written, and returns their names. What exists is left as it
 * is: throws ConfigError TOPIC_DRIFT, naming every difference at once and how to mend it. Safe to call from several
 * processes at once. UpstreamError TOPICS_UNAVAILABLE (retryable) when the broker cannot be asked.
 */
export const ensureTopics = (kafka: Kafka, specs: readonly TopicSpec[]): Promise<string[]> =>
  checking(kafka, specs, async (admin) => {
    const missing = await missingOf(admin, specs)
    if (missing.length > 0) await create(admin, missing)
    await onceKnown(() => refuseDrift(admin, specs))
    if (missing.length > 0) await onceLed(kafka, missing)
    return missing.map(({ name }) => name)
  })

/**
 * For a process that is about to rely on them: resolves when every topic exists as declared. Creates nothing. Throws
 * ConfigError TOPICS_MISSING or TOPIC_DRIFT, UpstreamError TOPICS_UNAVAILABLE (retryable).
 */
export const requireTopics = async (kafka: Kafka, specs: readonly TopicSpec[]): Promise<void> => {
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
    await refuseDrift(admin, specs)
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

interface Drift {
  readonly topic: string
  readonly line: string
}

const refuseDrift = async (admin: Admin, specs: readonly TopicSpec[]): Promise<void> => {
  const partitions = await partitionsOf(admin, specs)
  const settings = await settingsOf(admin, specs)
  const drifts = specs.flatMap((spec) => [
    ...partitionDrift(spec, partitions.get(spec.name) ?? 0),
    ...settingDrifts(spec, settings.get(spec.name) ?? {}),
  ])
  if (drifts.length === 0) return
  throw new ConfigError(
    'TOPIC_DRIFT',
    `Topics that are not what this code was written for:\n${drifts.map(({ line }) => line).join('\n')}`,
    { facts: { topics: [...new Set(drifts.map(({ topic }) => topic))].join(',') } },
  )
}

const partitionDrift = ({ name, partitions, partitionsFrom }: TopicSpec, found: number): Drift[] => {
  if (found === partitions) return []
  const { setting, otherwise = 'move the data to a new topic: keys would change their partition' } =
    partitionsFrom ?? {}
  const fix = setting === undefined ? otherwise : `set ${setting}=${found}, or ${otherwise}`
  return [{ topic: name, line: `${name}: partitions is ${found}, expected ${partitions}; to fix: ${fix}` }]
}

const settingDrifts = ({ name, config }: TopicSpec, found: Readonly<Record<string, string>>): Drift[] =>
  Object.entries({ 'cleanup.policy': 'delete', ...config }).flatMap(([setting, declared]) => {
    const is = found[setting] ?? ''
    if (CONTRACT[setting]?.(is, declared) !== false) return []
    const fix = `kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name ${name} --add-config ${setting}=${declared}`
    return [{ topic: name, line: `${name}: ${setting} is ${is}, expected ${declared}; to fix: ${fix}` }]
  })

const partitionsOf = async (admin: Admin, specs: readonly TopicSpec[]): Promise<Map<string, number>> => {
  const { topics } = await admin.fetchTopicMetadata({ topics: specs.map(({ name }) => name) })
  return new Map(topics.map(({ name, partitions }) => [name, partitions.length]))
}

/** As they hold, whether they were set for the topic or are the broker's default. */
const settingsOf = async (
  admin: Admin,
  specs: readonly TopicSpec[],
): Promise<Map<string, Readonly<Record<string, string>>>> => {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: specs.map(({ name }) => ({
      type: ConfigResourceTypes.TOPIC,
      name,
      configNames: Object.keys(CONTRACT),
    })),
  })
  return new Map(
    resources.map(({ resourceName, configEntries }) => [
      resourceName,
      Object.fromEntries(configEntries.map(({ configName, configValue }) => [configName, configValue])),
    ]),
  )
}
