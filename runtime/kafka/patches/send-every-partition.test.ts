import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { freshKafkajs, quietLogger } from './fresh-kafkajs.ts'
import type { KafkajsPatch } from './modules.ts'
import {
  type CreateSendMessages,
  type SendCluster,
  type SendContext,
  sendEveryPartition,
} from './send-every-partition.ts'

const NOT_LEADER_FOR_PARTITION = 6
const MESSAGE_TOO_LARGE = 10

interface ProduceRequest {
  readonly topicData: readonly { partitions: readonly { partition: number; firstSequence: number }[] }[]
}
interface Message {
  readonly partition: number
  readonly value?: Buffer
}
/** What a broker does with a request, and the appends of all brokers in their order. */
type Behaviour = (request: ProduceRequest) => Promise<void>

/**
 * Two brokers; `leaders[p]` leads partition p and may be changed while a send is running. `refresh` is what asking for
 * metadata again does.
 */
const sender = (
  patches: readonly KafkajsPatch[],
  leaders: number[],
  behaviours: Record<number, Behaviour>,
  refresh = () => {},
) => {
  const modules = freshKafkajs(patches)
  const appends: string[] = []
  const broker = (nodeId: number) => ({
    nodeId,
    produce: async (request: ProduceRequest) => {
      await behaviours[nodeId]?.(request)
      const partitions = request.topicData.flatMap((topic) => topic.partitions)
      appends.push(
        ...partitions.map(({ partition, firstSequence }) => `broker ${nodeId}: p${partition} seq ${firstSequence}`),
      )
      const acks = partitions.map(({ partition }) => ({ partition, errorCode: 0, baseOffset: '0' }))
      return { topics: [{ topicName: 'topic', partitions: acks }] }
    },
    initProducerId: async () => ({ producerId: '1', producerEpoch: 0 }),
  })
  const brokers = [broker(0), broker(1)]
  const cluster = {
    retry: { initialRetryTime: 1, retries: 5 },
    refreshMetadataIfNecessary: async () => {},
    refreshMetadata: async () => refresh(),
    addMultipleTargetTopics: async () => {},
    isConnected: () => true,
    connect: async () => {},
    removeBroker: () => {},
    findTopicPartitionMetadata: () => leaders.map((_, partitionId) => ({ partitionId })),
    findLeaderForPartitions: (_topic: string, partitions: number[]) => {
      const known = partitions.map(Number).filter((partition) => leaders[partition] !== undefined)
      return Object.fromEntries(Map.groupBy(known, (partition) => String(leaders[partition])))
    },
    findBroker: async ({ nodeId }: { nodeId: string }) => brokers[Number(nodeId)],
    findControllerBroker: async () => brokers[0],
  } as unknown as SendCluster
  const createRetry = modules.load<(options: object) => SendContext['retrier']>('retry/index.js')
  const createEos =
    modules.load<(options: object) => SendContext['eosManager'] & { initProducerId(): Promise<void> }>(
      'producer/eosManager/index.js',
    )
  const eosManager = createEos({ logger: quietLogger, cluster, transactional: false })
  const createSend = modules.load<CreateSendMessages>('producer/sendMessages.js')
  const send = createSend({
    logger: quietLogger,
    cluster,
    eosManager,
    retrier: createRetry({ initialRetryTime: 1, retries: 5 }),
    partitioner: ({ message }) => message.partition ?? 0,
  })
  return {
    appends,
    send: async (messages: Message[] = [{ partition: 0 }, { partition: 1 }]) => {
      await eosManager.initProducerId()
      return send({ acks: -1, topicMessages: [{ topic: 'topic', messages }] })
    },
    failure: (code: number) =>
      modules.load<{ createErrorFromCode(code: number): Error }>('protocol/error.js').createErrorFromCode(code),
  }
}

const once = <T>(act: () => T): (() => T | undefined) => {
  let acted = false
  return () => {
    if (acted) return undefined
    acted = true
    return act()
  }
}

t.test('a broker that fails while another is in flight', async (t) => {
  /** Broker 0 fails its first request at once; broker 1 answers when broker 0 was asked again, or after 100 ms. */
  const scenario = (patches: readonly KafkajsPatch[]) => {
    const askedAgain = Promise.withResolvers<void>()
    let asked = 0
    const fail = once(() => {
      throw run.failure(NOT_LEADER_FOR_PARTITION)
    })
    const run = sender(patches, [0, 1], {
      0: async () => {
        asked += 1
        if (asked > 1) askedAgain.resolve()
        fail()
      },
      1: () => Promise.race([askedAgain.promise, sleep(100)]),
    })
    return run
  }
  const patched = scenario([sendEveryPartition])
  await patched.send()
  t.same(patched.appends, ['broker 1: p1 seq 0', 'broker 0: p0 seq 0'], 'every record is appended once')

  const stock = scenario([])
  await stock.send()
  t.ok(
    stock.appends.filter((append) => append.startsWith('broker 1: p1')).length > 1,
    'stock appends twice: the patch is still needed',
  )
})

t.test('a leader that moves to a broker which has already answered', async (t) => {
  const scenario = (patches: readonly KafkajsPatch[]) => {
    const leaders = [0, 1]
    const fail = once(() => {
      leaders[0] = 1
      throw run.failure(NOT_LEADER_FOR_PARTITION)
    })
    const run = sender(patches, leaders, { 0: async () => fail() })
    return run
  }
  const patched = scenario([sendEveryPartition])
  const produced = await patched.send()
  t.same(patched.appends, ['broker 1: p1 seq 0', 'broker 1: p0 seq 0'])
  t.same(produced.map(({ partition }) => partition).sort(), [0, 1], 'one answer per partition')

  const stock = scenario([])
  await stock.send()
  t.same(stock.appends, ['broker 1: p1 seq 0'], 'stock acknowledges p0 without sending it: the patch is still needed')
})

t.test('a partition that the topic has got since it was last asked about', async (t) => {
  const sendTo = async (patches: readonly KafkajsPatch[]): Promise<readonly string[]> => {
    const leaders = [0, 1]
    const { appends, send } = sender(patches, leaders, {}, () => leaders.splice(2, 0, 0))
    await send([{ partition: 0 }, { partition: 2 }])
    return appends
  }
  t.same(await sendTo([sendEveryPartition]), ['broker 0: p0 seq 0', 'broker 0: p2 seq 0'])
  t.same(await sendTo([]), ['broker 0: p0 seq 0'], 'stock resolves without its record: the patch is still needed')
})

t.test('a partition that there is not is an error', async (t) => {
  const { appends, send } = sender([sendEveryPartition], [0, 1], {})
  await t.rejects(send([{ partition: 0 }, { partition: 2 }]), { cause: { message: 'No metadata of topic/2' } })
  t.same(appends, [], 'and nothing of the request was sent')
})

t.test('an error that cannot be retried is thrown as it is', async (t) => {
  const run = sender([sendEveryPartition], [0, 1], {
    0: async () => {
      throw run.failure(MESSAGE_TOO_LARGE)
    },
  })
  await t.rejects(run.send(), { name: 'KafkaJSProtocolError', type: 'MESSAGE_TOO_LARGE' })
})

t.test(
  'what does not fit into one batch of a partition follows in a second round, under the next numbers',
  async (t) => {
    const large = (partition: number): Message => ({ partition, value: Buffer.alloc(400_000) })
    let requests = 0
    const run = sender([sendEveryPartition], [0, 1], {
      0: async () => {
        requests += 1
        if (requests === 2) throw run.failure(NOT_LEADER_FOR_PARTITION)
      },
    })
    const produced = await run.send([large(0), large(0), large(0), large(1)])
    t.same(
      run.appends,
      ['broker 0: p0 seq 0', 'broker 1: p1 seq 0', 'broker 0: p0 seq 2'],
      'the round that failed is repeated under its numbers, the one that was done is not',
    )
    t.same(produced.map(({ partition }) => partition).sort(), [0, 0, 1])
  },
)
