import { setTimeout as sleep } from 'node:timers/promises'
import type { KafkajsPatch } from './modules.ts'

/** The Java client waits 20 ms (KAFKA-5477); the broker needs 5–40 ms to finish the markers of the previous transaction. */
const FIRST_WAIT_MS = 10
const LONGEST_WAIT_MS = 80
/** Then the writer is given up and reopened; about 4 s, below the request timeout. */
const MOST_WAITS = 50

/** InitProducerId over an open transaction answers CONCURRENT_TRANSACTIONS until the broker has aborted it. */
const INIT_RETRY = { initialRetryTime: 20, maxRetryTime: 200, multiplier: 1.5, retries: 24 }

type AsyncMethod = (...args: unknown[]) => Promise<unknown>
interface EosManager {
  isInitialized(): boolean
  addPartitionsToTransaction: AsyncMethod
  sendOffsets: AsyncMethod
}
interface Broker {
  isConnected(): boolean
}
interface CoordinatorQuery {
  readonly groupId: string
  readonly coordinatorType?: number
}
interface Cluster {
  findGroupCoordinator(query: CoordinatorQuery): Promise<Broker>
}
interface EosOptions {
  readonly cluster: Cluster
  readonly transactional: boolean
}
export type CreateEosManager = (options: EosOptions) => EosManager

const TRANSACTION_COORDINATOR = 1

/**
 * A commit is answered before its markers are written, so the next transaction on the same partitions is told
 * CONCURRENT_TRANSACTIONS for a few milliseconds. Stock fails at once when retries are off, as ours are: a retried
 * Produce is what loses records. Only this one answer, which says that nothing was done, is waited out here.
 *
 * In the same place, because it wraps the same object: stock asks the broker for the coordinator before each of the
 * three steps of a transaction (9 round trips instead of 3). It is remembered from InitProducerId on; a coordinator that
 * has moved answers NOT_COORDINATOR, the writer is discarded as after any error, and the next one asks afresh.
 */
export const transactionBackoff: KafkajsPatch = {
  name: 'transaction-backoff',
  apply: (modules) => {
    const path = 'producer/eosManager/index.js'
    const create = modules.load<CreateEosManager>(path)
    modules.replace(path, (options: EosOptions): EosManager => {
      if (!options.transactional) return create(options)
      let coordinator: Broker | undefined
      const findGroupCoordinator = async (query: CoordinatorQuery): Promise<Broker> => {
        if (query.coordinatorType !== TRANSACTION_COORDINATOR) return options.cluster.findGroupCoordinator(query)
        if (coordinator?.isConnected()) return coordinator
        const found = await options.cluster.findGroupCoordinator(query)
        if (manager.isInitialized()) coordinator = found
        return found
      }
      const cluster = Object.assign(Object.create(options.cluster), { findGroupCoordinator, retry: INIT_RETRY })
      const manager = create({ ...options, cluster })
      manager.addPartitionsToTransaction = waitingOut(manager.addPartitionsToTransaction)
      manager.sendOffsets = waitingOut(manager.sendOffsets)
      return manager
    })
  },
}

const waitingOut =
  (method: AsyncMethod): AsyncMethod =>
  async (...args) => {
    for (let waits = 0, waitMs = FIRST_WAIT_MS; ; waits += 1, waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
      try {
        return await method(...args)
      } catch (error) {
        if ((error as { type?: string }).type !== 'CONCURRENT_TRANSACTIONS' || waits === MOST_WAITS) throw error
        await sleep(waitMs)
      }
    }
  }
