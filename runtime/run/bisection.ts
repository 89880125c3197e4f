import { ReelstreamError } from '../../platform/errors.ts'
import type { Refusal } from '../task/dead-letter.ts'
import type { FoldedInputs } from './folded-inputs.ts'
import type { Message } from './mailbox.ts'

/**
 * Finds the input whose results the log will not take, whoever commits them and however often (too large for the topic,
 * against a policy of the broker). The batch is folded again in halves until a rejected one has a single input: that
 * one is refused, and its key waits. Without it such an input would stop its task for ever.
 */
export class Bisection {
  #limit = Number.POSITIVE_INFINITY
  /** Inputs of the rejected batch that have not been committed since. */
  #left = 0
  #guilty: { readonly identity: string; readonly refusal: Refusal } | null = null

  /** Inputs that the next batch may fold. */
  get limit(): number {
    return this.#limit
  }

  /** A batch with these inputs was rejected. False: there is nobody to be refused, the batch has no inputs. */
  rejected({ count, first }: FoldedInputs, refusal: Refusal): boolean {
    if (first === undefined) return false
    if (count === 1) this.#guilty = { identity: identityOf(first), refusal }
    this.#left = Math.max(this.#left, count)
    this.#limit = Math.max(1, Math.floor(count / 2))
    return true
  }

  committed(inputs: number): void {
    this.#left -= inputs
    this.#limit = this.#left <= 0 ? Number.POSITIVE_INFINITY : this.#limit * 2
  }

  /** Why this input is to be refused, if it is the one. */
  refusalOf(message: Message): Refusal | null {
    if (this.#guilty === null || identityOf(message) !== this.#guilty.identity) return null
    return this.#guilty.refusal
  }
}

/** Whether the log refused what was to be written, instead of failing to write it. */
export const isRejection = (error: unknown): error is ReelstreamError =>
  error instanceof ReelstreamError && error.code === 'COMMIT_FAILED' && !error.retryable

const identityOf = (message: Message): string => {
  switch (message.kind) {
    case 'record':
      return `${message.record.topic}/${message.record.partition}/${message.record.offset}`
    case 'skip':
      return `${message.topic}@${message.offset}`
    case 'report':
      return `${message.effectId}/${message.n}`
    case 'settled':
    case 'failed':
      return message.effectId
  }
}
