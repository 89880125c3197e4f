import type { Kafka } from 'kafkajs'
import t, { type Test } from 'tap'
import type { FetchedPartition, FetchPosition } from './fetch.ts'
import type { FetchedBatch } from './fetched-records.ts'
import { createPoller } from './poller.ts'
import { fetchedBatch } from './testing/log-bytes.ts'
import { until } from './testing/real-kafka.ts'

interface Asked {
  /** Which connection it came over, from 0. */
  readonly connection: number
  readonly nodeId: string
  readonly waitMs: number
  /** `partition@offset`, ascending. */
  readonly positions: readonly string[]
  /** Answers with one record per named partition; nothing = the wait is over. */
  answer(...partitions: number[]): void
  fail(error: object): void
}

const TOPIC = 'topic'

interface FetchRequest {
  readonly maxWaitTime: number
  readonly topics: readonly { partitions: readonly { partition: number; fetchOffset: string }[] }[]
}

/** Brokers that answer fetches when told to. Partition 0 to 4 are led by broker 1, the others by broker 2. */
const fakeKafka = () => {
  const asked: Asked[] = []
  let connections = 0
  let away = false
  const hungUp: number[] = []
  const createCluster = () => {
    const connection = connections++
    const waiting = new Set<(error: object) => void>()
    const fetch = (nodeId: string, { maxWaitTime, topics }: FetchRequest) => {
      const { promise, resolve, reject } = Promise.withResolvers<object>()
      const partitions = topics.flatMap((each) => each.partitions)
      waiting.add(reject)
      asked.push({
        connection,
        nodeId,
        waitMs: maxWaitTime,
        positions: partitions.map(({ partition, fetchOffset }) => `${partition}@${fetchOffset}`).sort(),
        answer: (...found) => resolve(responsesTo(partitions, found)),
        fail: reject,
      })
      return promise
    }
    return {
      connect: async () => {
        if (away) throw Object.assign(new Error('nobody is there'), { name: 'KafkaJSConnectionError' })
      },
      isConnected: () => true,
      disconnect: async () => void hungUp.push(connection),
      addTargetTopic: async () => {},
      refreshMetadata: async () => {},
      removeBroker: () => {},
      findLeaderForPartitions: (_topic: string, [partition = 0]: number[]) => ({
        [partition < 5 ? 1 : 2]: [partition],
      }),
      findBroker: async ({ nodeId }: { nodeId: string }) => ({
        fetch: (request: FetchRequest) => fetch(nodeId, request),
      }),
      brokerPool: {
        brokers: {
          1: {
            connectionPool: {
              map: (act: (connection: object) => void) =>
                act({ rejectRequests: (error: object) => waiting.forEach((reject) => void reject(error)) }),
            },
          },
        },
      },
    }
  }
  const kafka = { [Symbol('private:Kafka:createCluster')]: createCluster } as unknown as Kafka
  return { kafka, asked, hungUp, setAway: (is: boolean) => (away = is) }
}

const responsesTo = (
  partitions: readonly { partition: number; fetchOffset: string }[],
  found: readonly number[],
): object => ({
  // one entry per partition: kafkajs shuffles, so a topic may come in pieces
  responses: partitions.map(({ partition, fetchOffset }) => ({
    topicName: TOPIC,
    partitions: [
      { partition, highWatermark: '1000', abortedTransactions: [], messages: recordsAt(fetchOffset, found, partition) },
    ],
  })),
})

const recordsAt = (offset: string, found: readonly number[], partition: number): FetchedBatch[] =>
  found.includes(partition) ? [fetchedBatch(Number(offset), [{ value: 'v', timestamp: '1' }])] : []

/** A poller with the positions of its owner, which move with what is fetched. */
const polling = (t: Test, ...partitions: number[]) => {
  const { kafka, ...fake } = fakeKafka()
  const wanted = new Map(partitions.map((partition) => [partition, 0n]))
  const fetched: FetchedPartition[] = []
  const ends = new Map<number, bigint>()
  const failures: unknown[] = []
  const lost: unknown[] = []
  const poller = createPoller(kafka, {
    wanted: (): FetchPosition[] =>
      [...wanted].map(([partition, fromOffset]) => ({ topic: TOPIC, partition, fromOffset })),
    fetched: (each) => {
      ends.set(each.partition, each.highWatermark)
      if (each.nextOffset === each.fromOffset) return
      fetched.push(each)
      wanted.set(each.partition, each.nextOffset)
    },
    lost: ({ partition, fromOffset }, error) => {
      lost.push({ partition, fromOffset, error })
      wanted.delete(partition)
    },
    failed: (error) => failures.push(error),
  })
  t.teardown(() => poller.close())
  poller.wake()
  const next = async (n: number): Promise<Asked> => {
    await until(t, `poll ${n} is made`, () => fake.asked.length > n)
    return fake.asked[n] as Asked
  }
  return { ...fake, poller, wanted, fetched, ends, failures, lost, next }
}

t.test('one poll asks for all that is wanted, and the next goes on where it ended', async (t) => {
  const { fetched, next } = polling(t, 0, 1)
  const first = await next(0)
  t.same(first.positions, ['0@0', '1@0'])
  first.answer(1)
  const second = await next(1)
  t.same(second.positions, ['0@0', '1@1'])
  t.match(fetched, [{ partition: 1, fromOffset: 0n, nextOffset: 1n, records: [{ value: Buffer.from('v') }] }])
})

t.test('a poll that finds nothing tells where the partitions end', async (t) => {
  const { ends, next } = polling(t, 0, 1)
  ;(await next(0)).answer()
  await next(1)
  t.same(ends, new Map([0, 1].map((partition) => [partition, 1000n])))
})

t.test('each broker is polled for what it leads, on its own', async (t) => {
  const { asked, next } = polling(t, 0, 7)
  await next(1)
  t.same(asked.map(({ nodeId, positions }) => [nodeId, ...positions]).sort(), [
    ['1', '0@0'],
    ['2', '7@0'],
  ])
  asked.find(({ nodeId }) => nodeId === '2')?.answer(7)
  t.match(await next(2), { nodeId: '2', positions: ['7@1'] })
})

t.test('waits grow while nothing comes, up to four seconds', async (t) => {
  const { next } = polling(t, 0)
  const waits: number[] = []
  for (let n = 0; n < 11; n++) {
    const poll = await next(n)
    waits.push(poll.waitMs)
    poll.answer()
  }
  t.same(waits, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 4000, 4000])
})

t.test('what comes to be wanted does not wait for a poll that is under way', async (t) => {
  const { poller, wanted, next, hungUp, asked } = polling(t, 0)
  for (let n = 0; n < 5; n++) (await next(n)).answer()
  const waiting = await next(5)
  wanted.set(1, 0n)
  poller.wake()
  const fresh = await next(6)
  t.match(fresh, { connection: waiting.connection + 1, positions: ['0@0', '1@0'], waitMs: 10 })
  await until(t, 'the connection of the old one is closed', () => hungUp.includes(waiting.connection))
  t.equal(asked.length, 7, 'and the old poll is not repeated')
})

t.test('a poll that ends in a moment is not interrupted', async (t) => {
  const { poller, wanted, next, hungUp } = polling(t, 0)
  const first = await next(0)
  wanted.set(1, 0n)
  poller.wake()
  first.answer()
  t.match(await next(1), { connection: 0, positions: ['0@0', '1@0'] })
  t.same(hungUp, [])
})

t.test('what was moved by a seek is stale, and fetched from its new place', async (t) => {
  const { poller, wanted, next, fetched } = polling(t, 0)
  await next(0)
  wanted.set(0, 100n)
  poller.wake()
  const fresh = await next(1)
  t.same(fresh.positions, ['0@100'])
  t.same(fetched, [])
})

t.test('what is not wanted any more is left out of the next poll', async (t) => {
  const { wanted, next } = polling(t, 0, 1)
  const first = await next(0)
  wanted.delete(0)
  first.answer()
  t.same((await next(1)).positions, ['1@0'])
})

t.test('an error that may pass is tried again; other brokers are polled meanwhile', async (t) => {
  const { asked, next, failures } = polling(t, 0, 7)
  await next(1)
  const [failing, fine] = asked[0]?.nodeId === '1' ? asked : asked.toReversed()
  failing?.fail(Object.assign(new Error('moved'), { type: 'NOT_LEADER_FOR_PARTITION', retriable: true }))
  fine?.answer(7)
  await next(3)
  t.same(
    asked
      .slice(2)
      .map(({ nodeId }) => nodeId)
      .toSorted(),
    ['1', '2'],
  )
  t.same(failures, [])
})

t.test('a position that the log no longer holds is told, and the others flow on', async (t) => {
  const { next, failures, lost, fetched } = polling(t, 0, 1)
  const about = { topic: TOPIC, partition: 1 }
  const error = Object.assign(new Error('gone'), { type: 'OFFSET_OUT_OF_RANGE', retriable: false, ...about })
  ;(await next(0)).fail(error)
  const second = await next(1)
  t.same(lost, [{ partition: 1, fromOffset: 0n, error }])
  t.same(second.positions, ['0@0'])
  second.answer(0)
  await next(2)
  t.match(fetched, [{ partition: 0, nextOffset: 1n }])
  t.same(failures, [])
})

t.test('an error that no repetition cures ends it', async (t) => {
  const { asked, next, failures, poller } = polling(t, 0)
  const refused = Object.assign(new Error('no'), { type: 'TOPIC_AUTHORIZATION_FAILED', retriable: false })
  ;(await next(0)).fail(refused)
  await until(t, 'it is told', () => failures.length > 0)
  poller.wake()
  t.same(failures, [refused])
  t.equal(asked.length, 1)
})

t.test('brokers that are away are waited for', async (t) => {
  const { setAway, poller, wanted, next } = polling(t)
  setAway(true)
  wanted.set(0, 0n)
  poller.wake()
  await until(t, 'it says so', () => poller.isFailing())
  setAway(false)
  const poll = await next(0)
  t.same(poll.positions, ['0@0'])
  t.ok(poller.isFailing(), 'nothing has been fetched yet')
  poll.answer(0)
  await until(t, 'it says so', () => !poller.isFailing())
})

t.test('closing ends a poll that waits', async (t) => {
  const { poller, next, hungUp, fetched, asked } = polling(t, 0)
  const poll = await next(0)
  await poller.close()
  t.same(hungUp, [poll.connection])
  poll.answer(0)
  poller.wake()
  t.same([fetched, asked.length], [[], 1])
})
