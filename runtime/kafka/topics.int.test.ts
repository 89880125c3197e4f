import t from 'tap'
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
  t.same(await ensureTopics(kafka, [declared({ 'max.message.bytes': '900000' })]), [], 'a larger limit does')
  t.same(await ensureTopics(kafka, [declared({ 'segment.ms': '1' })]), [], "what nobody relies on is the operator's")
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
