import { defineAgent } from "murmur"
import { OrderProposed, StockLow } from "./events.js"
import { readSales, readStock, readSupplier } from "./warehouse.js"

/**
 * Instructions in the place of a handler: the model is shown the event and decides which tools it calls. The event in
 * `emits` is one of them, `emit_order_proposed`; data that does not fit its schema is told to the model.
 */
export default defineAgent("buyer", {
  description: "Proposes what to order when there is little left of something",
  on: [StockLow],
  emits: [OrderProposed],
  tools: [readStock, readSales, readSupplier],
  instructions: `
You buy for a warehouse. There is little left of "{{ event.data.article }}".
Look up its stock and its sales at the same time, then its supplier.
Propose an order that, with what is on the shelf, lasts until four weeks after the delivery: whole packs, as few as suffice.
If the article is unknown, propose nothing.`,
})
