import type { ItemNoted, ItemSeen, ItemSold, ItemsBilled, LineWritten, Reminded, Thanked } from './billing.ts'
import type { Fact } from './order-model.ts'
import { findingOf } from './packing.ts'

/** Of the task that the account belongs to, and of the world outside. */
export interface BillWitness {
  readonly mayBeKiller: (job: string) => boolean
  /** When replays of the task began, ms. */
  readonly replaysMs: readonly number[]
}

/**
 * What must have become of one account, whatever was forgotten meanwhile: every item is seen once, in order, and billed;
 * the lines of a bill are written once each, in order, whichever run wrote them; each bill that tells something new is
 * reminded of once, unless another one is sooner; a closed account is parted from once, and nothing follows.
 *
 * What only later versions say is said once at most, whenever they learn of it: also of an account that is closed by then.
 *
 * An item may be billed twice in one case only: a bill that was asked for by a timer, and had not settled when a replay
 * began, is kept, and in the replay the record after the timer asks for another. Once it has settled, a replay meets its
 * event, which confirms it.
 */
export class BillModel {
  readonly key: string
  readonly violations: string[] = []
  readonly #witness: BillWitness
  readonly #items: number[] = []
  readonly #lines = new Map<string, number>()
  readonly #ended = new Set<string>()
  /** By item, when it was billed first, ms. */
  readonly #billedAtMs = new Map<number, number>()
  /** Offset of each bill that told something new. */
  readonly #bills: string[] = []
  readonly #reminded = new Set<string>()
  readonly #noted = new Set<number>()
  readonly #thanked = new Set<string>()
  #seen = 0
  #billed = 0
  #closed = false
  #parted = false

  constructor(key: string, witness: BillWitness) {
    this.key = key
    this.#witness = witness
  }

  get missing(): readonly string[] {
    const unseen = this.#items.length - this.#seen
    const unbilled = this.#items.length - this.#billed
    const lastBill = this.#bills.at(-1)
    return [
      ...(unseen > 0 ? [`${unseen} items of ${this.key} are not seen`] : []),
      ...(this.#closed && !this.#parted ? [`nobody parted from ${this.key}`] : []),
      ...(!this.#closed && unbilled > 0 ? [`${unbilled} items of ${this.key} are not billed`] : []),
      ...(!this.#closed && lastBill !== undefined && !this.#reminded.has(lastBill)
        ? [`the reminder of ${this.key} of ${lastBill}`]
        : []),
    ]
  }

  fold(fact: Fact): void {
    const { type, data } = fact
    if (type === 'AccountClosed') this.#closed = true
    else if (type === 'ItemSold') this.#sold(data as ItemSold)
    else if (type === 'ItemNoted') this.#note(data as ItemNoted)
    else if (type === 'Thanked') this.#thank(data as Thanked)
    else if (this.#parted) this.#wrong(`${type} after the end`)
    else if (type === 'ItemSeen') this.#see(data as ItemSeen)
    else if (type === 'LineWritten') this.#line(data as LineWritten)
    else if (type === 'ItemsBilled') this.#bill(fact, data as ItemsBilled)
    else if (type === 'Reminded') this.#remind(data as Reminded)
    else this.#part()
  }

  #sold({ item }: ItemSold): void {
    if (!this.#closed) this.#items.push(item)
  }

  #see({ item, count }: ItemSeen): void {
    this.#seen += 1
    if (count !== this.#seen) this.#wrong(`item ${item} was counted as ${count}, is ${this.#seen}`)
    const next = this.#items[this.#seen - 1]
    if (item !== next) this.#wrong(`item ${item} was seen when ${next ?? 'none'} was next`)
  }

  #line({ by, n, value }: LineWritten): void {
    const before = this.#lines.get(by) ?? 0
    if (n !== before + 1) this.#wrong(`line ${n} of ${by} follows line ${before}`)
    if (value !== findingOf(by, n)) this.#wrong(`line ${n} of ${by} is not what was found`)
    if (this.#ended.has(by)) this.#wrong(`line ${n} of ${by} after its end`)
    this.#lines.set(by, n)
  }

  #bill({ offset, atMs }: Fact, { by, first, last, outcome }: ItemsBilled): void {
    if (this.#ended.has(by)) this.#wrong(`bill ${by} ends again`)
    this.#ended.add(by)
    const lines = this.#lines.get(by) ?? 0
    const isWell = outcome === findingOf(by, 'receipt')
    if (isWell && lines !== last - first + 1) this.#wrong(`the bill of ${first} to ${last} has ${lines} lines`)
    if (!isWell && !(outcome === 'CRASHED' && this.#witness.mayBeKiller(by))) this.#wrong(`${by} ended as ${outcome}`)
    if (first > this.#billed + 1) this.#wrong(`items ${this.#billed + 1} to ${first - 1} were left out`)
    if (last > this.#items.length) this.#wrong(`item ${last} is billed, ${this.#items.length} were sold`)
    for (let item = first; item <= last; item++) this.#once(item, atMs)
    if (last <= this.#billed) return
    this.#billed = last
    if (!this.#closed) this.#bills.push(offset)
  }

  #once(item: number, atMs: number): void {
    const firstMs = this.#billedAtMs.get(item)
    if (firstMs === undefined) this.#billedAtMs.set(item, atMs)
    else if (!this.#witness.replaysMs.some((replayMs) => replayMs <= firstMs))
      this.#wrong(`item ${item} is billed twice`)
  }

  #remind({ of }: Reminded): void {
    if (!this.#bills.includes(of)) this.#wrong(`reminded of ${of}, which is no bill`)
    if (this.#reminded.has(of)) this.#wrong(`reminded twice of ${of}`)
    this.#reminded.add(of)
  }

  #note({ item }: ItemNoted): void {
    if (!this.#items.includes(item)) this.#wrong(`item ${item} is noted, and was not sold`)
    if (this.#noted.has(item)) this.#wrong(`item ${item} is noted twice`)
    this.#noted.add(item)
  }

  #thank({ by }: Thanked): void {
    if (this.#thanked.has(by)) this.#wrong(`thanked twice by ${by}`)
    this.#thanked.add(by)
  }

  #part(): void {
    if (!this.#closed) this.#wrong('parted from an account that is open')
    this.#parted = true
  }

  #wrong(what: string): void {
    this.violations.push(`${this.key}: ${what}`)
  }
}
