import { setTimeout as delay } from "node:timers/promises"
import { z } from "zod"
import { defineAgent } from "../../agents/define-agent.js"
import { defineEvent } from "../../bus/define-event.js"
import { BILL_VARIABLE, bill } from "./bill.js"
import { type Answer, DEMO, type Question } from "./demo.js"

/*
 * The agent of `murmur chaos`: it has state, and pays for two calls in each step. `murmur up` loads this file in
 * processes of its own, which are killed while it works.
 */

const Asked = defineEvent<Question>(DEMO.asked, z.object({ customer: z.string(), n: z.number() }), {
  key: ({ customer }) => customer,
})
const Answered = defineEvent<Answer>(DEMO.answered, z.object({ n: z.number(), count: z.number(), text: z.string() }))

const billFile = process.env[BILL_VARIABLE] ?? ""
const WATCH_MS = 250
/** Others may have taken over by then. */
const STOOD_MS = 1_500

if (billFile !== "") watchProcess()

/**
 * Whoever started this process may be killed too: nothing of the demonstration is to outlive it. And when this process
 * stood still, that is noted: it could not know what others did meanwhile.
 */
function watchProcess(): void {
  const parent = process.ppid
  let last = Date.now()
  setInterval(() => {
    if (process.ppid !== parent) process.exit(1)
    const forMs = Date.now() - last
    if (forMs > STOOD_MS) bill(billFile, { what: "stood", forMs })
    last = Date.now()
  }, WATCH_MS).unref()
}

/** A model that costs money, as far as this demonstration is concerned: a line on the bill, and some time. */
async function askModel(event: string, call: string, n: number): Promise<string> {
  bill(billFile, { what: "called", event, call })
  await delay(20 + ((n * 7) % 40))
  return `${call} ${n}`
}

/** The demonstration's agent. */
export const clerk = defineAgent(DEMO.agent, {
  on: [Asked],
  emits: [Answered],
  from: "start",
  partitions: 8,
  description: "Answers questions with two paid calls each, and counts them for each customer",
  state: {
    initial: 0,
    evolve: { Answered: (count: number, _data: { n: number }) => count + 1 },
    snapshotEvery: 10,
  },
  async handle(event, ctx) {
    const { customer, n } = event.data
    bill(billFile, { what: "began", event: event.id })
    let text = ""
    for (const call of DEMO.calls) text = await ctx.run(call, () => askModel(event.id, call, n))
    ctx.record("Answered", { n })
    ctx.emit(Answered({ n, count: ctx.state, text }, { key: customer }))
  },
})
