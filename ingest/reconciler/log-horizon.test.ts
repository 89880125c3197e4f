import t from 'tap'
import type { Kafka } from '../../runtime/kafka/client.ts'
import { kafkaLogHorizon } from './log-horizon.ts'

const NEVER = new AbortController().signal
type Offsets = Readonly<Record<number, bigint>>

/** A Kafka with these ends, an admission and a catalogue that are this far. `asked` is what was asked for, in order. */
const horizonOf = (at: { claimed: Offsets; admitted: Offsets; facts: Offsets; folded: Offsets }) => {
  const asked: string[] = []
  const admin = {
    connect: async () => undefined,
    disconnect: async () => undefined,
    fetchOffsets: async () => {
      asked.push('admitted')
      const partitions = Object.entries(at.admitted).map(([n, offset]) => ({
        partition: Number(n),
        offset: `${offset}`,
      }))
      return [{ topic: 'video-intake', partitions }]
    },
  }
  const ends = (topic: string) => (topic === 'video-intake' ? at.claimed : at.facts)
  const horizon = kafkaLogHorizon({
    kafka: { admin: () => admin } as unknown as Pick<Kafka, 'admin'>,
    reader: {
      partitions: async (topic) => Object.keys(ends(topic)).map(Number),
      offsets: async (topic, partition) => {
        asked.push(topic)
        return { beginning: 0n, end: ends(topic)[partition] ?? 0n }
      },
    },
    reads: {
      foldedUpTo: async () => {
        asked.push('folded')
        return new Map(Object.entries(at.folded).map(([n, offset]) => [Number(n), offset]))
      },
    },
  })
  return { horizon, asked }
}
const caughtUp = { claimed: { 0: 5n, 1: 7n }, admitted: { 0: 5n, 1: 7n }, facts: { 0: 20n }, folded: { 0: 20n } }

t.test('is reached when admission and then the catalogue have passed the ends', async (t) => {
  const { horizon, asked } = horizonOf(caughtUp)
  t.equal(await horizon.isReached(0, NEVER), true)
  t.ok(asked.indexOf('video-events') > asked.indexOf('admitted'), 'the facts of what was claimed before are among them')
})

const behind: Readonly<Record<string, Partial<typeof caughtUp>>> = {
  'admission is one claim behind': { admitted: { 0: 5n, 1: 6n } },
  'admission has no position in a partition with claims': { admitted: { 0: 5n } as never },
  'admission never said how far it is': { admitted: { 0: -1n, 1: -1n } },
  'the catalogue is one fact behind': { folded: { 0: 19n } },
  'the catalogue is empty': { folded: {} as never },
}
for (const [what, change] of Object.entries(behind)) {
  t.test(`is not reached when ${what}`, async (t) => {
    t.equal(await horizonOf({ ...caughtUp, ...change }).horizon.isReached(0, NEVER), false)
  })
}

t.test('a partition in which nothing ever was needs no position', async (t) => {
  const empty = { claimed: { 0: 0n }, admitted: { 0: -1n }, facts: { 0: 0n }, folded: {} }
  t.equal(await horizonOf(empty).horizon.isReached(0, NEVER), true)
})

t.test('is waited for', async (t) => {
  const at = { ...caughtUp, folded: { 0: 19n } }
  const { horizon } = horizonOf(at)
  const reached = horizon.isReached(10_000, NEVER)
  setTimeout(() => Object.assign(at, { folded: { 0: 20n } }), 10)
  t.equal(await reached, true)
})

t.test('says in a word of ours that Kafka cannot be asked, and what it does not allow', async (t) => {
  const asking = (failure: Error) => {
    const admin = {
      connect: async () => undefined,
      disconnect: async () => undefined,
      fetchOffsets: () => Promise.reject(failure),
    }
    const horizon = kafkaLogHorizon({
      kafka: { admin: () => admin } as unknown as Pick<Kafka, 'admin'>,
      reader: { partitions: async () => [0], offsets: async () => ({ beginning: 0n, end: 1n }) },
      reads: { foldedUpTo: async () => new Map() },
    })
    return horizon.isReached(0, NEVER)
  }
  await t.rejects(asking(new Error('Connection timeout')), { code: 'KAFKA_UNAVAILABLE', retryable: true })
  const refused = Object.assign(new Error('Not authorized'), { type: 'GROUP_AUTHORIZATION_FAILED' })
  await t.rejects(asking(refused), { code: 'KAFKA_UNAUTHORIZED' })
})
