import t from 'tap'
import { compareTopic, type FoundTopic } from './topic-contract.ts'
import type { TopicSpec } from './topics.ts'

const declared: TopicSpec = {
  name: 'facts',
  partitions: 4,
  replicationFactor: 3,
  replicationFrom: 'KAFKA_REPLICATION_FACTOR',
  config: {
    'cleanup.policy': 'compact',
    'min.insync.replicas': '2',
    'max.message.bytes': '1048588',
    'delete.retention.ms': '86400000',
    'segment.ms': '3600000',
  },
}

const asDeclared: FoundTopic = {
  partitions: 4,
  replicas: 3,
  config: {
    ...declared.config,
    'unclean.leader.election.enable': 'false',
    'compression.type': 'producer',
    'retention.ms': '604800000',
  },
}

const compare = (config: Record<string, string> = {}, found: Partial<FoundTopic> = {}) => {
  const { drifts, warnings } = compareTopic(declared, {
    ...asDeclared,
    ...found,
    config: { ...asDeclared.config, ...config },
  })
  return { drifts: drifts.map(({ line }) => line), warnings: warnings.map(({ line }) => line) }
}

const nothing = { drifts: [], warnings: [] }
const set = (setting: string): string =>
  `kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name facts --add-config ${setting}`

t.test('what keeps the promise is no difference, also when it is more', async (t) => {
  t.same(compare(), nothing)
  t.same(compare({ 'max.message.bytes': '5000000', 'delete.retention.ms': '90000000' }), nothing)
  t.same(compare({}, { replicas: 5 }), nothing)
  t.same(compare({ 'compression.type': 'gzip' }), nothing)
  t.same(compare({ 'retention.ms': '1' }), nothing, 'nobody has declared it')
})

t.test('what would lose acknowledged records is refused', async (t) => {
  t.same(compare({ 'min.insync.replicas': '1' }).drifts, [
    `facts: min.insync.replicas is 1, expected 2; to fix: ${set('min.insync.replicas=2')}`,
  ])
  t.same(compare({ 'unclean.leader.election.enable': 'true' }).drifts, [
    `facts: unclean.leader.election.enable is true, expected false; to fix: ${set('unclean.leader.election.enable=false')}`,
  ])
  t.match(compare({}, { replicas: 1 }).drifts, [
    /^facts: replicas is 1, expected 3; to fix: kafka-reassign-partitions.sh .* gives each of its partitions 3 brokers>, or set KAFKA_REPLICATION_FACTOR=1$/,
  ])
})

t.test('what a restore or a reader cannot live with is refused', async (t) => {
  t.match(compare({ 'delete.retention.ms': '60000' }).drifts, [/expected 86400000/])
  for (const codec of ['zstd', 'lz4', 'snappy'])
    t.match(compare({ 'compression.type': codec }).drifts, [/compression.type is .*, expected producer; to fix/], codec)
})

t.test('what only costs something is said', async (t) => {
  t.match(compare({ 'min.insync.replicas': '3' }), {
    drifts: [],
    warnings: [
      `facts: min.insync.replicas is 3, at most 2 for 3 replicas, or nothing is written while one broker is away; to fix: ${set('min.insync.replicas=2')}`,
    ],
  })
  t.match(compare({ 'segment.ms': '604800000' }), {
    drifts: [],
    warnings: [
      /^facts: segment.ms is 604800000, better 3600000, or tasks read more [^;]*; to fix: .*segment.ms=3600000$/,
    ],
  })
  t.same(compare({ 'segment.ms': '60000' }), nothing)
})

t.test('a door that keeps what producers have packed is warned of', async (t) => {
  const door = { ...declared, config: { 'compression.type': 'uncompressed' } }
  const found = (type: string) =>
    compareTopic(door, { ...asDeclared, config: { 'cleanup.policy': 'delete', 'compression.type': type } })
  t.match(found('producer'), {
    drifts: [],
    warnings: [{ line: /^facts: compression.type is producer, better uncompressed, or .*; to fix: / }],
  })
  t.match(found('zstd'), { drifts: [{ line: /expected uncompressed/ }], warnings: [] })
  t.same(found('uncompressed'), nothing)
  t.same(found('gzip'), nothing)
})

t.test('one broker has no replica to spare, and need not be told', async (t) => {
  const single = { ...declared, replicationFactor: 1, config: { 'min.insync.replicas': '1' } }
  const found = { partitions: 4, replicas: 1, config: { 'cleanup.policy': 'delete', 'min.insync.replicas': '1' } }
  t.same(compareTopic(single, found), nothing)
})
