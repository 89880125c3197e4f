import type { KafkajsPatch } from './modules.ts'

/** How long a fetch may hold up a partition that will be resumed in a moment, ms. */
const SHORT_WAIT_MS = 10
/** A pause for back-pressure is over well within this, ms; a task that opens or is blocked may be paused for minutes. */
const BACK_PRESSURE_MS = 1000

interface ConsumerGroup {
  maxWaitTime: number
  pause(topicPartitions: unknown[]): void
  paused(): readonly unknown[]
}

/**
 * Stock fetches on while one partition is paused, or sleeps when all are, each for the full `maxWaitTime`; resuming wakes
 * nobody. A partition under load that is paused whenever its mailbox is full moves one fetch per `maxWaitTime`. While
 * something has been paused just now, the next wait is short.
 */
export const shortWaitWhenPaused: KafkajsPatch = {
  name: 'short-wait-when-paused',
  apply: (modules) => {
    const { prototype } = modules.load<{ prototype: ConsumerGroup }>('consumer/consumerGroup.js')
    const configuredMs = new WeakMap<ConsumerGroup, number>()
    const pausedAtMs = new WeakMap<ConsumerGroup, number>()
    const pause = prototype.pause
    prototype.pause = function (this: ConsumerGroup, topicPartitions) {
      pausedAtMs.set(this, Date.now())
      pause.call(this, topicPartitions)
    }
    Object.defineProperty(prototype, 'maxWaitTime', {
      set(this: ConsumerGroup, waitMs: number) {
        configuredMs.set(this, waitMs)
      },
      get(this: ConsumerGroup): number {
        const waitMs = configuredMs.get(this) ?? 0
        const recently = Date.now() - (pausedAtMs.get(this) ?? 0) < BACK_PRESSURE_MS
        return recently && this.paused().length > 0 ? Math.min(SHORT_WAIT_MS, waitMs) : waitMs
      },
    })
  },
}
