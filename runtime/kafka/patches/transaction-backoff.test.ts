import t from 'tap'
import { freshKafkajs, quietLogger } from './fresh-kafkajs.ts'
import type { KafkajsPatch } from './modules.ts'
import { transactionBackoff } from './transaction-backoff.ts'

const CONCURRENT_TRANSACTIONS = 51

interface EosManager {
  initProducerId(): Promise<void>
  beginTransaction(): void
  addPartitionsToTransaction(topicData: object[]): Promise<void>
  commit(): Promise<void>
}

/** A coordinator that is still busy with the previous transaction for the first `busy` AddPartitionsToTxn. */
const coordinatorFor = (patches: readonly KafkajsPatch[], busy: number, connected = true) => {
  const modules = freshKafkajs(patches)
  const { createErrorFromCode } = modules.load<{ createErrorFromCode(code: number): Error }>('protocol/error.js')
  const calls: string[] = []
  const broker = {
    isConnected: () => connected,
    initProducerId: async () => ({ producerId: '1', producerEpoch: 0 }),
    addPartitionsToTxn: async () => {
      calls.push('add')
      if (calls.filter((call) => call === 'add').length <= busy) throw createErrorFromCode(CONCURRENT_TRANSACTIONS)
    },
    endTxn: async () => calls.push('end'),
  }
  const cluster = {
    refreshMetadataIfNecessary: async () => {},
    findGroupCoordinator: async () => {
      calls.push('find')
      return broker
    },
  }
  const create = modules.load<(options: object) => EosManager>('producer/eosManager/index.js')
  const manager = create({ logger: quietLogger, cluster, transactional: true, transactionalId: 'task-0' })
  const transact = async (): Promise<void> => {
    manager.beginTransaction()
    await manager.addPartitionsToTransaction([{ topic: 'topic', partitions: [{ partition: 0 }] }])
    await manager.commit()
  }
  return { calls, manager, transact }
}

t.test('a transaction right after another waits until the markers of the first are written', async (t) => {
  const patched = coordinatorFor([transactionBackoff], 3)
  await patched.manager.initProducerId()
  await patched.transact()
  t.equal(patched.calls.filter((call) => call === 'add').length, 4)

  const stock = coordinatorFor([], 1)
  await stock.manager.initProducerId()
  await t.rejects(
    stock.transact(),
    { name: 'KafkaJSProtocolError', type: 'CONCURRENT_TRANSACTIONS' },
    'stock fails: the patch is still needed',
  )
})

t.test('the coordinator is looked for once per writer, not three times per transaction', async (t) => {
  const patched = coordinatorFor([transactionBackoff], 0)
  await patched.manager.initProducerId()
  for (let n = 0; n < 5; n += 1) await patched.transact()
  t.equal(patched.calls.filter((call) => call === 'find').length, 2, 'once for the id, once for everything else')

  const stock = coordinatorFor([], 0)
  await stock.manager.initProducerId()
  for (let n = 0; n < 5; n += 1) await stock.transact()
  t.equal(stock.calls.filter((call) => call === 'find').length, 11)
})

t.test('a coordinator whose connection is gone is looked for again', async (t) => {
  const { calls, manager, transact } = coordinatorFor([transactionBackoff], 0, false)
  await manager.initProducerId()
  await transact()
  t.equal(calls.filter((call) => call === 'find').length, 3)
})
