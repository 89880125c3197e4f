import type { KafkajsPatch } from './modules.ts'

interface ConsumerGroup {
  readonly groupId: string
  readonly cluster: { findGroupCoordinator(of: { groupId: string }): Promise<unknown> }
  readonly offsetManager: { coordinator: unknown } | null
  coordinator: unknown
  heartbeat(options: object): Promise<void>
}

/** What a request meets whose broker is dead, or as good as dead. */
const GONE = ['KafkaJSConnectionError', 'KafkaJSConnectionClosedError', 'KafkaJSRequestTimeoutError']

/**
 * When the broker dies that coordinates a group, another one coordinates it a few seconds later. Stock learns of it only
 * when the dead broker comes back and says so, or when its retries are used up (half a minute): meanwhile the heartbeats
 * go nowhere, the new coordinator gives the member up, and others take over tasks whose owner is alive and working. A
 * member that asks who the coordinator is goes on under its name, without a rebalance.
 */
export const lostCoordinator: KafkajsPatch = {
  name: 'lost-coordinator',
  apply: (modules) => {
    const { prototype } = modules.load<{ prototype: ConsumerGroup }>('consumer/consumerGroup.js')
    const { heartbeat } = prototype
    prototype.heartbeat = async function (this: ConsumerGroup, options) {
      try {
        await heartbeat.call(this, options)
      } catch (error) {
        if (!GONE.includes((error as Error).name)) throw error
        this.coordinator = await this.cluster.findGroupCoordinator({ groupId: this.groupId })
        if (this.offsetManager !== null) this.offsetManager.coordinator = this.coordinator
      }
    }
  },
}
