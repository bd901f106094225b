import { map, type Observable } from "rxjs"
import { describe, expect, test } from "vitest"
import { z } from "zod"
import { defineEvent } from "../bus/define-event.js"
import type { MurmurEvent } from "../bus/event.js"
import { RetryableError, TerminalError } from "../errors.js"
import { defineAgent, route } from "./define-agent.js"
import { testAgent } from "./test-agent.js"
import { tumbling } from "./windows/operators.js"

const Order = defineEvent("shop.order", z.object({ n: z.number(), shop: z.string() }), { key: (d) => d.shop })
const Seen = defineEvent("shop.seen", z.object({ n: z.number() }))
const order = (n: number, shop = "a") => Order({ n, shop })

describe("a handler", () => {
  test("is given what concerns it, and what it emits carries the cause", async () => {
    const agent = defineAgent("clerk", {
      on: [Order.where(({ data }) => data.n > 1)],
      emits: [Seen],
      handle: (event, ctx) => ctx.emit(Seen({ n: event.data.n }, { key: event.key ?? "" })),
    })
    const { emitted, skipped, dead, attempts } = await testAgent(agent).when(order(1), order(2), {
      type: "other",
      data: 1,
    })
    expect(emitted).toMatchObject([{ type: "shop.seen", key: "a", data: { n: 2 }, producer: "clerk", hops: 1 }])
    expect(skipped.map(({ type }) => type)).toEqual(["shop.order", "other"])
    expect([dead, attempts]).toEqual([[], 1])
  })

  test("that is fed what it emits is stopped as a loop, with the path drawn", async () => {
    const agent = defineAgent("juggler", {
      on: [Seen],
      emits: [Seen],
      handle: (event, ctx) => ctx.emit(Seen({ n: event.data.n + 1 })),
    })
    const bench = testAgent(agent)
    let result = await bench.when(Seen({ n: 0 }))
    while (result.emitted.length > 0) result = await bench.when(...result.emitted)
    expect(result.dead).toMatchObject([
      {
        event: { data: { n: 9 }, hops: 9 },
        reason: "loop",
        error: { code: "CYCLE", message: expect.stringContaining("(juggler -> juggler -> ") },
      },
    ])
  })

  test("that emits more than the budget of its root has room for emits nothing", async () => {
    const agent = defineAgent("fan", {
      on: [Order],
      emits: [Seen],
      handle(event, ctx) {
        for (let n = 0; n < event.data.n; n++) ctx.emit(Seen({ n }))
      },
    })
    const { emitted, dead, attempts } = await testAgent(agent).when(order(1_001), order(1_000))
    expect(emitted).toHaveLength(1_000)
    expect(dead).toMatchObject([{ event: { data: { n: 1_001 } }, reason: "budget", error: { code: "BUDGET_EVENTS" } }])
    expect(attempts).toBe(2)
  })

  test("is tried again without waiting, as often and for what the mesh would", async () => {
    const tries = new Map<number, number>()
    const agent = defineAgent("clerk", {
      on: [Order],
      emits: [Seen],
      retry: { attempts: 3, backoffMs: 100_000 },
      handle(event, ctx) {
        const { n } = event.data
        tries.set(n, ctx.attempt)
        if (n === 1 && ctx.attempt < 3) throw new RetryableError("soon", { code: "SOON", retryAfterMs: 100_000 })
        if (n === 2) throw new TerminalError("never", { code: "NEVER" })
        if (n === 3) throw new Error("always")
        ctx.emit(Seen({ n }))
      },
    })
    const { emitted, dead, attempts } = await testAgent(agent).when(order(1), order(2), order(3))
    expect(emitted.map(({ data }) => data)).toEqual([{ n: 1 }])
    expect(dead.map(({ event, reason, error }) => [(event.data as { n: number }).n, reason, error.message])).toEqual([
      [2, "terminal", "never"],
      [3, "failed", "always"],
    ])
    expect([...tries]).toEqual([
      [1, 3],
      [2, 1],
      [3, 3],
    ])
    expect(attempts).toBe(7)
  })

  test("never sees what does not fit its schema, and may not emit what it did not declare", async () => {
    const agent = defineAgent("clerk", {
      on: [Order],
      emits: [Seen],
      handle: (event, ctx) => ctx.emit(event.data.n === 1 ? order(2) : Seen({ n: "x" as never })),
    })
    const { emitted, dead } = await testAgent(agent).when(order(1), order(2), order("three" as never))
    expect(emitted).toEqual([])
    expect(dead.map(({ reason, error }) => [reason, (error as { code?: string }).code])).toEqual([
      ["terminal", "EMIT_UNDECLARED"],
      ["terminal", "EVENT_DATA"],
      ["schema", "EVENT_DATA"],
    ])
  })

  test("emits nothing of an attempt that fails", async () => {
    const agent = defineAgent("clerk", {
      on: [Order],
      emits: [Seen],
      retry: { attempts: 2 },
      handle(event, ctx) {
        ctx.emit(Seen({ n: event.data.n }))
        if (ctx.attempt === 1) throw new Error("after the first emit")
      },
    })
    const { emitted } = await testAgent(agent).when(order(1))
    expect(emitted.map(({ data }) => data)).toEqual([{ n: 1 }])
  })

  test("what was given before is no part of the result, and is given once", async () => {
    let handled = 0
    const agent = defineAgent("clerk", {
      on: [route(Order, { filter: { exact: { subject: "a" } } })],
      emits: [Seen],
      handle(_, ctx) {
        handled += 1
        ctx.emit(Seen({ n: handled }))
      },
    })
    const bench = testAgent(agent).given(order(1), order(2, "b"))
    expect((await bench.when(order(3))).emitted.map(({ data }) => data)).toEqual([{ n: 2 }])
    expect((await bench.when(order(4))).emitted.map(({ data }) => data)).toEqual([{ n: 3 }])
  })
})

describe("a pipeline", () => {
  const at = (second: number, n: number, shop = "a") =>
    Order({ n, shop }, { time: new Date(Date.UTC(2026, 0, 1) + second * 1_000) })
  type Orders = Observable<MurmurEvent<{ n: number; shop: string }>>
  const sums = defineAgent("sums", {
    on: [Order],
    emits: [Seen],
    react: (orders: Orders) =>
      orders.pipe(
        map((event) => {
          if (event.data.n === 13) throw new Error("unlucky")
          return event
        }),
        tumbling(10_000),
        map(({ events }) => Seen({ n: events.reduce((sum, { data }) => sum + data.n, 0) })),
      ),
  })

  test("has its windows closed by events of its key, and the rest when everything goes quiet", async () => {
    const drafts = [at(1, 1), at(2, 2), at(3, 10, "b"), at(12, 4)]
    expect((await testAgent(sums).when(...drafts)).emitted.map(({ data }) => data)).toEqual([{ n: 3 }])
    const quiet = await testAgent(sums).whenQuiet(...drafts)
    expect(quiet.emitted.map(({ data }) => (data as { n: number }).n).sort()).toEqual([10, 3, 4])
  })

  test("that breaks over an event loses that event and nothing else", async () => {
    const { emitted, dead } = await testAgent(sums).when(at(1, 1), at(2, 13), at(3, 2), at(12, 4))
    expect(dead).toMatchObject([{ reason: "failed", event: { data: { n: 13 } } }])
    expect(emitted.map(({ data }) => data)).toEqual([{ n: 3 }])
  })

  test("that breaks when it is made sends its events to the dead letters", async () => {
    const broken = defineAgent("broken", {
      on: [Order],
      react: () => {
        throw new Error("no pipeline")
      },
    } as never)
    const { dead } = await testAgent(broken).when(order(1))
    expect(dead).toMatchObject([{ reason: "failed", error: { message: "no pipeline" } }])
  })
})
