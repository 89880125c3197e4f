import { fetchedBytesOf } from '../kafka/fetched-records.ts'
import type { LogRecord } from '../kafka/log-records.ts'
import type { EffectMessage } from './effect-runs.ts'
import type { TaskLimits } from './limits.ts'

/** What waits to be folded: fetched records, where a fetch ended, and what effects said. */
export type Message =
  | EffectMessage
  | { readonly kind: 'record'; readonly record: LogRecord }
  | { readonly kind: 'skip'; readonly topic: string; readonly offset: bigint }

/** Messages that are taken before the list is cut. */
const CUT_AFTER = 1_000

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
  readonly #limits: TaskLimits['mailbox']
  #messages: Message[] = []
  /** Of #messages, those before it are taken. */
  #taken = 0
  /** Of the records that wait. */
  #bytes = 0
  #paused = false

  constructor(fetching: Fetching, limits: TaskLimits['mailbox']) {
    this.#fetching = fetching
    this.#limits = limits
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
    if (message.kind === 'record') this.#bytes += fetchedBytesOf(message.record)
    const { high } = this.#limits
    if (this.#paused || (this.size <= high.messages && this.#bytes <= high.bytes)) return
    this.#paused = true
    this.#fetching.pause()
  }

  /** Takes the first off. */
  shift(): void {
    const { first } = this
    if (first?.kind === 'record') this.#bytes -= fetchedBytesOf(first.record)
    this.#taken += 1
    if (this.#taken < this.#messages.length && this.#taken < CUT_AFTER) return
    this.#messages = this.#messages.slice(this.#taken)
    this.#taken = 0
  }

  /** Fetches again once there is room. */
  refill(): void {
    const { low } = this.#limits
    if (!this.#paused || this.size > low.messages || this.#bytes > low.bytes) return
    this.#paused = false
    this.#fetching.resume()
  }

  /** Drops all that waits, because nobody wants it, and fetches on. Returns where that ended, by topic. */
  passOver(): ReadonlyMap<string, bigint> {
    const ends = new Map<string, bigint>()
    for (const message of this.#messages) if (message.kind === 'skip') ends.set(message.topic, message.offset)
    this.#drop([])
    this.refill()
    return ends
  }

  hasRecord(isWanted: (record: LogRecord) => boolean): boolean {
    return this.#messages.slice(this.#taken).some((message) => message.kind === 'record' && isWanted(message.record))
  }

  effectMessages(): readonly EffectMessage[] {
    return this.#messages.slice(this.#taken).filter(isEffectMessage)
  }

  /** So many of the first things that effects said were folded before the records that are in front of them. */
  dropEffectMessages(count: number): void {
    let dropped = 0
    this.#messages = this.#messages.slice(this.#taken).filter((message) => {
      if (dropped === count || !isEffectMessage(message)) return true
      dropped += 1
      return false
    })
    this.#taken = 0
  }

  /** In front of what waits. */
  putBack(messages: readonly EffectMessage[]): void {
    this.#messages = [...messages, ...this.#messages.slice(this.#taken)]
    this.#taken = 0
  }

  /** Drops what can be fetched again; puts in front what was taken and not committed. */
  reset(uncommitted: readonly EffectMessage[] = []): void {
    this.#drop([...uncommitted, ...this.effectMessages()])
    this.#paused = false
  }

  #drop(kept: readonly EffectMessage[]): void {
    this.#messages = [...kept]
    this.#taken = 0
    this.#bytes = 0
  }
}

export const isEffectMessage = (message: Message): message is EffectMessage =>
  message.kind !== 'record' && message.kind !== 'skip'
