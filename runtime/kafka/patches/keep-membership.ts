import type { KafkajsPatch } from './modules.ts'

interface ConsumerGroup {
  readonly cluster: object
  memberId: string | null
  joinAndSync(): Promise<void>
  leave(): Promise<void>
}

/**
 * When its brokers are gone for a moment, stock tears the consumer down and starts another one, a stranger to the group:
 * the group waits for the old member until its session ends (10 s), and so do all its tasks. The group survives on the
 * broker's disk. A consumer that comes back under its old name is let in at once, and one whose name is not known any
 * more is told so and asks for a new one.
 */
export const keepMembership: KafkajsPatch = {
  name: 'keep-membership',
  apply: (modules) => {
    const { prototype } = modules.load<{ prototype: ConsumerGroup }>('consumer/consumerGroup.js')
    const { joinAndSync, leave } = prototype
    const memberOf = new WeakMap<object, string>() // a consumer has one cluster object for life
    prototype.joinAndSync = async function (this: ConsumerGroup) {
      this.memberId ??= memberOf.get(this.cluster) ?? null
      try {
        await joinAndSync.call(this)
      } finally {
        // Also when it has joined and was told no tasks: the group knows it by now, and would wait for it.
        if (this.memberId !== null) memberOf.set(this.cluster, this.memberId)
      }
    }
    prototype.leave = async function (this: ConsumerGroup) {
      await leave.call(this)
      memberOf.delete(this.cluster)
    }
  },
}
