import t from 'tap'
import { readLadder } from '../media/ladder-file.ts'
import { readConfig } from '../platform/config.ts'
import { MAX_RECORD_BYTES } from '../runtime/kafka/log-records.ts'
import { productTopology } from './index.ts'
import { productSettings } from './settings.ts'
import { topicSpecs } from './topics.ts'

const specs = (env: Record<string, string> = {}) => {
  const config = readConfig(env)
  const { processors } = productTopology(productSettings(config, readLadder(), 'test'))
  return new Map(topicSpecs(config, processors).map((spec) => [spec.name, spec]))
}

t.test('facts are kept for ever, whatever the cluster does by default', async (t) => {
  t.match(specs().get('video-events')?.config, {
    'cleanup.policy': 'delete',
    'retention.ms': '-1',
    'retention.bytes': '-1',
    'message.timestamp.type': 'LogAppendTime',
  })
})

t.test('changelogs are compacted, and cut like the inputs of their processor', async (t) => {
  const found = specs({ VIDEO_PARTITIONS: '6', TRANSCODE_LANES: '3' })
  t.match(found.get('admit-events-state'), { partitions: 6, config: { 'cleanup.policy': 'compact' } })
  t.match(found.get('transcode-source-state'), { partitions: 3, config: { 'cleanup.policy': 'compact' } })
  t.match(found.get('schedule-transcodes-state'), { partitions: 1 })
})

t.test('says which setting counts the partitions, and that lanes can be set', async (t) => {
  const found = specs()
  t.same(found.get('video-intake')?.partitionsFrom, { setting: 'VIDEO_PARTITIONS' })
  const lanes = { setting: 'TRANSCODE_LANES', otherwise: 'run: reelstream lanes set 4' }
  t.same(found.get('transcode-jobs')?.partitionsFrom, lanes)
  t.same(found.get('transcode-source-state')?.partitionsFrom, lanes)
})

t.test('every topic takes the largest record that is written, and no more than brokers do by default', async (t) => {
  for (const { name, config } of specs().values()) {
    const limit = Number(config['max.message.bytes'])
    t.ok(limit > MAX_RECORD_BYTES && limit <= 1_048_588, name)
  }
})

t.test('the door takes what is packed in any way', async (t) => {
  const packed = [...specs().values()].filter(({ config }) => config['compression.type'] === 'uncompressed')
  t.same(
    packed.map(({ name }) => name),
    ['video-intake'],
  )
})

t.test('an end of an entry is kept for longer than a dormant task remembers', async (t) => {
  t.equal(specs().get('admit-events-state')?.config['delete.retention.ms'], '86400000')
})

t.test('one replica may be away, and none that has lost the end of the log leads it', async (t) => {
  for (const { name, config } of specs().values())
    t.match(config, { 'min.insync.replicas': '1', 'unclean.leader.election.enable': 'false' }, name)
  const replicated = specs({ KAFKA_REPLICATION_FACTOR: '3' }).get('video-events')
  t.match(replicated, {
    replicationFactor: 3,
    replicationFrom: 'KAFKA_REPLICATION_FACTOR',
    config: { 'min.insync.replicas': '2' },
  })
})
