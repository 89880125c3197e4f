import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { readConfig } from '../../platform/config.ts'
import type { Logger } from '../../platform/log.ts'
import { eventTopicSpec } from './event-topic.ts'
import { createPartitionReader } from './partition-reader.ts'
import { realKafka, uniqueName } from './testing/real-kafka.ts'
import { dropTopics, ensureTopics, requireTopics, type TopicSpec } from './topics.ts'

const kafka = realKafka()

const spec = (name: string, partitions = 2, policy = 'delete'): TopicSpec => ({
  name,
  partitions,
  replicationFactor: 1,
  config: { 'cleanup.policy': policy },
})

t.test('creates what is missing and says what that was', async (t) => {
  const [first, second] = [spec(uniqueName('first')), spec(uniqueName('second'), 1, 'compact')]
  t.same(await ensureTopics(kafka, [first]), [first.name])
  t.same(await ensureTopics(kafka, [first, second]), [second.name])
  t.same(await ensureTopics(kafka, [first, second]), [])
  t.same(await ensureTopics(kafka, []), [])
})

t.test('several processes may do it at once', async (t) => {
  const specs = [spec(uniqueName('race')), spec(uniqueName('race'))]
  await Promise.all(Array.from({ length: 3 }, () => ensureTopics(kafka, specs)))
  t.same(await ensureTopics(kafka, specs), [])
})

const refusalOf = (checked: Promise<unknown>): Promise<Error & { facts?: object }> =>
  checked.then(
    () => t.fail('it must be refused'),
    (error: Error) => error,
  ) as Promise<Error>

t.test('names every topic that is not what was meant, and how to mend it', async (t) => {
  const [one, two, three] = [uniqueName('one'), uniqueName('two'), uniqueName('three')]
  await ensureTopics(kafka, [spec(one, 2), spec(two, 1, 'compact'), spec(three, 2)])
  const lanes = { setting: 'TRANSCODE_LANES', otherwise: 'run: reelstream lanes set 4' }
  const drifted = [spec(one, 4), spec(two, 1, 'delete'), { ...spec(three, 4), partitionsFrom: lanes }]
  for (const check of [ensureTopics, requireTopics]) {
    const error = await refusalOf(check(kafka, drifted))
    t.match(error, { code: 'TOPIC_DRIFT', retryable: false, facts: { topics: `${one},${two},${three}` } })
    const [, ...lines] = error.message.split('\n')
    t.match(lines, [
      `${one}: partitions is 2, expected 4; to fix: move the data to a new topic: keys would change their partition`,
      new RegExp(`^${two}: cleanup.policy is compact, expected delete; to fix: kafka-configs.sh .*=delete$`),
      `${three}: partitions is 2, expected 4; to fix: set TRANSCODE_LANES=2, or run: reelstream lanes set 4`,
    ])
  }
})

t.test('compares the settings that code relies on, as they hold', async (t) => {
  const name = uniqueName('settings')
  await ensureTopics(kafka, [spec(name)]) // so everything else is the broker's default
  const declared = (config: Record<string, string>): TopicSpec => ({ ...spec(name), config })
  const driftOf = async (config: Record<string, string>): Promise<string[]> => {
    const { message } = await refusalOf(ensureTopics(kafka, [declared(config)]))
    return message.split('\n').slice(1)
  }
  t.match(await driftOf({ 'retention.ms': '-1', 'message.timestamp.type': 'LogAppendTime', 'retention.bytes': '1' }), [
    /retention.ms is 604800000, expected -1; to fix: .*--add-config retention.ms=-1$/,
    /message.timestamp.type is CreateTime, expected LogAppendTime/,
    /retention.bytes is -1, expected 1/,
  ])
  t.match(await driftOf({ 'max.message.bytes': '2000000' }), [/max.message.bytes is 1048588, expected 2000000/])
  t.match(await driftOf({ 'min.insync.replicas': '2', 'delete.retention.ms': '90000000' }), [
    /min.insync.replicas is 1, expected 2; to fix: .*--add-config min.insync.replicas=2$/,
    /delete.retention.ms is 86400000, expected 90000000/,
  ])
  t.same(await ensureTopics(kafka, [declared({ 'max.message.bytes': '900000' })]), [], 'a larger limit does')
  t.same(await ensureTopics(kafka, [declared({ 'segment.ms': '1' })]), [], "what nobody relies on is the operator's")
})

t.test('refuses a topic that a broker could lose, or that we could not read', async (t) => {
  const name = uniqueName('weak')
  const config = { 'unclean.leader.election.enable': 'true', 'compression.type': 'lz4' }
  await t.rejects(
    ensureTopics(kafka, [{ ...spec(name), config }]),
    { code: 'TOPIC_DRIFT' },
    'even when it was asked for',
  )
  const { message } = await refusalOf(requireTopics(kafka, [{ ...spec(name), replicationFactor: 3 }]))
  t.match(message.split('\n').slice(1), [
    /replicas is 1, expected 3; to fix: kafka-reassign-partitions.sh/,
    /unclean.leader.election.enable is true, expected false; to fix: kafka-configs.sh/,
    /compression.type is lz4, expected producer; to fix: kafka-configs.sh/,
  ])
})

/** A producer with stock kafkajs, in a process without our patches, that packs with what Node can and kafkajs cannot. */
const PACKING_PRODUCER = `
  import kafkajs from 'kafkajs'
  import { zstdCompressSync } from 'node:zlib'
  const ZSTD = 4
  kafkajs.CompressionCodecs[ZSTD] = () => ({ compress: async ({ buffer }) => zstdCompressSync(buffer) })
  const [brokers, topic] = process.argv.slice(1)
  const kafka = new kafkajs.Kafka({ brokers: brokers.split(','), logLevel: kafkajs.logLevel.NOTHING })
  const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  await producer.connect()
  await producer.send({ topic, compression: ZSTD, messages: [{ key: 'k', value: 'v'.repeat(1000) }] })
  await producer.disconnect()`

t.test('what producers have packed in any way can be read from a door, and only from there', async (t) => {
  const reader = await createPartitionReader(kafka)
  t.teardown(() => reader.close())
  const readFrom = async (door: boolean): Promise<readonly string[]> => {
    const topic = { name: uniqueName('door'), cleanup: 'delete', retentionMs: -1, timestamps: 'CreateTime' } as const
    await ensureTopics(kafka, [eventTopicSpec({ ...topic, door }, { partitions: 1, replicationFactor: 1 })])
    const args = ['--input-type=module', '-e', PACKING_PRODUCER, String(readConfig().kafkaBrokers), topic.name]
    await promisify(execFile)(process.execPath, args)
    const values: string[] = []
    await reader.readToEnd(topic.name, 0, 0n, (records) => {
      values.push(...records.map(({ value }) => String(value)))
    })
    return values
  }
  t.same(await readFrom(true), ['v'.repeat(1000)])
  await t.rejects(readFrom(false), { code: 'PARTITION_UNREADABLE' })
})

t.test('what only costs something is a line of the log', async (t) => {
  const name = uniqueName('slow')
  const warnings: object[] = []
  const log = { warn: (facts: object) => warnings.push(facts) } as unknown as Logger
  await ensureTopics(kafka, [spec(name)])
  await requireTopics(kafka, [{ ...spec(name), config: { 'segment.ms': '3600000' } }], log)
  t.match(warnings, [{ topic: name, detail: /segment.ms is 604800000, better 3600000, or / }])
})

t.test('the order of cleanup policies says nothing', async (t) => {
  const name = uniqueName('both')
  await ensureTopics(kafka, [spec(name, 1, 'compact,delete')])
  t.same(await ensureTopics(kafka, [spec(name, 1, 'delete,compact')]), [])
})

t.test('a process that relies on topics makes none', async (t) => {
  const [there, missing] = [spec(uniqueName('there')), spec(uniqueName('missing'))]
  await ensureTopics(kafka, [there])
  await requireTopics(kafka, [there])
  await requireTopics(kafka, [])
  await t.rejects(requireTopics(kafka, [there, missing]), {
    code: 'TOPICS_MISSING',
    retryable: false,
    facts: { topics: missing.name },
  })
  t.same(await ensureTopics(kafka, [there, missing]), [missing.name])
})

t.test('topics are dropped, and may be made anew with other partitions', async (t) => {
  const name = uniqueName('dropped')
  await ensureTopics(kafka, [spec(name, 2)])
  await dropTopics(kafka, [name, uniqueName('never')])
  t.same(await ensureTopics(kafka, [spec(name, 3)]), [name])
})

t.test('no broker is an error that can be tried again', async (t) => {
  const nowhere = realKafka({ brokers: ['127.0.0.1:1'], retries: 1 })
  await t.rejects(ensureTopics(nowhere, [spec('any')]), { code: 'TOPICS_UNAVAILABLE', retryable: true })
  await t.rejects(requireTopics(nowhere, [spec('any')]), { code: 'TOPICS_UNAVAILABLE', retryable: true })
})
