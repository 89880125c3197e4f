import type { EffectMessage } from './effect-runs.ts'
import { isEffectMessage, type Message } from './mailbox.ts'

/**
 * What was folded into one batch, for when the batch is in the log, or refused. A record that was folded is let go here:
 * it can be fetched again, and thousands of views that wait for a commit are what a collector has to copy. What an effect
 * said is kept, to be told again.
 */
export class FoldedInputs {
  readonly effects: EffectMessage[] = []
  #count = 0

  get count(): number {
    return this.#count
  }

  add(message: Message): void {
    this.#count += 1
    if (isEffectMessage(message)) this.effects.push(message)
  }

  /** Whoever waits for one has it. */
  done(): void {
    for (const message of this.effects) message.done()
  }
}
