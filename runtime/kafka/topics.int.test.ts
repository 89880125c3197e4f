import t from 'tap'
import { realKafka, uniqueName } from './testing/real-kafka.ts'
import { ensureTopics, type TopicSpec } from './topics.ts'

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

t.test('names every topic that is not what was meant, and how to mend it', async (t) => {
  const [one, two] = [uniqueName('one'), uniqueName('two')]
  await ensureTopics(kafka, [spec(one, 2), spec(two, 1, 'compact')])
  const drifted = [spec(one, 4), spec(two, 1, 'delete')]
  const error = await ensureTopics(kafka, drifted).then(
    () => t.fail('it must be refused'),
    (error: Error) => error,
  )
  t.match(error, { code: 'TOPIC_DRIFT', retryable: false, facts: { topics: `${one},${two}` } })
  t.match(error, { message: new RegExp(`${one}: partitions is 2, expected 4; to fix: .*back to 2`) })
  t.match(error, { message: new RegExp(`${two}: cleanup.policy is compact, expected delete; to fix: kafka-configs`) })
})

t.test('no broker is an error that can be tried again', async (t) => {
  const nowhere = realKafka({ brokers: ['127.0.0.1:1'], retries: 1 })
  await t.rejects(ensureTopics(nowhere, [spec('any')]), { code: 'TOPICS_UNAVAILABLE', retryable: true })
})
