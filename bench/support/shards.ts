import { setTimeout as delay } from "node:timers/promises"
import { type AgentDefinition, defineAgent } from "../../src/agents/define-agent.js"
import { defineEvent } from "../../src/bus/define-event.js"
import { Confirmation, confirm, OrderData, TOTALS } from "./job.js"

/** What the agents of the scale-out do with an order: answer it, commit as well, or wait a while before. */
export const WORKS = ["stateless", "stateful", "waiting"] as const
export type Work = (typeof WORKS)[number]

export const PARTITIONS = 8
/** How long an order waits in the agent `waiting`, as for an answer from elsewhere, and how many wait at a time in a node. */
export const WAIT_MS = 2
export const WAIT_CONCURRENCY = 4

const defineOrder = (work: Work) => defineEvent(`bench.${work}.order`, OrderData, { key: (data) => data.customer })

/** The orders of each agent. */
export const ORDERS = {
  stateless: defineOrder("stateless"),
  stateful: defineOrder("stateful"),
  waiting: defineOrder("waiting"),
}

/** An agent of eight partitions for each kind of work. */
export function shardAgents(onEvent: () => void): AgentDefinition[] {
  const shared = { emits: [Confirmation], from: "start", partitions: PARTITIONS } as const
  return [
    defineAgent("stateless", {
      ...shared,
      on: [ORDERS.stateless],
      handle(event, ctx) {
        onEvent()
        ctx.emit(Confirmation(confirm(event.data)))
      },
    }),
    defineAgent("stateful", {
      ...shared,
      on: [ORDERS.stateful],
      state: TOTALS,
      handle(event, ctx) {
        onEvent()
        const { n, customer, total } = confirm(event.data)
        ctx.record("Confirmed", { n, total })
        ctx.emit(Confirmation({ n, customer, total }))
      },
    }),
    defineAgent("waiting", {
      ...shared,
      on: [ORDERS.waiting],
      concurrency: WAIT_CONCURRENCY,
      async handle(event, ctx) {
        onEvent()
        await delay(WAIT_MS)
        ctx.emit(Confirmation(confirm(event.data)))
      },
    }),
  ]
}
