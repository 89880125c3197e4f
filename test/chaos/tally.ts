import type { AvroSchema } from '../../runtime/codec/avro.ts'
import { type Codec, createCodec } from '../../runtime/codec/avro.ts'
import { createDirectory } from '../../runtime/codec/schema-directory.ts'
import { effect } from '../../runtime/effect-policy.ts'
import { defineProcessor, from, type Processor, type TopicRef, to } from '../../runtime/processor.ts'
import { ClosedKeySchema, PendingEffectSchema, PositionSchema, TimerSchema } from '../../runtime/state/generated.ts'

/**
 * The work that the chaos suite does while things break: as little as shows every promise.
 *
 * Each input adds an amount to its key's account. The answer to it says the account's count and checksum after it, so one
 * look at a key's answers tells whether an input was lost, folded twice or out of order, whenever that happened. Every
 * twentieth input asks for an effect that reports three pieces and settles; while no alarm is set, an input sets one, which
 * rings once. What a run may look like is a function of the inputs and of the answers' own order: verdict.ts.
 */
export interface Added {
  /** Numbers the inputs of a key, from 1. */
  readonly n: number
  readonly amount: number
}
/** The account as it is stored, and as the answer tells it. */
export interface Account {
  readonly count: number
  /** n of the input that was folded last. */
  readonly last: number
  readonly checksum: number
  /** count of the input that set the alarm, 0 = no alarm is set. */
  readonly alarm: number
}
export interface Order {
  readonly count: number
}
export interface Piece {
  readonly count: number
  readonly piece: number
}
export interface Outcome {
  readonly count: number
  readonly ok: boolean
}

export const PIECES = 3
export const isOrdered = (count: number): boolean => count % 20 === 0
const ALARM_MS = 500

const CHECKSUM_BASE = 31
const CHECKSUM_MODULUS = 1_000_003
export const NEW_ACCOUNT: Account = { count: 0, last: 0, checksum: 0, alarm: 0 }

/** The fold, apart from the alarm. */
export const add = (account: Account, { n, amount }: Added): Account => ({
  ...account,
  count: account.count + 1,
  last: n,
  checksum: (account.checksum * CHECKSUM_BASE + amount) % CHECKSUM_MODULUS,
})

const record = <T>(name: string, fields: Readonly<Record<string, unknown>>): AvroSchema<T> => ({
  name: `tally.${name}`,
  schema: JSON.stringify({
    type: 'record',
    name,
    namespace: 'tally',
    fields: Object.entries(fields).map(([field, type]) => ({ name: field, type })),
  }),
})

export const AddedSchema = record<Added>('Added', { n: 'int', amount: 'int' })
const ACCOUNT = { count: 'int', last: 'int', checksum: 'int', alarm: 'int' }
export const AccountSchema = record<Account>('Account', ACCOUNT)
export const CountedSchema = record<Account>('Counted', ACCOUNT)
export const OrderSchema = record<Order>('Order', { count: 'int' })
export const DoneSchema = record<Order>('Done', { count: 'int' })
export const PieceSchema = record<Piece>('Piece', { count: 'int', piece: 'int' })
export const PieceMadeSchema = record<Piece>('PieceMade', { count: 'int', piece: 'int' })
export const OrderEndedSchema = record<Outcome>('OrderEnded', { count: 'int', ok: 'boolean' })
export const RangSchema = record<Order>('Rang', { count: 'int' })

export interface Tally {
  readonly processor: Processor
  readonly inputs: string
  readonly answers: string
}

/** The processor and its topics, under names of a run of their own. */
export const tallyOf = (run: string): Tally => {
  const inputs = { name: `inputs-${run}`, partitions: 'tally', events: { Added: AddedSchema } } satisfies TopicRef
  const answers = {
    name: `answers-${run}`,
    partitions: 'tally',
    events: { Counted: CountedSchema, PieceMade: PieceMadeSchema, OrderEnded: OrderEndedSchema, Rang: RangSchema },
  } satisfies TopicRef
  const processor = defineProcessor(
    {
      name: `keep-tally-${run}`,
      reads: [from(inputs, ['Added'])],
      writes: [to(answers, ['Counted', 'PieceMade', 'OrderEnded', 'Rang'])],
      state: { account: AccountSchema },
      effects: {
        make: effect({
          input: OrderSchema,
          outcome: DoneSchema,
          report: PieceSchema,
          attempts: 1_000_000,
          backoffMs: () => 50,
          concurrency: 32,
        }),
      },
      timers: ['alarm'],
    },
    {
      on: {
        [inputs.name]: {
          Added: (ctx, event) => {
            const counted = add(ctx.state.account.get() ?? NEW_ACCOUNT, event)
            const account = counted.alarm === 0 ? { ...counted, alarm: counted.count } : counted
            if (counted.alarm === 0) ctx.schedule('alarm', ctx.now + ALARM_MS)
            if (isOrdered(account.count)) ctx.perform.make({ count: account.count })
            ctx.state.account.put(account)
            ctx.emit.Counted(account)
          },
        },
      },
      reported: { make: (ctx, _order, _n, piece) => ctx.emit.PieceMade(piece) },
      settled: { make: (ctx, { count }, { ok }) => ctx.emit.OrderEnded({ count, ok }) },
      due: {
        alarm: (ctx) => {
          const account = ctx.state.account.get() ?? NEW_ACCOUNT
          ctx.state.account.put({ ...account, alarm: 0 })
          ctx.emit.Rang({ count: account.alarm })
        },
      },
    },
  )
  return { processor, inputs: inputs.name, answers: answers.name }
}

/** Every process of the suite gives a schema the same id, so that none needs a registry. */
const SCHEMAS: readonly AvroSchema<unknown>[] = [
  AddedSchema,
  AccountSchema,
  CountedSchema,
  OrderSchema,
  DoneSchema,
  PieceSchema,
  PieceMadeSchema,
  OrderEndedSchema,
  RangSchema,
  PositionSchema,
  TimerSchema,
  PendingEffectSchema,
  ClosedKeySchema,
]

export const unknownSchema = (id: number): Promise<never> => Promise.reject(new RangeError(`there is no schema ${id}`))

export const tallyCodec = (): Codec => {
  const directory = createDirectory(unknownSchema)
  for (const [index, { schema }] of SCHEMAS.entries()) directory.add(index + 1, schema)
  return createCodec(directory)
}
