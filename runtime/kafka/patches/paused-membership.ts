import { setTimeout as sleep } from 'node:timers/promises'
import type { KafkajsPatch } from './modules.ts'

interface ConsumerGroup {
  readonly maxWaitTime: number
  readonly cluster: { refreshMetadataIfNecessary(): Promise<void> }
  readonly subscriptionState: { active(): readonly { readonly partitions: readonly number[] }[] }
  checkForStaleAssignment(): void
  recoverFromFetch(error: unknown): Promise<void>
  fetch(nodeId: string): Promise<unknown[]>
}

interface Runner {
  readonly consumerGroup: ConsumerGroup
  stop(): Promise<void>
}

/**
 * Our consumers are members of their group and nothing else: everything is paused, the records come from poller.ts. Stock
 * looks up committed offsets for what it will never fetch, three requests at each rebalance, and then sleeps, between
 * two heartbeats, in a way that nothing ends: leaving a group waits for it.
 */
export const pausedMembership: KafkajsPatch = {
  name: 'paused-membership',
  apply: (modules) => {
    const { prototype: group } = modules.load<{ prototype: ConsumerGroup }>('consumer/consumerGroup.js')
    const { prototype: runner } = modules.load<{ prototype: Runner }>('consumer/runner.js')
    const leaving = new WeakMap<ConsumerGroup, AbortController>()
    const leavingOf = (of: ConsumerGroup): AbortController => {
      const controller = leaving.get(of) ?? new AbortController()
      leaving.set(of, controller)
      return controller
    }
    const { fetch } = group
    const { stop } = runner

    group.fetch = async function (this: ConsumerGroup, nodeId) {
      if (this.subscriptionState.active().some(({ partitions }) => partitions.length > 0)) {
        return fetch.call(this, nodeId)
      }
      try {
        await this.cluster.refreshMetadataIfNecessary()
        this.checkForStaleAssignment() // joins anew when a topic has got more partitions
      } catch (error) {
        await this.recoverFromFetch(error)
        return []
      }
      const { signal } = leavingOf(this)
      await sleep(this.maxWaitTime, undefined, { signal }).catch(() => {}) // ended early
      return []
    }

    runner.stop = function (this: Runner) {
      leavingOf(this.consumerGroup).abort()
      return stop.call(this)
    }
  },
}
