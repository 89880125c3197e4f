import { effect, exponential } from '../../effect-policy.ts'
import { type Context, defineProcessor, from, type TopicRef, to } from '../../processor.ts'
import { type Nothing, type Piece, PieceSchema, ReceiptSchema, record } from './packing.ts'

/**
 * The part of the topology under test whose memory may be lost, or be of another version, at any moment: what is sold is
 * billed, by an effect with reports, asked for by a record or by a timer, whichever comes first. Own facts are on the topic
 * that is read, as in the product, and everything that must survive a replay is folded from them. Nothing may be done
 * twice by a replay, and nothing left out: bill-model.ts. A later version says and asks for more than the first one: of what
 * both do, nothing may be done again for that.
 */
export interface ItemSold {
  readonly item: number
  /** Billed at once; others wait for a while, for more of them. */
  readonly urgent: boolean
  readonly temper: string
  /** The code of the noisy hours cannot fold it; see `withBug`. */
  readonly poison: boolean
}
export interface ItemSeen {
  readonly item: number
  /** How many were seen by then. */
  readonly count: number
}
export interface LineWritten {
  readonly by: string
  readonly n: number
  readonly value: string
}
/** Items by their counts: the bill says all of them. */
export interface ItemsBilled {
  /** Identity of the step that asked for the bill. */
  readonly by: string
  readonly first: number
  readonly last: number
  readonly outcome: string
}
export interface Reminded {
  /** Offset of the bill. */
  readonly of: string
}
/** What the first version does not say. */
export interface ItemNoted {
  readonly item: number
}
export interface Thanked {
  readonly by: string
}
export interface Bill {
  readonly job: string
  readonly pieces: number
  readonly temper: string
  readonly first: number
}
interface Account {
  readonly sold: number
  readonly billed: number
  readonly temper: string
  /** A bill was asked for, and is not there yet. */
  readonly asked: boolean
  readonly bill: string
}

const BillSchema = record<Bill>('Bill', { job: 'string', pieces: 'int', temper: 'string', first: 'int' })

export const bills = {
  name: 'bills',
  partitions: 'bills',
  events: {
    ItemSold: record<ItemSold>('ItemSold', { item: 'int', urgent: 'boolean', temper: 'string', poison: 'boolean' }),
    AccountClosed: record<Nothing>('AccountClosed', { nothing: 'int' }),
    ItemSeen: record<ItemSeen>('ItemSeen', { item: 'int', count: 'int' }),
    LineWritten: record<LineWritten>('LineWritten', { by: 'string', n: 'int', value: 'string' }),
    ItemsBilled: record<ItemsBilled>('ItemsBilled', { by: 'string', first: 'int', last: 'int', outcome: 'string' }),
    Reminded: record<Reminded>('Reminded', { of: 'string' }),
    ItemNoted: record<ItemNoted>('ItemNoted', { item: 'int' }),
    Thanked: record<Thanked>('Thanked', { by: 'string' }),
    Parted: record<Nothing>('Parted', { nothing: 'int' }),
  },
} as const satisfies TopicRef

/** How long an item waits for others that are billed with it, and a bill for its reminder, ms. */
export const BILL_MS = 700
const REMIND_MS = 900
export const BILLERS = 2

const writes = [
  to(bills, ['ItemSeen', 'LineWritten', 'ItemsBilled', 'Reminded', 'ItemNoted', 'Thanked', 'Parted']),
] as const
const state = {
  account: record<Account>('Account', {
    sold: 'int',
    billed: 'int',
    temper: 'string',
    asked: 'boolean',
    bill: 'string',
  }),
  item: record<{ readonly item: number }>('Item', { item: 'int' }),
}
const effects = {
  bill: effect({
    input: BillSchema,
    outcome: ReceiptSchema,
    report: PieceSchema,
    attempts: 50,
    backoffMs: exponential(100, 1_000),
    timeoutMs: null,
    concurrency: BILLERS,
  }),
  part: effect({ input: BillSchema, outcome: ReceiptSchema, timeoutMs: 2_000, attempts: 50, concurrency: 1 }),
  thank: effect({ input: BillSchema, outcome: ReceiptSchema, timeoutMs: 2_000, attempts: 50, concurrency: 1 }),
}

type Ctx = Context<typeof writes, typeof state, typeof effects, 'bill' | 'remind'>

const NEW: Account = { sold: 0, billed: 0, temper: 'fine', asked: false, bill: '' }

const accountOf = (ctx: Ctx): Account => ctx.state.account.get() ?? NEW

const askForBill = (ctx: Ctx, account: Account): void => {
  const { sold, billed, temper } = account
  ctx.state.account.put({ ...account, asked: true })
  ctx.unschedule('bill')
  ctx.perform.bill({ job: ctx.id('bill'), pieces: sold - billed, temper, first: billed + 1 })
}

const thank = (ctx: Ctx, what: string): void =>
  void ctx.perform.thank({ job: ctx.id(what), pieces: 0, temper: 'fine', first: 0 })

/** Of the version after the first. In front of what both ask for, and now and then with a change of mind. */
const askForMore = (ctx: Ctx, account: Account): void => {
  thank(ctx, 'thank')
  askForBill(ctx, account)
  if (account.sold % 2 === 0) return
  ctx.cancel('thank')
  thank(ctx, 'thank again')
}

/** Timers ask for one thing in every version: what is left of a timer that has left anything is not known to a replay. */
const processorOf = (isFirst: boolean) =>
  defineProcessor(
    {
      name: 'bill-items',
      reads: [from(bills, ['ItemSold', 'ItemsBilled'])],
      writes,
      state,
      effects,
      confirmedBy: { bill: [from(bills, ['ItemsBilled'])] },
      timers: ['bill', 'remind'],
      closedBy: [from(bills, ['AccountClosed'])],
    },
    {
      on: {
        bills: {
          ItemSold: (ctx, { item, urgent, temper }) => {
            const before = accountOf(ctx)
            const account = { ...before, sold: before.sold + 1, temper }
            ctx.state.account.put(account)
            ctx.state.item.put({ item }, `${account.sold}`)
            if (!isFirst) ctx.emit.ItemNoted({ item })
            ctx.emit.ItemSeen({ item, count: account.sold })
            if (account.asked) return
            if (urgent && isFirst) askForBill(ctx, account)
            else if (urgent) askForMore(ctx, account)
            else if (account.sold === account.billed + 1) ctx.schedule('bill', ctx.now + BILL_MS)
          },
          // Whatever it was: what is not billed by then is asked for.
          ItemsBilled: (ctx, { last }) => {
            const account = accountOf(ctx)
            const billed = Math.max(account.billed, last)
            const isNews = billed > account.billed
            const bill = isNews ? `${ctx.cause.offset}` : account.bill
            ctx.state.account.put({ ...account, billed, asked: false, bill })
            if (isNews) ctx.schedule('remind', ctx.now + REMIND_MS)
            if (account.sold > billed) ctx.schedule('bill', ctx.now + BILL_MS)
          },
        },
      },
      closing: {
        bills: {
          AccountClosed: (ctx) => {
            if (!isFirst) thank(ctx, 'thank')
            ctx.perform.part({ job: ctx.id('part'), pieces: 0, temper: 'fine', first: 0 })
          },
        },
      },
      reported: { bill: (ctx, { job }, n, { value }: Piece) => ctx.emit.LineWritten({ by: job, n, value }) },
      settled: {
        bill: (ctx, { job, first, pieces }, outcome) =>
          ctx.emit.ItemsBilled({
            by: job,
            first,
            last: first + pieces - 1,
            outcome: outcome.ok ? outcome.value.value : outcome.code,
          }),
        part: (ctx) => ctx.emit.Parted({ nothing: 0 }),
        thank: (ctx, { job }) => ctx.emit.Thanked({ by: job }),
      },
      due: {
        bill: (ctx) => {
          const account = accountOf(ctx)
          if (!account.asked && account.sold > account.billed) askForBill(ctx, account)
        },
        remind: (ctx) => ctx.emit.Reminded({ of: accountOf(ctx).bill }),
      },
    },
  )

export const billItems = processorOf(true)
/** Of every later version: the declaration is the same, the handlers are not. */
export const laterBillItems = processorOf(false)
