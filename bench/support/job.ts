import { z } from "zod"
import { defineEvent } from "../../src/bus/define-event.js"
import type { EventDraft } from "../../src/bus/event.js"

/** The job that every loop does: read an order, answer it with one confirmation. */
export const OrderData = z.object({
  n: z.number().int(),
  customer: z.string(),
  item: z.string(),
  quantity: z.number().int().min(1),
  price: z.number().min(0),
  paid: z.boolean(),
})
const ConfirmationData = z.object({ n: z.number().int(), customer: z.string(), total: z.number() })

export const Order = defineEvent("bench.order", OrderData, { key: (data) => data.customer })
export const Confirmation = defineEvent("bench.confirmation", ConfirmationData, { key: (data) => data.customer })

export type OrderData = z.infer<typeof OrderData>
export type ConfirmationData = z.infer<typeof ConfirmationData>

/** What is done for an order; the same few instructions in every loop. */
export function confirm(order: OrderData): ConfirmationData {
  return { n: order.n, customer: order.customer, total: Math.round(order.quantity * order.price * 100) / 100 }
}

/** The nth order, for one of `keys` customers. */
export function orderOf(n: number, keys: number): OrderData {
  return {
    n,
    customer: `customer-${n % keys}`,
    item: `item-${n % 37}`,
    quantity: 1 + (n % 5),
    price: 9.99,
    paid: n % 3 === 0,
  }
}

/** Drafts of orders. */
export function* orders(count: number, keys: number, time?: string): Generator<EventDraft> {
  for (let n = 0; n < count; n++) yield Order(orderOf(n, keys), time === undefined ? {} : { time })
}

/** What a session of the job knows: how many orders were confirmed, and for how much. */
export interface Totals {
  readonly count: number
  readonly total: number
}

/** The state of a session of the job: one entry an order. */
export const TOTALS = {
  initial: { count: 0, total: 0 } as Totals,
  evolve: {
    Confirmed: ({ count, total }: Totals, data: { readonly n: number; readonly total: number }): Totals => ({
      count: count + 1,
      total: Math.round((total + data.total) * 100) / 100,
    }),
  },
}
