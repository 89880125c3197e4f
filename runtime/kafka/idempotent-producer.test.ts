import t from 'tap'
import type { Kafka } from './client.ts'
import { createIdempotentProducer } from './idempotent-producer.ts'
import type { OutputRecord } from './log-records.ts'

interface Batch {
  readonly topicMessages: readonly { readonly topic: string; readonly messages: readonly OutputRecord[] }[]
}
interface ProducerOptions {
  readonly createPartitioner: () => (choice: object) => number
}

interface Ack {
  readonly topicName: string
  readonly partition: number
  readonly baseOffset: string
}

/** A broker that does not answer before it is thawed, and then takes everything. It may leave some of that unsaid. */
const frozenKafka = ({ answers = (acks) => acks }: { answers?: (acks: readonly Ack[]) => readonly Ack[] } = {}) => {
  const thawed = Promise.withResolvers<void>()
  const written: OutputRecord[] = []
  const producer = ({ createPartitioner }: ProducerOptions) => {
    const partitionOf = createPartitioner()
    return {
      connect: () => thawed.promise,
      disconnect: async () => {},
      sendBatch: async ({ topicMessages }: Batch) => {
        const acks = topicMessages.map(({ topic, messages }) => {
          for (const message of messages) partitionOf({ topic, message, partitionMetadata: [{ partitionId: 0 }] })
          written.push(...messages)
          return { topicName: topic, partition: 0, baseOffset: '0' }
        })
        return answers(acks)
      },
    }
  }
  return { kafka: { producer } as unknown as Kafka, written, thaw: () => thawed.resolve() }
}

const record = (key: string, bytes: number): OutputRecord => ({
  topic: 'door',
  partition: 0,
  key,
  value: Buffer.alloc(bytes),
  headers: {},
})

t.test('only so much waits for a broker that is silent; the rest is refused and certainly not written', async (t) => {
  const { kafka, written, thaw } = frozenKafka()
  const producer = createIdempotentProducer(kafka)
  const half = 500_000
  // Of 900 kB at most is a request, so one of these is on its way and the others wait.
  const accepted = Array.from({ length: 34 }, (_, n) => producer.send([record(`${n}`, half)]))
  await t.rejects(producer.send([record('too many', half)]), { code: 'SEND_QUEUE_FULL', retryable: true })
  const several = ['a', 'b'].map((key) => record(key, half))
  await t.rejects(producer.send(several), { code: 'SEND_QUEUE_FULL' }, 'a call is taken whole or not at all')

  thaw()
  await Promise.all(accepted)
  t.same(
    written.map(({ key }) => key),
    accepted.map((_, n) => `${n}`),
  )
  await producer.send([record('later', half)])
  t.equal(written.at(-1)?.key, 'later', 'there is room again')
  await producer.close()
})

t.test('a call that is larger than the bound is taken when nothing else waits', async (t) => {
  const { kafka, written, thaw } = frozenKafka()
  const producer = createIdempotentProducer(kafka)
  const sent = producer.send(Array.from({ length: 40 }, (_, n) => record(`${n}`, 500_000)))
  thaw()
  await sent
  t.equal(written.length, 40)
  await producer.close()
})

t.test('an answer that leaves a record out is no success: nobody knows where it is', async (t) => {
  const { kafka, thaw } = frozenKafka({ answers: (acks) => acks.slice(1) })
  thaw()
  const producer = createIdempotentProducer(kafka)
  await t.rejects(producer.send([record('lost', 1)]), {
    code: 'SEND_UNANSWERED',
    facts: { topic: 'door', partition: 0 },
  })
  await producer.close()
})
