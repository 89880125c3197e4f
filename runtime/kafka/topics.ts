import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin, Kafka } from 'kafkajs'
import { ConfigError } from '../../platform/errors.ts'
import { asUpstreamError, kafkaErrorOf } from './kafka-errors.ts'
import { ConfigResourceTypes } from './kafkajs.ts'

export interface TopicSpec {
  readonly name: string
  readonly partitions: number
  readonly replicationFactor: number
  /** Topic settings as the broker names them, e.g. `cleanup.policy`. */
  readonly config: Readonly<Record<string, string>>
}

const CLEANUP_POLICY = 'cleanup.policy'

/**
 * Creates the topics that are missing and returns their names. What exists is left as it is: throws ConfigError
 * TOPIC_DRIFT, naming every difference at once, when its partitions or its cleanup policy are not what the code was
 * written for (a key would change its partition; a compacted event log would forget). Other settings are the operator's.
 * Safe to call from several processes at once. UpstreamError TOPICS_UNAVAILABLE when the broker cannot be asked.
 */
export const ensureTopics = async (kafka: Kafka, specs: readonly TopicSpec[]): Promise<string[]> => {
  if (specs.length === 0) return []
  const admin = kafka.admin()
  try {
    await admin.connect()
    const existing = new Set(await admin.listTopics())
    const missing = specs.filter(({ name }) => !existing.has(name))
    if (missing.length > 0) await create(admin, missing)
    await onceKnown(() => refuseDrift(admin, specs))
    return missing.map(({ name }) => name)
  } catch (error) {
    throw asUpstreamError('TOPICS_UNAVAILABLE', 'Topics could not be checked', error)
  } finally {
    await admin.disconnect()
  }
}

/** In a cluster the broker that is asked may hear of a new topic a moment after the one that made it has answered. */
const KNOWN_WITHIN_MS = 10_000
const ASK_AGAIN_MS = 100

const onceKnown = async (check: () => Promise<void>): Promise<void> => {
  for (const deadline = Date.now() + KNOWN_WITHIN_MS; ; await sleep(ASK_AGAIN_MS)) {
    try {
      return await check()
    } catch (error) {
      if (kafkaErrorOf(error) !== 'UNKNOWN_TOPIC_OR_PARTITION' || Date.now() > deadline) throw error
    }
  }
}

const create = async (admin: Admin, specs: readonly TopicSpec[]): Promise<void> => {
  await admin.createTopics({
    waitForLeaders: true,
    topics: specs.map(({ name, partitions, replicationFactor, config }) => ({
      topic: name,
      numPartitions: partitions,
      replicationFactor,
      configEntries: Object.entries(config).map(([key, value]) => ({ name: key, value })),
    })),
  })
}

const refuseDrift = async (admin: Admin, specs: readonly TopicSpec[]): Promise<void> => {
  const partitions = await partitionsOf(admin, specs)
  const policies = await policiesOf(admin, specs)
  const drifts = specs.flatMap((spec) => {
    const policy = spec.config[CLEANUP_POLICY] ?? 'delete'
    return [
      ...drift(spec.name, 'partitions', String(partitions.get(spec.name)), String(spec.partitions)),
      ...drift(spec.name, CLEANUP_POLICY, policies.get(spec.name) ?? 'delete', policy),
    ]
  })
  if (drifts.length === 0) return
  throw new ConfigError(
    'TOPIC_DRIFT',
    `Topics that are not what this code was written for:\n${drifts.map(({ line }) => line).join('\n')}`,
    { facts: { topics: drifts.map(({ topic }) => topic).join(',') } },
  )
}

const drift = (topic: string, what: string, found: string, expected: string): { topic: string; line: string }[] => {
  if (found === expected) return []
  const fix =
    what === CLEANUP_POLICY
      ? `kafka-configs --alter --entity-type topics --entity-name ${topic} --add-config ${CLEANUP_POLICY}=${expected}`
      : `set the configured count back to ${found}, or move the data to a new topic: keys would change their partition`
  return [{ topic, line: `${topic}: ${what} is ${found}, expected ${expected}; to fix: ${fix}` }]
}

const partitionsOf = async (admin: Admin, specs: readonly TopicSpec[]): Promise<Map<string, number>> => {
  const { topics } = await admin.fetchTopicMetadata({ topics: specs.map(({ name }) => name) })
  return new Map(topics.map(({ name, partitions }) => [name, partitions.length]))
}

const policiesOf = async (admin: Admin, specs: readonly TopicSpec[]): Promise<Map<string, string>> => {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: specs.map(({ name }) => ({ type: ConfigResourceTypes.TOPIC, name, configNames: [CLEANUP_POLICY] })),
  })
  return new Map(
    resources.map(({ resourceName, configEntries }) => [
      resourceName,
      configEntries.find(({ configName }) => configName === CLEANUP_POLICY)?.configValue ?? '',
    ]),
  )
}
