import type { KafkajsPatch } from './modules.ts'

interface ConsumerGroup {
  recoverFromOffsetOutOfRange(error: Error): Promise<void>
}

/**
 * Not a defect but a policy we cannot use, and kafkajs has no setting for it: when the log no longer holds a consumer's
 * position, stock goes on at the oldest offset. A processor would fold past the hole as if nothing were missing. Here the
 * error stops the consumer (`auto.offset.reset=none` of the Java client).
 */
export const noOffsetReset: KafkajsPatch = {
  name: 'no-offset-reset',
  apply: (modules) => {
    const group = modules.load<{ prototype: ConsumerGroup }>('consumer/consumerGroup.js')
    group.prototype.recoverFromOffsetOutOfRange = (error) => Promise.reject(error)
  },
}
