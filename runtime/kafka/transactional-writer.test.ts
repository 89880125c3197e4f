import t from 'tap'
import type { Kafka } from './client.ts'
import { openTransactionalWriter } from './transactional-writer.ts'

/** An error of the broker, as kafkajs wraps it. */
const refusal = (type: string): Error => {
  const error = Object.assign(new Error('The broker refuses'), { name: 'KafkaJSProtocolError', type })
  return Object.assign(new Error(error.message, { cause: error }), { name: 'KafkaJSNonRetriableError' })
}

type Step = 'transaction' | 'sendBatch' | 'commit'

/** A broker that refuses one step of a transaction, or of the next one when the writer is to open first. */
const refusingKafka = (step: Step, type: string, from: 'opening' | 'committing') => {
  let transactions = 0
  let disconnects = 0
  const at = (here: Step) => async (): Promise<void> => {
    if (here === step && (from === 'opening' || transactions > 1)) throw refusal(type)
  }
  const producer = () => ({
    connect: async () => undefined,
    disconnect: async () => {
      disconnects += 1
    },
    transaction: async () => {
      transactions += 1
      await at('transaction')()
      return { abort: async () => undefined, sendBatch: at('sendBatch'), commit: at('commit') }
    },
  })
  return { kafka: { producer } as unknown as Kafka, disconnects: () => disconnects }
}

const RECORD = { topic: 'out', key: 'k', value: Buffer.from('v'), headers: {} }

t.test('what the ACLs do not allow is an error of the settings, whichever step is refused', async (t) => {
  const unauthorized = (kafkaError: string) => ({
    code: 'KAFKA_UNAUTHORIZED',
    retryable: false,
    facts: { transactionalId: 'app.p.0', kafkaError },
  })
  const id = 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED'
  const opening = refusingKafka('transaction', id, 'opening')
  await t.rejects(openTransactionalWriter(opening.kafka, 'app.p.0'), unauthorized(id))
  t.equal(opening.disconnects(), 1)
  const refusals = [
    ['transaction', id],
    ['sendBatch', 'TOPIC_AUTHORIZATION_FAILED'],
    ['commit', id],
  ] as const
  for (const [step, type] of refusals) {
    const { kafka, disconnects } = refusingKafka(step, type, 'committing')
    const writer = await openTransactionalWriter(kafka, 'app.p.0')
    await t.rejects(writer.commit([RECORD]), unauthorized(type))
    t.equal(disconnects(), 1, 'the writer is dead')
    await t.rejects(writer.commit([RECORD]), { code: 'WRITER_MISUSED' })
  }
})
