import type { AvroSchema, Codec } from '../../codec/avro.ts'
import { envelopeHeaders } from '../../codec/envelope.ts'
import type { OutputRecord } from '../../kafka/log-records.ts'
import type { TopicRef } from '../../processor.ts'
import { BILL_MS, bills } from './billing.ts'
import { type Amendment, orders, type Temper } from './packing.ts'
import type { Random } from './random.ts'

/** What is asked of the topology in one schedule: a few orders and accounts, each with a few events, some of them after its end. */
export interface Input {
  readonly atMs: number
  readonly key: string
  readonly topic: typeof orders | typeof bills
  readonly event: keyof typeof orders.events | keyof typeof bills.events
  readonly data: object
}

export interface Poisoned {
  readonly topic: string
  readonly key: string
}

export interface Workload {
  /** Partitions of every topic. */
  readonly tasks: number
  readonly keys: readonly string[]
  readonly inputs: readonly Input[]
  /** Accounts, with how many items are sold to each. */
  readonly accounts: ReadonlyMap<string, number>
  /** Keys that are blocked until the code is mended and an operator has them folded again. */
  readonly poisoned: readonly Poisoned[]
  /** Keys of which the broker refuses some of the facts, until its operator lets it take them. */
  readonly rejected: readonly Poisoned[]
}

const TEMPERS: readonly [Temper, ...Temper[]] = ['fine', 'fine', 'flaky', 'slow', 'deaf', 'hopeless', 'refused']
const AMENDMENTS: readonly [Amendment, ...Amendment[]] = ['nothing', 'cancel', 'postpone', 'forget']
/** One schedule in this many has an input that kills whoever works on it. */
const KILLER_EVERY = 12
/** One in this many, an event that the code of the noisy hours cannot fold. */
const POISON_EVERY = 5
/** One in this many, a key whose facts are not all taken. */
const REJECTED_EVERY = 5

/** One account in this many is closed. */
const CLOSED_EVERY = 3
const BILL_TEMPERS: readonly [Temper, ...Temper[]] = ['fine', 'fine', 'flaky', 'slow', 'deaf']

/** Events before another that no processor reads. */
const UNREAD: readonly [number, ...number[]] = [0, 0, 4]

export const drawWorkload = (random: Random): Workload => {
  const tasks = random.between(1, 3)
  const withinMs = random.between(1_000, 7_000)
  const keys = Array.from({ length: random.between(1, 3) }, (_, n) => `order-${n}`) as [string, ...string[]]
  const times = Array.from({ length: random.between(3, 8) }, () => random.between(0, withinMs)).sort((a, b) => a - b)
  const inputs = times.flatMap((atMs, n): readonly Input[] => {
    const key = n < keys.length ? (keys[n] as string) : random.pick(keys)
    const input = { atMs, key, topic: orders, ...(n < keys.length ? placed(random) : anything(random)) }
    return [...unread(atMs, random.pick(keys), random.pick(UNREAD)), input]
  })
  const workload: Workload = { tasks, keys, inputs, accounts: new Map(), poisoned: [], rejected: [] }
  const killed = random.between(1, KILLER_EVERY) > 1 ? workload : withKiller(workload)
  const ordered =
    random.between(1, POISON_EVERY) > 1 ? killed : withPoison(killed, random.pick(keys), random.between(0, withinMs))
  const whole = withAccounts(ordered, random, withinMs)
  const rejected = [
    { topic: orders.name, key: random.pick(keys) },
    { topic: bills.name, key: 'account-1' },
  ]
  return { ...whole, rejected: rejected.filter(() => random.between(1, REJECTED_EVERY) === 1) }
}

/** Items that are sold to one account or two, until it is closed, if it is. */
const withAccounts = (workload: Workload, random: Random, withinMs: number): Workload => {
  const accounts = new Map<string, number>()
  const poisoned = [...workload.poisoned]
  const inputs: Input[] = [...workload.inputs]
  for (let n = random.between(1, 2); n > 0; n--) {
    const key = `account-${n}`
    const times = Array.from({ length: random.between(1, 4) }, () => random.between(0, withinMs))
      .flatMap((atMs) => [atMs, atMs + random.between(0, 2 * BILL_MS)])
      .sort((a, b) => a - b)
    const isPoisoned = random.between(1, POISON_EVERY) === 1
    const data = (index: number) => ({
      item: index + 1,
      urgent: random.chance(0.4),
      temper: random.pick(BILL_TEMPERS),
      poison: isPoisoned && index === 0,
    })
    inputs.push(
      ...times.map((atMs, index): Input => ({ atMs, key, topic: bills, event: 'ItemSold', data: data(index) })),
    )
    if (random.between(1, CLOSED_EVERY) === 1) {
      const atMs = random.between(0, withinMs)
      inputs.push({ atMs, key, topic: bills, event: 'AccountClosed', data: { nothing: 0 } })
    }
    if (isPoisoned) poisoned.push({ topic: bills.name, key })
    accounts.set(key, times.length)
  }
  return { ...workload, inputs: inputs.sort((a, b) => a.atMs - b.atMs), accounts, poisoned }
}

/** Every account knows how many items it has seen by the end: one more tells. */
export const lastItem = (key: string, sold: number): Input => {
  const data = { item: sold + 1, urgent: false, temper: 'fine', poison: false }
  return { atMs: 0, key, topic: bills, event: 'ItemSold', data }
}

const unread = (atMs: number, key: string, count: number): readonly Input[] =>
  Array.from({ length: count }, () => ({ atMs, key, topic: orders, event: 'OrderViewed', data: { nothing: 0 } }))

const withKiller = (workload: Workload): Workload => {
  const data = { pieces: 1, temper: 'killer' }
  const killer: Input = { atMs: 0, key: 'killer', topic: orders, event: 'OrderPlaced', data }
  return { ...workload, keys: [...workload.keys, 'killer'], inputs: [killer, ...workload.inputs] }
}

const withPoison = (workload: Workload, key: string, atMs: number): Workload => {
  const data = { amendment: 'poison' }
  const poison: Input = { atMs, key, topic: orders, event: 'OrderAmended', data }
  const inputs = [...workload.inputs, poison].sort((a, b) => a.atMs - b.atMs)
  return { ...workload, inputs, poisoned: [{ topic: orders.name, key }] }
}

type Happening = Pick<Input, 'event' | 'data'>

const placed = (random: Random): Happening => ({
  event: 'OrderPlaced',
  data: { pieces: random.between(0, 4), temper: random.pick(TEMPERS) },
})

const anything = (random: Random): Happening => {
  const dice = random.between(1, 10)
  if (dice <= 5) return placed(random)
  if (dice <= 8) return { event: 'OrderAmended', data: { amendment: random.pick(AMENDMENTS) } }
  return { event: dice === 9 ? 'OrderAudited' : 'OrderWithdrawn', data: { nothing: 0 } }
}

/** The event as the gateway would write it. */
export const recordOf = ({ key, topic, event, data }: Input, id: string, nowMs: number, codec: Codec): OutputRecord => {
  const schema = (topic.events as TopicRef['events'])[event] as AvroSchema<unknown>
  const about = { id, type: schema.name, source: '/simulation', timeMs: nowMs, causationId: null, traceparent: null }
  return { topic: topic.name, key, value: codec.encode(schema, data), headers: envelopeHeaders(about) }
}
