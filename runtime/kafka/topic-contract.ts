import type { TopicSpec } from './topics.ts'

/**
 * What code relies on in a topic, and when what is found keeps the promise of what was declared. A topic that does not is
 * refused (`drifts`); where it is right but costs the operator something that he may not know of, he is told (`warnings`).
 * All other settings are his.
 */
export interface FoundTopic {
  readonly partitions: number
  /** Replicas of that partition which has the fewest. */
  readonly replicas: number
  /** The settings in SETTINGS as they hold, whether set for the topic or the broker's default. */
  readonly config: Readonly<Record<string, string>>
}

export interface Comparison {
  readonly drifts: readonly Finding[]
  readonly warnings: readonly Finding[]
}

export interface Finding {
  readonly topic: string
  /** What is found, what was expected, and how it is mended. */
  readonly line: string
}

type Holds = (found: string, declared: string) => boolean

const same: Holds = (found, declared) => found === declared
const atLeast: Holds = (found, declared) => Number(found) >= Number(declared)
const atMost: Holds = (found, declared) => Number(found) <= Number(declared)
const oneOf =
  (...values: readonly string[]): Holds =>
  (found) =>
    values.includes(found)
const sameList: Holds = (found, declared) => found.split(',').sort().join() === declared.split(',').sort().join()

/** What holds for a topic that says nothing else: a log whose end no broker may forget, and that kafkajs can read. */
const UNSAID: Readonly<Record<string, string>> = {
  'cleanup.policy': 'delete',
  'unclean.leader.election.enable': 'false',
  'compression.type': 'producer',
}

const CONTRACT: Readonly<Record<string, Holds>> = {
  'cleanup.policy': sameList,
  'retention.ms': same,
  'retention.bytes': same,
  'message.timestamp.type': same,
  'max.message.bytes': atLeast,
  // Fewer, and what was acknowledged is lost with one broker: a fact, or half of what a transaction has changed.
  'min.insync.replicas': atLeast,
  // A leader that has not got the end of a log cuts it off: the same.
  'unclean.leader.election.enable': same,
  // Readers that begin within this time meet the end of every entry. See DORMANT_MEMORY_MS of run/task-runner.ts.
  'delete.retention.ms': atLeast,
  // Otherwise the broker packs everything into what kafkajs cannot unpack.
  'compression.type': oneOf('producer', 'uncompressed', 'gzip'),
}

const SLOWER = 'or tasks read more of what is superseded when they open'

/** Where the declared value is only the better one, and why. */
const ADVICE: Readonly<Record<string, { readonly holds: Holds; readonly why: string }>> = {
  'segment.ms': { holds: atMost, why: SLOWER },
  'min.cleanable.dirty.ratio': { holds: atMost, why: SLOWER },
  'compression.type': {
    // Anything else is a drift, or does as well.
    holds: (found, declared) => found !== 'producer' || found === declared,
    why: 'or what a producer packs with lz4, snappy or zstd stops its partition',
  },
}

/** What has to be known of a topic to compare it. */
export const SETTINGS: readonly string[] = [...new Set([...Object.keys(CONTRACT), ...Object.keys(ADVICE)])]

export const compareTopic = (spec: TopicSpec, found: FoundTopic): Comparison => ({
  drifts: [...partitionDrift(spec, found), ...replicaDrift(spec, found), ...settingDrifts(spec, found)],
  warnings: [...noReplicaToSpare(spec, found), ...advice(spec, found)],
})

const partitionDrift = ({ name, partitions, partitionsFrom }: TopicSpec, found: FoundTopic): Finding[] => {
  if (found.partitions === partitions) return []
  const { setting, otherwise = 'move the data to a new topic: keys would change their partition' } =
    partitionsFrom ?? {}
  const fix = setting === undefined ? otherwise : `set ${setting}=${found.partitions}, or ${otherwise}`
  return [finding(name, 'partitions', found.partitions, `expected ${partitions}`, fix)]
}

/** More than were asked for do no harm. */
const replicaDrift = ({ name, replicationFactor, replicationFrom }: TopicSpec, { replicas }: FoundTopic): Finding[] => {
  if (replicas >= replicationFactor) return []
  const plan = `a plan that gives each of its partitions ${replicationFactor} brokers`
  const reassign = `kafka-reassign-partitions.sh --bootstrap-server … --execute --reassignment-json-file <${plan}>`
  const fix = replicationFrom === undefined ? reassign : `${reassign}, or set ${replicationFrom}=${replicas}`
  return [finding(name, 'replicas', replicas, `expected ${replicationFactor}`, fix)]
}

const settingDrifts = ({ name, config }: TopicSpec, found: FoundTopic): Finding[] =>
  Object.entries({ ...UNSAID, ...config }).flatMap(([setting, declared]) => {
    const is = found.config[setting]
    // A broker that does not know a setting (an older one, or not Apache's) cannot differ in it.
    if (is === undefined || CONTRACT[setting]?.(is, declared) !== false) return []
    return [finding(name, setting, is, `expected ${declared}`, alter(name, setting, declared))]
  })

const advice = ({ name, config }: TopicSpec, found: FoundTopic): Finding[] =>
  Object.entries(config).flatMap(([setting, declared]) => {
    const [is, rule] = [found.config[setting], ADVICE[setting]]
    if (is === undefined || rule === undefined || rule.holds(is, declared)) return []
    return [finding(name, setting, is, `better ${declared}, ${rule.why}`, alter(name, setting, declared))]
  })

/** Durable, but every write waits for every replica: the operator may want that, and must not be surprised by it. */
const noReplicaToSpare = ({ name }: TopicSpec, { replicas, config }: FoundTopic): Finding[] => {
  const inSync = Number(config['min.insync.replicas'] ?? 1)
  if (replicas === 1 || inSync < replicas) return []
  const most = `at most ${replicas - 1} for ${replicas} replicas, or nothing is written while one broker is away`
  return [finding(name, 'min.insync.replicas', inSync, most, alter(name, 'min.insync.replicas', String(replicas - 1)))]
}

const finding = (topic: string, what: string, is: string | number, wanted: string, fix: string): Finding => ({
  topic,
  line: `${topic}: ${what} is ${is}, ${wanted}; to fix: ${fix}`,
})

const alter = (name: string, setting: string, value: string): string =>
  `kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name ${name} --add-config ${setting}=${value}`
