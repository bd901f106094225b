import fc from "fast-check"
import { expect, test } from "vitest"
import type { CounterPort } from "../../bus/counters.js"
import { noTelemetry } from "../../telemetry/ports.js"
import { systemClock } from "../clock.js"
import { BudgetLimits } from "./limits.js"
import { MemoryCounters, MemoryRecords } from "./memory.js"
import { Spending } from "./spending.js"

/** One call: on which node, how much is reserved for it, how much of that it comes to, and how it ends. */
const call = fc.record({
  node: fc.nat({ max: 2 }),
  reserved: fc.integer({ min: 1, max: 60 }),
  part: fc.double({ min: 0, max: 1, noNaN: true }),
  end: fc.constantFrom("answered", "refused", "unknown", "crashed" as const),
})

test("what is spent and what is open never exceed the limit together, in any order of things", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.integer({ min: 0, max: 200 }),
      fc.array(call, { maxLength: 20 }),
      async (scheduler, limit, calls) => {
        const totals = new MemoryCounters()
        const counters: CounterPort = {
          total: (counter) => totals.total(counter),
          async add(counter, amount, id) {
            await scheduler.schedule(Promise.resolve(), "on the way")
            const total = await totals.add(counter, amount, id)
            await scheduler.schedule(Promise.resolve(), "on the way back")
            return total
          },
        }
        const limits = new BudgetLimits()
        limits.set("tokens", limit)
        let now = 0
        const delay = async (ms: number): Promise<void> => {
          await scheduler.schedule(Promise.resolve(), "a while")
          now += ms
        }
        const clock = { ...systemClock, now: () => now, delay }
        const ports = { counters, records: new MemoryRecords(), limits, telemetry: noTelemetry, clock }
        const nodes = [0, 1, 2].map(() => new Spending(ports))
        let open = 0
        let spent = 0
        let crashed = 0
        const run = async ({ node, reserved, part, end }: (typeof calls)[number]): Promise<void> => {
          const estimate = { model: "m", tokens: reserved, costMicroUsd: 0 }
          const reservation = await nodes[node]?.reserve({ root: "root", agent: "a" }, estimate)
          if (reservation === undefined || !("settle" in reservation)) return
          open += reserved
          expect(spent + open).toBeLessThanOrEqual(limit)
          await scheduler.schedule(Promise.resolve(), "the provider")
          if (end === "crashed") crashed += reserved
          if (end === "crashed") return
          const tokens = end === "answered" ? Math.floor(reserved * part) : end === "unknown" ? reserved : 0
          open -= reserved
          spent += tokens
          if (end === "answered") reservation.settle({ tokens, costMicroUsd: 0 })
          else reservation.settle(end === "unknown" ? "unknown" : "nothing")
        }
        const running = Promise.all(calls.map(run))
        await scheduler.waitFor(running)
        await scheduler.waitFor(Promise.all(nodes.map((node) => node.flush())))
        expect(await totals.total({ root: "root", kind: "tokens" })).toBe(spent + crashed)
      },
    ),
    { numRuns: 300 },
  )
})
