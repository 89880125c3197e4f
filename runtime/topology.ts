import { ConfigError } from '../platform/errors.ts'
import type { AvroSchema } from './codec/avro.ts'
import { SCHEMA_IDS_TOPIC } from './codec/schema-directory.ts'
import { commonTopicConfig, type Replicas, type TopicCounts } from './kafka/event-topic.ts'
import type { TopicSpec } from './kafka/topics.ts'
import {
  type Edge,
  type EffectDeclaration,
  inputsOf,
  inputTopicsOf,
  type Processor,
  type TopicRef,
} from './processor.ts'
import { changelogOf } from './run/kafka-task-log.ts'
import { ENGINE_SCHEMAS } from './state/schemas.ts'
import { DEAD_LETTERS_TOPIC } from './task/dead-letter.ts'

/**
 * The processors of a product as one graph. It is checked when it is made, so that a misspelt edge is an error at the
 * start and not an event that nobody ever sees; topics, changelogs and the drawing derive from it.
 */
export interface Topology {
  readonly processors: readonly Processor[]
  readonly topics: readonly TopicRef[]
}

interface TopologyOptions {
  /** Events that come from outside (producers, gateways): nobody here has to write them. */
  readonly external: readonly Edge[]
  /** Events for readers outside (projections): nobody here has to read them. */
  readonly observed: readonly Edge[]
}

export const defineTopology = (processors: readonly Processor[], options: TopologyOptions): Topology => {
  const problems = [
    ...duplicateNames(processors),
    ...processors.flatMap(unequalInputs),
    ...clashingEmits(processors),
    ...unwritten(processors, options),
    ...unread(processors, options),
  ]
  if (problems.length > 0)
    throw new ConfigError('TOPOLOGY_INVALID', `The topology does not hold:\n${problems.join('\n')}`)
  const topics = new Map<string, TopicRef>()
  for (const { topic } of edgesOf(processors)) topics.set(topic.name, topic)
  return { processors, topics: [...topics.values()] }
}

const DAY_MS = 24 * 60 * 60 * 1000

/** The changelog of a processor: compacted, with as many partitions as its inputs. `countsOf` is asked for one of these. */
const changelogSpec = (processor: Processor, countsOf: (input: TopicRef) => TopicCounts): TopicSpec => {
  const counts = countsOf((processor.reads[0] as Edge).topic)
  return {
    name: changelogOf(processor),
    ...counts,
    config: {
      ...commonTopicConfig(counts.replicationFactor),
      'cleanup.policy': 'compact',
      'min.cleanable.dirty.ratio': '0.1',
      'segment.ms': '3600000',
      'delete.retention.ms': String(DAY_MS),
    },
  }
}

/** What the engine keeps on Kafka for these processors: changelogs, the schema ids, and what was refused. */
export const engineTopics = (
  processors: readonly Processor[],
  replicas: Replicas,
  countsOf: (input: TopicRef) => TopicCounts,
): readonly TopicSpec[] => {
  const single = (name: string, settings: TopicSpec['config']): TopicSpec => ({
    ...replicas,
    name,
    partitions: 1,
    config: { ...commonTopicConfig(replicas.replicationFactor), ...settings },
  })
  return [
    ...processors.map((processor) => changelogSpec(processor, countsOf)),
    single(SCHEMA_IDS_TOPIC, { 'cleanup.policy': 'compact' }),
    // Kept until somebody has looked at them.
    single(DEAD_LETTERS_TOPIC, { 'cleanup.policy': 'delete', 'retention.ms': '-1' }),
  ]
}

/**
 * Every record type that may be on a topic: events (of the topics that they read or write, unless others are named), state,
 * effect inputs, outcomes, reports, and the engine's own.
 */
export const schemasOf = (
  processors: readonly Processor[],
  topics: readonly Pick<TopicRef, 'events'>[] = edgesOf(processors).map(({ topic }) => topic),
): readonly AvroSchema<unknown>[] => {
  const ofEffect = ({ input, outcome, report }: EffectDeclaration) =>
    report === null ? [input, outcome] : [input, outcome, report]
  const all = [
    ...topics.flatMap(({ events }) => Object.values(events)),
    ...processors.flatMap(({ state }) => Object.values(state)),
    ...processors.flatMap(({ effects }) => Object.values(effects).flatMap(ofEffect)),
    ...ENGINE_SCHEMAS,
  ]
  return [...new Map(all.map((schema) => [schema.name, schema])).values()]
}

/** A Mermaid drawing: topics are cylinders, processors boxes; `*` marks those with effects. */
export const drawTopology = (topology: Topology): string => {
  const box = (processor: Processor) =>
    `  ${processor.name}["${processor.name}${Object.keys(processor.effects).length > 0 ? ' *' : ''}"]`
  const cylinder = (topic: TopicRef) => `  ${topic.name}[("${topic.name}")]`
  const arrows = topology.processors.flatMap((processor) => [
    ...inputTopicsOf(processor).map((topic) => `  ${topic} --> ${processor.name}`),
    ...new Set(processor.writes.map(({ topic }) => `  ${processor.name} --> ${topic.name}`)),
  ])
  return ['flowchart LR', ...topology.topics.map(cylinder), ...topology.processors.map(box), ...arrows].join('\n')
}

const edgesOf = (processors: readonly Processor[]): readonly Edge[] =>
  processors.flatMap((processor) => [...inputsOf(processor), ...processor.writes])

const labels = (edges: readonly Edge[]): readonly string[] =>
  edges.flatMap(({ topic, events }) => events.map((event) => `${topic.name}/${event}`))

const duplicateNames = (processors: readonly Processor[]): readonly string[] => {
  const names = processors.map(({ name }) => name)
  return names.filter((name, index) => names.indexOf(name) !== index).map((name) => `two processors are called ${name}`)
}

/** Task u reads partition u of every input, so the inputs must be cut alike. */
const unequalInputs = (processor: Processor): readonly string[] => {
  const kinds = new Map(inputsOf(processor).map(({ topic }) => [topic.name, topic.partitions]))
  if (new Set(kinds.values()).size <= 1) return []
  return [`${processor.name} reads topics with unequal partitions: ${[...kinds.keys()].join(', ')}`]
}

const clashingEmits = (processors: readonly Processor[]): readonly string[] =>
  processors.flatMap(({ name, writes }) => {
    const events = writes.flatMap((edge) => edge.events)
    return events
      .filter((event, index) => events.indexOf(event) !== index)
      .map((event) => `${name} writes ${event} to two topics: emit could not tell which`)
  })

const unwritten = (processors: readonly Processor[], { external }: TopologyOptions): readonly string[] => {
  const written = new Set([...labels(processors.flatMap(({ writes }) => writes)), ...labels(external)])
  return processors.flatMap((processor) =>
    labels(inputsOf(processor))
      .filter((label) => !written.has(label))
      .map((label) => `${processor.name} reads ${label}, which nobody writes`),
  )
}

const unread = (processors: readonly Processor[], { observed }: TopologyOptions): readonly string[] => {
  const read = new Set([...labels(processors.flatMap(inputsOf)), ...labels(observed)])
  return processors.flatMap(({ name, writes }) =>
    labels(writes)
      .filter((label) => !read.has(label))
      .map((label) => `${name} writes ${label}, which nobody reads`),
  )
}
