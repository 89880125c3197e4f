import { offsetNumberOf } from '../kafka/fetched-records.ts'
import type { LogRecord } from '../kafka/log-records.ts'

/**
 * Where a task stands in its inputs: the next offset of each topic. Numbers inside, which are exact for offsets
 * (fetched-records.ts): each record asks twice.
 */
export class Positions {
  readonly #next = new Map<string, number>()

  get(topic: string): bigint | undefined {
    const next = this.#next.get(topic)
    return next === undefined ? undefined : BigInt(next)
  }

  has(topic: string): boolean {
    return this.#next.has(topic)
  }

  set(topic: string, offset: bigint): void {
    this.#next.set(topic, Number(offset))
  }

  clear(): void {
    this.#next.clear()
  }

  /** By topic, as they are written down. */
  offsets(): Record<string, number> {
    return Object.fromEntries(this.#next)
  }

  isPast(record: LogRecord): boolean {
    const next = this.#next.get(record.topic)
    return next !== undefined && offsetNumberOf(record) < next
  }

  /** Behind the record. False: it was there already. */
  pass(record: LogRecord): boolean {
    return this.#advance(record.topic, offsetNumberOf(record) + 1)
  }

  /** To an offset. False: it was there already. */
  skipTo(topic: string, offset: bigint): boolean {
    return this.#advance(topic, Number(offset))
  }

  #advance(topic: string, next: number): boolean {
    if ((this.#next.get(topic) ?? -1) >= next) return false
    this.#next.set(topic, next)
    return true
  }
}
