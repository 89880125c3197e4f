import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import { answersKafka, brokersKnownTo } from './health.ts'
import { brokerProperties, nodesOf } from './kafka.ts'

t.test('the only node of a machine keeps one replica of everything', async (t) => {
  const [node] = nodesOf([9000])
  t.match(node && brokerProperties(node, 'log'), {
    'node.id': 1,
    'controller.quorum.voters': '1@127.0.0.1:9001',
    'default.replication.factor': 1,
    'min.insync.replicas': 1,
    'transaction.state.log.replication.factor': 1,
    'offsets.topic.replication.factor': 1,
  })
})

t.test('of three nodes each has a replica of everything, and one may be away', async (t) => {
  const [, second] = nodesOf([9000, 9100, 9200])
  t.match(second && brokerProperties(second, 'log'), {
    'node.id': 2,
    'controller.quorum.voters': '1@127.0.0.1:9001,2@127.0.0.1:9101,3@127.0.0.1:9201',
    listeners: 'PLAINTEXT://127.0.0.1:9100,CONTROLLER://127.0.0.1:9101',
    'default.replication.factor': 3,
    'min.insync.replicas': 2,
    'transaction.state.log.replication.factor': 3,
    'transaction.state.log.min.isr': 2,
    'offsets.topic.replication.factor': 3,
  })
})

/** A port that answers every request with these bytes, one by one: an answer may come in any number of pieces. */
const answering = async (t: Test, answer: Buffer): Promise<number> => {
  const server = createServer((socket) => {
    socket.setNoDelay(true).on('error', () => socket.destroy())
    socket.once('data', () => {
      for (const byte of answer) socket.write(Buffer.of(byte))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** A Metadata v1 response: brokers 1 (no rack) and 3 (rack "r"), then no controller and no topics. */
const RESPONSE = Buffer.from(
  `${'00000001'}${'00000002'}` +
    `${'00000001'}${'0001'}61${'00002328'}${'ffff'}` +
    `${'00000003'}${'0001'}62${'00002329'}${'0001'}72` +
    `${'ffffffff'}${'00000000'}`,
  'hex',
)
const sized = (payload: Buffer): Buffer => {
  const size = Buffer.alloc(4)
  size.writeInt32BE(payload.length)
  return Buffer.concat([size, payload])
}

t.test('a broker says which ones it knows', async (t) => {
  const port = await answering(t, sized(RESPONSE))
  t.same(await brokersKnownTo('127.0.0.1', port), [1, 3])
  t.equal(await answersKafka('127.0.0.1', port), true)
})

t.test('a broker that knows none, and a port where nobody listens, are not ready', async (t) => {
  const alone = await answering(t, sized(Buffer.from(`${'00000001'}${'00000000'}${'ffffffff'}${'00000000'}`, 'hex')))
  t.equal(await answersKafka('127.0.0.1', alone), false)
  t.equal(await answersKafka('127.0.0.1', 1), false)
})
