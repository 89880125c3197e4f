import type { AvroSchema } from '../codec/avro.ts'
import { effect, exponential } from '../effect-policy.ts'
import { defineProcessor, from, type TopicRef, to } from '../processor.ts'

/**
 * A small made-up domain for the engine's own tests: orders are placed, a parcel is sent for each (an effect that reports
 * its boxes), and an order may be withdrawn. It has one of everything that a processor can do.
 */
export interface OrderPlaced {
  readonly boxes: number
}
export interface OrderWithdrawn {
  readonly why: string
}
export interface BoxSent {
  readonly n: number
}
export interface OrderSent {
  readonly boxes: number
  readonly trackingId: string
}
export interface OrderLost {
  readonly code: string
}
export interface Count {
  readonly count: number
}
export interface Parcel {
  readonly boxes: number
}
export interface Receipt {
  readonly trackingId: string
}

const record = <T>(name: string, fields: Readonly<Record<string, unknown>>): AvroSchema<T> => ({
  name: `shop.${name}`,
  schema: JSON.stringify({
    type: 'record',
    name,
    namespace: 'shop',
    fields: Object.entries(fields).map(([field, type]) => ({ name: field, type })),
  }),
})

export const OrderPlacedSchema = record<OrderPlaced>('OrderPlaced', { boxes: 'int' })
export const ParcelSchema = record<Parcel>('Parcel', { boxes: 'int' })
export const ReceiptSchema = record<Receipt>('Receipt', { trackingId: 'string' })
export const BoxSentSchema = record<BoxSent>('BoxSent', { n: 'int' })
export const CountSchema = record<Count>('Count', { count: 'int' })

export const orders = {
  name: 'orders',
  partitions: 'orders',
  events: {
    OrderPlaced: OrderPlacedSchema,
    OrderWithdrawn: record<OrderWithdrawn>('OrderWithdrawn', { why: 'string' }),
    OrderNoted: record<Count>('OrderNoted', { count: 'int' }),
  },
} satisfies TopicRef

export const deliveries = {
  name: 'deliveries',
  partitions: 'deliveries',
  events: {
    BoxSent: BoxSentSchema,
    OrderSent: record<OrderSent>('OrderSent', { boxes: 'int', trackingId: 'string' }),
    OrderLost: record<OrderLost>('OrderLost', { code: 'string' }),
    OrderLate: record<Count>('OrderLate', { count: 'int' }),
    ShopOpened: record<Count>('ShopOpened', { count: 'int' }),
  },
} satisfies TopicRef

export const LATE_MS = 60_000

export const sendOrders = defineProcessor(
  {
    name: 'send-orders',
    reads: [from(orders, ['OrderPlaced', 'OrderNoted'])],
    writes: [to(deliveries, ['BoxSent', 'OrderSent', 'OrderLost', 'OrderLate'])],
    state: { count: CountSchema, box: BoxSentSchema },
    effects: {
      send: effect({
        input: ParcelSchema,
        outcome: ReceiptSchema,
        report: BoxSentSchema,
        reads: ['box'],
        attempts: 3,
        backoffMs: exponential(1_000, 60_000),
        concurrency: 2,
      }),
    },
    timers: ['late'],
    closedBy: [from(orders, ['OrderWithdrawn'])],
  },
  {
    on: {
      orders: {
        OrderPlaced: (ctx, { boxes }) => {
          if (boxes < 0) throw new RangeError('an order of less than nothing')
          ctx.state.count.put({ count: (ctx.state.count.get()?.count ?? 0) + 1 })
          ctx.perform.send({ boxes })
          ctx.schedule('late', ctx.now + LATE_MS)
        },
        OrderNoted: (ctx, { count }) => ctx.state.count.put({ count }),
      },
    },
    closing: { orders: { OrderWithdrawn: (ctx) => ctx.emit.OrderLost({ code: 'WITHDRAWN' }) } },
    reported: {
      send: (ctx, _parcel, n, box) => {
        ctx.state.box.put(box, String(n))
        ctx.emit.BoxSent(box)
      },
    },
    settled: {
      send: (ctx, { boxes }, outcome) => {
        ctx.unschedule('late')
        if (outcome.ok) ctx.emit.OrderSent({ boxes, trackingId: outcome.value.trackingId })
        else ctx.emit.OrderLost({ code: outcome.code })
      },
    },
    due: { late: (ctx) => ctx.emit.OrderLate({ count: ctx.state.count.get()?.count ?? 0 }) },
  },
)
