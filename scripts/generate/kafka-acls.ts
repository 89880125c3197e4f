import type { Projection } from '../../projections/engine/projection.ts'
import { SCHEMA_IDS_TOPIC } from '../../runtime/codec/schema-directory.ts'
import { inputTopicsOf, type Processor } from '../../runtime/processor.ts'
import { changelogOf, transactionalIdOf } from '../../runtime/run/kafka-task-log.ts'
import { DEAD_LETTERS_TOPIC } from '../../runtime/task/dead-letter.ts'

/**
 * What each process of the product has to be allowed on Kafka, derived from the declarations: a processor reads its inputs,
 * writes its outputs and its changelog, and everything compares the topics that it relies on with what was declared.
 *
 * Read and Write imply Describe, so that is only named where there is neither. No right on the cluster is needed: since
 * Kafka 3.0 whoever may write to a topic may do so as an idempotent producer.
 */
export interface Acl {
  readonly resource: 'topic' | 'group' | 'transactional-id'
  readonly name: string
  /** It is the beginning of the names that it is about. */
  readonly isPrefix: boolean
  /** As kafka-acls.sh calls them. */
  readonly operations: readonly string[]
}

export interface RoleAcls {
  readonly role: string
  /** For people. */
  readonly what: string
  readonly acls: readonly Acl[]
}

export interface AclSubjects {
  readonly appId: string
  /** As they are shared out between the roles `processors` and `workers`. */
  readonly thinking: readonly Processor[]
  readonly working: readonly Processor[]
  readonly projections: readonly Pick<Projection, 'reads'>[]
  /** Every topic of events; the one to which producers outside write, and those to which operators do. */
  readonly topics: readonly string[]
  readonly door: string
  readonly operated: readonly string[]
  /** Whose group says how far admission is. */
  readonly admission: Processor
}

export const kafkaAcls = (subjects: AclSubjects): readonly RoleAcls[] => {
  const { appId, thinking, working, projections, topics, door, operated, admission } = subjects
  const folded = unique(projections.map(({ reads }) => reads.name))
  const all = [...thinking, ...working]
  const facts = unique(admission.writes.map(({ topic }) => topic.name))
  return [
    role('processors', 'processors/main.ts', [...comparing(topics), ...thinking.flatMap(running(appId))]),
    role('workers', 'processors/workers.ts', [...comparing(topics), ...working.flatMap(running(appId))]),
    role('projections', 'projections/main.ts', [
      ...folded.map((topic) => onTopic(topic, 'Read', 'DescribeConfigs')),
      onTopic(SCHEMA_IDS_TOPIC, 'Read'),
    ]),
    role('gateway', 'ingest/gateway/server.ts, and `front` of `npm start`', [
      onTopic(door, 'Write'),
      // How far admission and the read models are: the reconciler waits for both.
      ...facts.map((topic) => onTopic(topic, 'Describe')),
      onGroup(admission.name, 'Describe'),
      onTopic(SCHEMA_IDS_TOPIC, 'Read'),
    ]),
    role('migrate', 'scripts/migrate.ts', [
      ...[...topics, ...all.map(changelogOf), SCHEMA_IDS_TOPIC, DEAD_LETTERS_TOPIC].map((topic) =>
        onTopic(topic, 'Create', 'Describe', 'DescribeConfigs'),
      ),
      onTopic(SCHEMA_IDS_TOPIC, 'Read', 'Write'),
      ...all.map((processor) => onTopic(changelogOf(processor), 'Write')),
      ...folded.map((topic) => onTopic(topic, 'Read')),
    ]),
    role('operator', '`reelstream` of whoever operates it', [
      ...all.flatMap((processor) => operating(appId, processor)),
      ...working.flatMap(recreating),
      ...folded.map((topic) => onTopic(topic, 'Read', 'DescribeConfigs')),
      onTopic(DEAD_LETTERS_TOPIC, 'Read'),
      onTopic(SCHEMA_IDS_TOPIC, 'Read'),
      ...operated.map((topic) => onTopic(topic, 'Write')),
    ]),
  ]
}

const role = (name: string, what: string, acls: readonly Acl[]): RoleAcls => ({ role: name, what, acls: merged(acls) })

/** Before it starts, a role compares what exists with what is declared (runtime/kafka/topics.ts). */
const comparing = (topics: readonly string[]): readonly Acl[] =>
  [...topics, SCHEMA_IDS_TOPIC, DEAD_LETTERS_TOPIC].map((topic) => onTopic(topic, 'Describe', 'DescribeConfigs'))

/** A processor in its role. What it has written it reads when it replays. */
const running =
  (appId: string) =>
  (processor: Processor): readonly Acl[] => [
    onGroup(processor.name, 'Read'),
    onTransactionalIds(appId, processor),
    ...inputTopicsOf(processor).map((topic) => onTopic(topic, 'Read')),
    ...processor.writes.map(({ topic }) => onTopic(topic.name, 'Read', 'Write')),
    onTopic(changelogOf(processor), 'Read', 'Write', 'DescribeConfigs'),
    onTopic(DEAD_LETTERS_TOPIC, 'Write'),
    onTopic(SCHEMA_IDS_TOPIC, 'Read'),
  ]

/** `processors`, `blocked`: everything is read, requests and resets are written to the changelog. */
const operating = (appId: string, processor: Processor): readonly Acl[] => [
  onGroup(processor.name, 'Describe'),
  onTransactionalIds(appId, processor),
  ...inputTopicsOf(processor).map((topic) => onTopic(topic, 'Read')),
  ...processor.writes.map(({ topic }) => onTopic(topic.name, 'Read')),
  onTopic(changelogOf(processor), 'Read', 'Write'),
]

/** `lanes set`: the lanes and the changelog are made anew, and whoever shares the work out is told so. */
const recreating = (worker: Processor): readonly Acl[] => [
  ...[...inputTopicsOf(worker), changelogOf(worker)].map((topic) =>
    onTopic(topic, 'Delete', 'Create', 'DescribeConfigs'),
  ),
  onGroup(worker.name, 'Delete'),
]

const onTopic = (name: string, ...operations: readonly string[]): Acl => ({
  resource: 'topic',
  name,
  isPrefix: false,
  operations,
})
const onGroup = (name: string, ...operations: readonly string[]): Acl => ({
  resource: 'group',
  name,
  isPrefix: false,
  operations,
})
/** One for each task. */
const onTransactionalIds = (appId: string, processor: Processor): Acl => ({
  resource: 'transactional-id',
  name: transactionalIdOf(appId, processor, 0).slice(0, -1),
  isPrefix: true,
  operations: ['Write'],
})

/** In the order in which Kafka lists them. */
const ORDER = ['Read', 'Write', 'Create', 'Delete', 'Describe', 'DescribeConfigs']
/** What each of these implies. */
const IMPLY_DESCRIBE = ['Read', 'Write', 'Delete']

/** One for each resource, without what others of it imply. */
const merged = (acls: readonly Acl[]): readonly Acl[] =>
  [...Map.groupBy(acls, ({ resource, name }) => `${resource} ${name}`).values()].map((ofOne) => {
    const operations = unique(ofOne.flatMap((acl) => acl.operations))
    const isImplied = operations.some((operation) => IMPLY_DESCRIBE.includes(operation))
    const needed = operations.filter((operation) => operation !== 'Describe' || !isImplied)
    return { ...(ofOne[0] as Acl), operations: needed.sort((a, b) => ORDER.indexOf(a) - ORDER.indexOf(b)) }
  })

const unique = <T>(all: readonly T[]): T[] => [...new Set(all)]
