import type { AvroSchema } from '../../codec/avro.ts'
import { effect, exponential } from '../../effect-policy.ts'
import { defineProcessor, from, type Processor, type StateOf, type TopicRef, to } from '../../processor.ts'

/**
 * The topology under test (with billing.ts): two processors that between them have one of everything (keyed stores, effects with reports,
 * serial effects, cancelling, timers, an end of life with work that survives it, a bootstrap input, hooks, facts with
 * keys of their own). Every step of an order says so in a fact: its number, what it was, what caused it, and a checksum
 * over all steps before. So the log alone tells in which order the state was folded, and whether anything was folded
 * twice, lost, or folded on a state that nobody had committed.
 */
export const record = <T>(name: string, fields: Readonly<Record<string, string>>): AvroSchema<T> => ({
  name: `packing.${name}`,
  schema: JSON.stringify({
    type: 'record',
    name,
    namespace: 'packing',
    fields: Object.entries(fields).map(([field, type]) => ({ name: field, type })),
  }),
})

/** How the packing of an order goes; see executors.ts. */
export type Temper = 'fine' | 'flaky' | 'hopeless' | 'refused' | 'killer' | 'slow' | 'deaf'
/** `poison`: the code of the noisy hours cannot fold it; see `withBug`. */
export type Amendment = 'nothing' | 'cancel' | 'postpone' | 'forget' | 'poison'

export interface OrderPlaced {
  readonly pieces: number
  readonly temper: string
}
export interface OrderAmended {
  readonly amendment: string
}
export interface Nothing {
  readonly nothing: number
}
export interface Stepped {
  readonly n: number
  readonly what: string
  /** `topic/partition/offset` of a record; else `job`, `job/n=value`, `job=outcome` or the timer's name. */
  readonly ref: string
  readonly chain: string
  readonly atMs: number
}
export interface Shipped {
  readonly job: string
}
export interface Audited {
  readonly n: number
  readonly chain: string
  readonly pieces: string
}
export interface Counted {
  readonly count: number
  readonly ref: string
}
/** The only event that both processors make of the same record. */
export interface OrderSeen {
  readonly by: string
  readonly ref: string
}
export interface TaskHeld {
  readonly instanceId: string
}
export interface Job {
  readonly job: string
  readonly pieces: number
  readonly temper: string
}
export interface Piece {
  readonly value: string
}
interface Ledger {
  readonly n: number
  readonly chain: string
}

export const PieceSchema = record<Piece>('Piece', { value: 'string' })
const JobSchema = record<Job>('Job', { job: 'string', pieces: 'int', temper: 'string' })
export const ReceiptSchema = record<Piece>('Receipt', { value: 'string' })
const NothingSchema = (name: string) => record<Nothing>(name, { nothing: 'int' })
const CountedSchema = (name: string) => record<Counted>(name, { count: 'int', ref: 'string' })

export const orders = {
  name: 'orders',
  partitions: 'orders',
  events: {
    OrderPlaced: record<OrderPlaced>('OrderPlaced', { pieces: 'int', temper: 'string' }),
    OrderAmended: record<OrderAmended>('OrderAmended', { amendment: 'string' }),
    OrderAudited: NothingSchema('OrderAudited'),
    OrderWithdrawn: NothingSchema('OrderWithdrawn'),
    /** Nobody reads it. */
    OrderViewed: NothingSchema('OrderViewed'),
  },
} as const satisfies TopicRef

export const parcels = {
  name: 'parcels',
  partitions: 'parcels',
  events: {
    Stepped: record<Stepped>('Stepped', { n: 'int', what: 'string', ref: 'string', chain: 'string', atMs: 'long' }),
    Audited: record<Audited>('Audited', { n: 'int', chain: 'string', pieces: 'string' }),
    Shipped: record<Shipped>('Shipped', { job: 'string' }),
    Refunded: record<Shipped>('Refunded', { job: 'string' }),
  },
} as const satisfies TopicRef

export const tallies = {
  name: 'tallies',
  partitions: 'tallies',
  events: {
    Expected: CountedSchema('Expected'),
    Tallied: CountedSchema('Tallied'),
    OrderSeen: record<OrderSeen>('OrderSeen', { by: 'string', ref: 'string' }),
    TaskOpened: record<TaskHeld>('TaskOpened', { instanceId: 'string' }),
    TaskClosed: record<TaskHeld>('TaskClosed', { instanceId: 'string' }),
  },
} as const satisfies TopicRef

/** An order is late this long after it was last placed, ms, unless an amendment says otherwise. */
export const LATE_MS = 1_500
export const POSTPONED_MS = 3_000
export const PACKERS = 2
export const PACK_ATTEMPTS = 3

/** Shipments are counted per customer, so that facts leave the key that made them. */
export const customerOf = (order: string): string => `customer-${checksum('', order).charCodeAt(0) % 2}`

/** FNV-1a over text, 32 bits as hex: short, and different for different histories. */
export const checksum = (before: string, what: string): string => {
  let hash = 0x811c9dc5
  for (const char of `${before}|${what}`) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}

/** What an effect finds out in the world: a function of the job, whoever runs it and how often. */
export const findingOf = (job: string, piece: number | 'receipt'): string => checksum(job, `${piece}`)

const packState = { ledger: record<Ledger>('Ledger', { n: 'int', chain: 'string' }), piece: PieceSchema }

interface Stepping {
  readonly now: number
  readonly state: StateOf<typeof packState>
  readonly emit: { Stepped(step: Stepped): void }
}

const step = ({ now, state, emit }: Stepping, what: string, ref: string): Ledger => {
  const { n, chain } = state.ledger.get() ?? { n: 0, chain: '' }
  const next = { n: n + 1, chain: checksum(chain, `${what} ${ref}`) }
  state.ledger.put(next)
  emit.Stepped({ ...next, what, ref, atMs: now })
  return next
}

const refOf = ({ topic, partition, offset }: { topic: string; partition: number; offset: bigint | null }): string =>
  `${topic}/${partition}/${offset}`

export const packOrders = defineProcessor(
  {
    name: 'pack-orders',
    reads: [from(orders, ['OrderPlaced', 'OrderAmended', 'OrderAudited'])],
    writes: [to(parcels, ['Stepped', 'Audited', 'Shipped', 'Refunded']), to(tallies, ['OrderSeen'])],
    state: packState,
    effects: {
      pack: effect({
        input: JobSchema,
        outcome: ReceiptSchema,
        report: PieceSchema,
        reads: ['piece'],
        attempts: PACK_ATTEMPTS,
        backoffMs: exponential(100, 1_000),
        timeoutMs: null,
        concurrency: PACKERS,
      }),
      refund: effect({ input: JobSchema, outcome: ReceiptSchema, timeoutMs: 2_000, attempts: 50, concurrency: 1 }),
    },
    timers: ['late'],
    closedBy: [from(orders, ['OrderWithdrawn'])],
  },
  {
    on: {
      orders: {
        OrderPlaced: (ctx, { pieces, temper }) => {
          const { n } = step(ctx, 'placed', refOf(ctx.cause))
          ctx.emit.OrderSeen({ by: 'pack-orders', ref: refOf(ctx.cause) })
          ctx.perform.pack({ job: `${ctx.key}#${n}`, pieces, temper })
          ctx.schedule('late', ctx.now + LATE_MS)
        },
        OrderAmended: (ctx, { amendment }) => {
          step(ctx, `amended ${amendment}`, refOf(ctx.cause))
          if (amendment === 'cancel') ctx.cancel('pack')
          if (amendment === 'postpone') ctx.schedule('late', ctx.now + POSTPONED_MS)
          if (amendment === 'forget') ctx.unschedule('late')
        },
        OrderAudited: (ctx) => {
          const pieces = ctx.state.piece.entries().map(([id, { value }]) => `${id}=${value}`)
          ctx.emit.Audited({ ...step(ctx, 'audited', refOf(ctx.cause)), pieces: pieces.join(' ') })
        },
      },
    },
    closing: {
      orders: {
        OrderWithdrawn: (ctx) => {
          const { n } = step(ctx, 'withdrawn', refOf(ctx.cause))
          ctx.perform.refund({ job: `${ctx.key}#${n}`, pieces: 0, temper: 'fine' })
        },
      },
    },
    reported: {
      pack: (ctx, { job }, n, piece) => {
        step(ctx, 'packed', `${job}/${n}=${piece.value}`)
        ctx.state.piece.put(piece, `${job}/${n}`)
      },
    },
    settled: {
      pack: (ctx, { job }, outcome) => {
        step(ctx, 'settled', `${job}=${outcome.ok ? outcome.value.value : outcome.code}`)
        if (outcome.ok) ctx.emit.Shipped({ job }, { key: customerOf(ctx.key) })
      },
      refund: (ctx, { job }) => ctx.emit.Refunded({ job }),
    },
    due: { late: (ctx) => void step(ctx, 'late', 'late') },
  },
)

export const POISONED = 'poisoned'

/** The same processor before somebody mended it: its handlers throw at what is poison to them, so that the key is blocked. */
export const withBug = (processor: Processor): Processor => {
  const { behaviour } = processor
  const on = Object.entries(behaviour.on).map(([topic, handlers = {}]) => [
    topic,
    Object.fromEntries(
      Object.entries(handlers).map(([event, handle]) => [
        event,
        (ctx: unknown, data: unknown) => {
          const { amendment, poison } = data as { readonly amendment?: string; readonly poison?: boolean }
          if (amendment === 'poison' || poison === true) throw new RangeError(POISONED)
          handle(ctx, data)
        },
      ]),
    ),
  ])
  return { ...processor, behaviour: { ...behaviour, on: Object.fromEntries(on) } }
}

const tallyState = { count: record<{ readonly count: number }>('Count', { count: 'int' }) }

const count = (state: StateOf<typeof tallyState>): number => {
  const next = (state.count.get()?.count ?? 0) + 1
  state.count.put({ count: next })
  return next
}

/** Confluent: whatever order the two inputs come in, the same facts. It has hooks, so its tasks are never dormant. */
export const tallyParcels = defineProcessor(
  {
    name: 'tally-parcels',
    reads: [from(orders, ['OrderPlaced'], { bootstrap: true }), from(parcels, ['Shipped'])],
    writes: [to(tallies, ['Expected', 'Tallied', 'OrderSeen', 'TaskOpened', 'TaskClosed'])],
    state: tallyState,
  },
  {
    on: {
      orders: {
        OrderPlaced: (ctx) => {
          ctx.emit.OrderSeen({ by: 'tally-parcels', ref: refOf(ctx.cause) })
          ctx.emit.Expected({ count: count(ctx.state), ref: refOf(ctx.cause) })
        },
      },
      parcels: { Shipped: (ctx, { job }) => ctx.emit.Tallied({ count: count(ctx.state), ref: job }) },
    },
    opened: ({ task, instanceId, emit }) => emit.TaskOpened({ instanceId }, { key: `task-${task}`, partition: task }),
    closed: ({ task, instanceId, emit }) => emit.TaskClosed({ instanceId }, { key: `task-${task}`, partition: task }),
  },
)
