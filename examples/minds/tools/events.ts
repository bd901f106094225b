import { defineEvent } from "murmur"
import { z } from "zod"

export const StockLow = defineEvent("stock.low", z.object({ article: z.string() }), {
  key: (stock) => stock.article,
  description: "There is little left of an article",
})

export const OrderProposed = defineEvent(
  "order.proposed",
  z.object({
    article: z.string(),
    pieces: z.int().positive().describe("A multiple of the supplier's pack"),
    supplier: z.string(),
    because: z.string().describe("How it was calculated, in one sentence"),
  }),
  { key: (order) => order.article, description: "What should be ordered" },
)
