import type { AvroSchema, Codec } from '../../codec/avro.ts'
import { envelopeHeaders } from '../../codec/envelope.ts'
import type { OutputRecord } from '../../kafka/log-records.ts'
import { type Amendment, orders, type Temper } from './packing.ts'
import type { Random } from './random.ts'

/** What is asked of the topology in one schedule: a few orders, each with a few events, some of them after its end. */
export interface Input {
  readonly atMs: number
  readonly key: string
  readonly event: keyof typeof orders.events
  readonly data: object
}

export interface Workload {
  /** Partitions of every topic. */
  readonly tasks: number
  readonly keys: readonly string[]
  readonly inputs: readonly Input[]
  /** Keys that are blocked until the code is mended and an operator has them folded again. */
  readonly poisoned: readonly string[]
}

const TEMPERS: readonly [Temper, ...Temper[]] = ['fine', 'fine', 'flaky', 'slow', 'deaf', 'hopeless', 'refused']
const AMENDMENTS: readonly [Amendment, ...Amendment[]] = ['nothing', 'cancel', 'postpone', 'forget']
/** One schedule in this many has an input that kills whoever works on it. */
const KILLER_EVERY = 12
/** One in this many, an event that the code of the noisy hours cannot fold. */
const POISON_EVERY = 5

/** Events before another that no processor reads. */
const UNREAD: readonly [number, ...number[]] = [0, 0, 4]

export const drawWorkload = (random: Random): Workload => {
  const tasks = random.between(1, 3)
  const withinMs = random.between(1_000, 7_000)
  const keys = Array.from({ length: random.between(1, 3) }, (_, n) => `order-${n}`) as [string, ...string[]]
  const times = Array.from({ length: random.between(3, 8) }, () => random.between(0, withinMs)).sort((a, b) => a - b)
  const inputs = times.flatMap((atMs, n): readonly Input[] => {
    const key = n < keys.length ? (keys[n] as string) : random.pick(keys)
    const input = { atMs, key, ...(n < keys.length ? placed(random) : anything(random)) }
    return [...unread(atMs, random.pick(keys), random.pick(UNREAD)), input]
  })
  const workload: Workload = { tasks, keys, inputs, poisoned: [] }
  const killed = random.between(1, KILLER_EVERY) > 1 ? workload : withKiller(workload)
  return random.between(1, POISON_EVERY) > 1
    ? killed
    : withPoison(killed, random.pick(keys), random.between(0, withinMs))
}

const unread = (atMs: number, key: string, count: number): readonly Input[] =>
  Array.from({ length: count }, () => ({ atMs, key, event: 'OrderViewed', data: { nothing: 0 } }))

const withKiller = (workload: Workload): Workload => {
  const killer: Input = { atMs: 0, key: 'killer', event: 'OrderPlaced', data: { pieces: 1, temper: 'killer' } }
  return { ...workload, keys: [...workload.keys, 'killer'], inputs: [killer, ...workload.inputs] }
}

const withPoison = (workload: Workload, key: string, atMs: number): Workload => {
  const poison: Input = { atMs, key, event: 'OrderAmended', data: { amendment: 'poison' } }
  const inputs = [...workload.inputs, poison].sort((a, b) => a.atMs - b.atMs)
  return { ...workload, inputs, poisoned: [key] }
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
export const recordOf = ({ key, event, data }: Input, id: string, nowMs: number, codec: Codec): OutputRecord => {
  const schema: AvroSchema<unknown> = orders.events[event]
  const about = { id, type: schema.name, source: '/simulation', timeMs: nowMs, causationId: null, traceparent: null }
  return { topic: orders.name, key, value: codec.encode(schema, data), headers: envelopeHeaders(about) }
}
