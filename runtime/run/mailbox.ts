import type { LogRecord } from '../kafka/log-records.ts'
import type { EffectMessage } from './effect-runs.ts'

/** What waits to be folded: fetched records, where a fetch ended, and what effects said. */
export type Message =
  | EffectMessage
  | { readonly kind: 'record'; readonly record: LogRecord }
  | { readonly kind: 'skip'; readonly topic: string; readonly offset: bigint }

/** Fetching stops above, and goes on below. */
const HIGH = 1_000
const LOW = 250

interface Fetching {
  readonly pause: () => void
  readonly resume: () => void
}

/**
 * The inbox of a task. Records are fetched again from the position whenever the task opens, so they may be dropped; what
 * an effect said is kept until it is committed.
 */
export class Mailbox {
  readonly #fetching: Fetching
  #messages: Message[] = []
  /** Of #messages, those before it are taken. */
  #taken = 0
  #paused = false

  constructor(fetching: Fetching) {
    this.#fetching = fetching
  }

  get size(): number {
    return this.#messages.length - this.#taken
  }

  get first(): Message | undefined {
    return this.#messages[this.#taken]
  }

  /** Broker time of the first record in it, ms; null without one. */
  get oldestMs(): number | null {
    const { first } = this
    if (first === undefined) return null
    if (first.kind === 'record') return first.record.timestampMs
    for (let at = this.#taken; at < this.#messages.length; at++) {
      const message = this.#messages[at]
      if (message?.kind === 'record') return message.record.timestampMs
    }
    return null
  }

  push(message: Message): void {
    this.#messages.push(message)
    if (this.#paused || this.size <= HIGH) return
    this.#paused = true
    this.#fetching.pause()
  }

  /** Takes the first off. */
  shift(): void {
    this.#taken += 1
    if (this.#taken < this.#messages.length && this.#taken < HIGH) return
    this.#messages = this.#messages.slice(this.#taken)
    this.#taken = 0
  }

  /** Fetches again once there is room. */
  refill(): void {
    if (!this.#paused || this.size > LOW) return
    this.#paused = false
    this.#fetching.resume()
  }

  hasRecord(isWanted: (record: LogRecord) => boolean): boolean {
    return this.#messages.slice(this.#taken).some((message) => message.kind === 'record' && isWanted(message.record))
  }

  effectMessages(): readonly EffectMessage[] {
    return this.#messages.slice(this.#taken).filter(isEffectMessage)
  }

  /** Drops what can be fetched again; puts in front what was taken and not committed. */
  reset(uncommitted: readonly EffectMessage[] = []): void {
    this.#messages = [...uncommitted, ...this.effectMessages()]
    this.#taken = 0
    this.#paused = false
  }
}

export const isEffectMessage = (message: Message): message is EffectMessage =>
  message.kind !== 'record' && message.kind !== 'skip'
