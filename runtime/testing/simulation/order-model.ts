import { ILL, UNKNOWN_ADDRESS } from './executors.ts'
import {
  type Audited,
  checksum,
  findingOf,
  LATE_MS,
  type OrderAmended,
  type OrderPlaced,
  POSTPONED_MS,
  type Shipped,
  type Stepped,
} from './packing.ts'

/** One committed record, decoded. */
export interface Fact {
  readonly ref: string
  readonly partition: number
  readonly offset: string
  /** When the broker took it. */
  readonly atMs: number
  readonly key: string
  readonly type: string
  readonly id: string
  readonly data: unknown
}

interface JobModel {
  readonly pieces: number
  readonly temper: string
  reported: number
}

/**
 * What the engine promises, for one order, as a state machine over the committed steps: each must be one that could come
 * next, and must have been made on the state that all steps before it left. Written from the promises, not from the code.
 */
export class OrderModel {
  readonly key: string
  readonly violations: string[] = []
  /** Records that placed it, as far as they were folded, in order. */
  readonly placed: string[] = []
  /** Jobs that settled well, in order. */
  readonly shipped: string[] = []
  readonly #inputs: readonly Fact[]
  readonly #mayBeKiller: (job: string) => boolean
  readonly #jobs = new Map<string, JobModel>()
  readonly #pieces = new Map<string, string>()
  #folded = 0
  #n = 0
  #chain = ''
  #lateAtMs: number | null = null
  #closed = false
  #refund: string | null = null

  constructor(key: string, inputs: readonly Fact[], mayBeKiller: (job: string) => boolean) {
    this.key = key
    this.#inputs = inputs
    this.#mayBeKiller = mayBeKiller
  }

  get missing(): readonly string[] {
    const unread = this.#closed ? 0 : this.#inputs.length - this.#folded
    return [
      ...(unread > 0 ? [`${unread} inputs of ${this.key}`] : []),
      ...[...this.#jobs.keys()].map((job) => `the outcome of ${job}`),
      ...(this.#lateAtMs === null ? [] : [`the timer of ${this.key}`]),
      ...(this.#refund === null ? [] : [`the outcome of ${this.#refund}`]),
    ]
  }

  fold({ type, data }: Fact): void {
    if (type === 'Stepped') this.#step(data as Stepped)
    if (type === 'Audited') this.#audited(data as Audited)
    if (type === 'Refunded') this.#refunded(data as Shipped)
  }

  #step({ n, what, ref, chain, atMs }: Stepped): void {
    if (this.#closed) this.#wrong(`step ${n} (${what} ${ref}) after the end`)
    if (n !== this.#n + 1) this.#wrong(`step ${n} (${what} ${ref}) follows step ${this.#n}`)
    if (chain !== checksum(this.#chain, `${what} ${ref}`)) this.#wrong(`step ${n} was made on another state`)
    this.#n = n
    this.#chain = chain
    const [verb = '', detail = ''] = what.split(' ')
    if (verb === 'packed') this.#packed(ref)
    else if (verb === 'settled') this.#settled(ref)
    else if (verb === 'late') this.#late(atMs)
    else this.#input(verb, detail, ref, atMs)
  }

  #input(verb: string, detail: string, ref: string, atMs: number): void {
    const input = this.#inputs[this.#folded]
    this.#folded += 1
    if (input?.ref !== ref) this.#wrong(`read ${ref} when ${input?.ref ?? 'nothing'} was next`)
    if (input?.type !== EVENT_OF[verb]) this.#wrong(`took ${input?.type} for ${verb}`)
    if (verb === 'placed') {
      this.placed.push(ref)
      const { pieces, temper } = (input?.data ?? {}) as OrderPlaced
      this.#jobs.set(`${this.key}#${this.#n}`, { pieces, temper, reported: 0 })
      this.#lateAtMs = atMs + LATE_MS
    }
    if (verb === 'amended') this.#amended(((input?.data ?? {}) as OrderAmended).amendment, detail, atMs)
    if (verb === 'withdrawn') this.#withdrawn()
  }

  #amended(amendment: string, detail: string, atMs: number): void {
    if (amendment !== detail) this.#wrong(`took amendment ${amendment} for ${detail}`)
    if (amendment === 'cancel') this.#jobs.clear()
    if (amendment === 'postpone') this.#lateAtMs = atMs + POSTPONED_MS
    if (amendment === 'forget') this.#lateAtMs = null
  }

  #withdrawn(): void {
    this.#closed = true
    this.#jobs.clear()
    this.#lateAtMs = null
    this.#refund = `${this.key}#${this.#n}`
  }

  #packed(ref: string): void {
    const [, job = '', n = '', value = ''] = /^(.*)\/(\d+)=(.*)$/.exec(ref) ?? []
    const pending = this.#jobs.get(job)
    if (pending === undefined) return this.#wrong(`report ${ref} of an effect that is not pending`)
    if (Number(n) !== pending.reported + 1) this.#wrong(`report ${n} of ${job} follows report ${pending.reported}`)
    if (value !== findingOf(job, Number(n))) this.#wrong(`report ${ref} is not what was found`)
    pending.reported = Number(n)
    this.#pieces.set(`${job}/${n}`, value)
  }

  #settled(ref: string): void {
    const [, job = '', outcome = ''] = /^(.*)=(.*)$/.exec(ref) ?? []
    const pending = this.#jobs.get(job)
    if (pending === undefined) return this.#wrong(`outcome ${ref} of an effect that is not pending`)
    this.#jobs.delete(job)
    const isWell = outcome === findingOf(job, 'receipt')
    if (isWell) this.shipped.push(job)
    if (isWell && pending.reported !== pending.pieces) this.#wrong(`${job} settled after ${pending.reported} reports`)
    if (outcome === 'CRASHED' ? !this.#mayBeKiller(job) : outcome !== outcomeOf(job, pending.temper)) {
      this.#wrong(`${job}, which is ${pending.temper}, settled as ${outcome}`)
    }
  }

  #late(atMs: number): void {
    if (this.#lateAtMs === null) this.#wrong('a timer that was not set became due')
    else if (atMs < this.#lateAtMs) this.#wrong(`the timer became due ${this.#lateAtMs - atMs} ms too early`)
    this.#lateAtMs = null
  }

  #audited({ n, chain, pieces }: Audited): void {
    if (n !== this.#n || chain !== this.#chain) this.#wrong(`audited as step ${n}, is at step ${this.#n}`)
    const known = [...this.#pieces].sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, value]) => `${id}=${value}`)
    if (pieces !== known.join(' ')) this.#wrong(`holds [${pieces}], was told [${known.join(' ')}]`)
  }

  #refunded({ job }: Shipped): void {
    if (job !== this.#refund) this.#wrong(`refunded ${job}, which is not pending`)
    this.#refund = null
  }

  #wrong(what: string): void {
    this.violations.push(`${this.key}: ${what}`)
  }
}

const EVENT_OF: Readonly<Record<string, string>> = {
  placed: 'OrderPlaced',
  amended: 'OrderAmended',
  audited: 'OrderAudited',
  withdrawn: 'OrderWithdrawn',
}

/** How a job of this temper must end, however many of its runs were cut short. A killer never ends by itself. */
const outcomeOf = (job: string, temper: string): string => {
  if (temper === 'hopeless') return ILL
  if (temper === 'refused') return UNKNOWN_ADDRESS
  return temper === 'killer' ? 'CRASHED' : findingOf(job, 'receipt')
}
