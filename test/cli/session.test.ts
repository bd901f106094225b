import { afterAll, beforeAll, expect, test } from "vitest"
import { z } from "zod"
import { defineAgent } from "../../src/agents/define-agent.js"
import { defineEvent } from "../../src/bus/define-event.js"
import { startMesh, type TestMesh, take } from "../support/mesh.js"
import { buildCli, errorOf, jsonOf, murmur } from "./support/cli.js"

const Added = defineEvent("cart.added", z.object({ item: z.string(), n: z.number() }))
const Counted = defineEvent("cart.counted", z.object({ n: z.number() }))

interface Cart {
  readonly items: Readonly<Record<string, number>>
  readonly owner: string
}

const cart = defineAgent("cart", {
  on: [Added],
  emits: [Counted],
  from: "start",
  state: {
    initial: { items: {}, owner: "nobody" } as Cart,
    evolve: {
      Put: (state: Cart, data: { item: string; n: number }) => ({
        ...state,
        items: { ...state.items, [data.item]: (state.items[data.item] ?? 0) + data.n },
      }),
    },
    snapshotEvery: 4,
  },
  handle(event, ctx) {
    ctx.record("Put", event.data)
    ctx.emit(Counted({ n: Object.keys(ctx.state.items).length }, { key: event.key ?? "" }))
  },
})

interface View {
  agent: string
  key: string
  seq: number
  state: unknown
  commits: { seq: number; cause: { id: string }; entries: unknown[]; outputs: { type: string }[] }[]
}

let mesh: TestMesh
let all: View
const run = (...args: string[]) => murmur(["session", ...args, "--mesh", "test", "--nats", mesh.server.url])
beforeAll(async () => {
  await buildCli()
  mesh = await startMesh({ agents: [cart] })
  const items = ["tea", "milk", "tea", "bread", "milk", "salt"]
  for (const [n, item] of items.entries()) {
    await mesh.bus.publish(Added({ item, n: 1 }, { key: "ada", id: `put-${n}` }), { producer: "cli" })
  }
  await take(mesh.bus, "cart.counted", items.length)
  all = jsonOf<View>(await run("cart", "ada", "--json"))
}, 120_000)
afterAll(() => mesh?.stop())

test("A session shows its state and every commit with its cause, entries and outputs", () => {
  expect(all).toMatchObject({
    agent: "cart",
    key: "ada",
    state: { items: { tea: 2, milk: 2, bread: 1, salt: 1 }, owner: "nobody" },
  })
  expect(all.commits.map(({ cause }) => cause.id)).toEqual([0, 1, 2, 3, 4, 5].map((n) => `put-${n}`))
  expect(all.commits[3]).toMatchObject({
    entries: [{ name: "Put", data: { item: "bread", n: 1 } }],
    outputs: [{ type: "cart.counted" }],
  })
  expect(all.seq).toBe(all.commits.at(-1)?.seq)
})

test("--at shows what was known then, by sequence and by time", async () => {
  const third = all.commits[2]?.seq ?? 0
  const then = jsonOf<View>(await run("cart", "ada", "--at", String(third), "--json"))
  expect(then).toMatchObject({ seq: third, state: { items: { tea: 2, milk: 1 }, owner: "nobody" } })
  expect(then.commits).toHaveLength(3)
  const before = jsonOf<View>(await run("cart", "ada", "--at", "2h", "--json"))
  expect(before).toMatchObject({ seq: 0, state: null, commits: [] })
})

test("--diff shows what changed between two points", async () => {
  const range = `${all.commits[1]?.seq}..${all.commits[3]?.seq}`
  const diff = jsonOf<{ changes: unknown; commits: unknown[] }>(await run("cart", "ada", "--diff", range, "--json"))
  expect(diff.changes).toEqual([
    [["items", "tea"], 2],
    [["items", "bread"], 1],
  ])
  expect(diff.commits).toHaveLength(2)
  const { stdout } = await run("cart", "ada", "--diff", range)
  expect(stdout).toContain("items.bread  1")
})

test("A session that was never written is an error, and so are bad points", async () => {
  const missing = await run("cart", "nobody", "--json")
  expect(missing.code).toBe(1)
  expect(errorOf(missing).code).toBe("SESSION_NOT_FOUND")
  expect((await run("cart", "ada", "--at", "soon")).code).toBe(2)
  expect((await run("cart", "ada", "--diff", "7")).code).toBe(2)
  expect((await run("cart", "ada", "--at", "7", "--diff", "1..2")).code).toBe(2)
})

test("What models have cost in a step stands at its commit", async () => {
  const { bus } = mesh
  const usage = { inputTokens: 1_000, outputTokens: 200, costMicroUsd: 450 }
  const record = {
    ...{ kind: "commit", cause: { id: "thought", type: "cart.added", seq: 0 }, entries: [], changes: [], outputs: [] },
    ...{ usage, attempt: 1, code: "c", stateVersion: 0, snapshot: 0, at: "2026-11-21T12:00:00.000Z" },
  }
  await bus.publisher.append(bus.names.sessionSubject("cart", "paid"), Buffer.from(JSON.stringify(record)), 0)
  expect(jsonOf(await run("cart", "paid", "--json"))).toMatchObject({ commits: [{ cause: { id: "thought" }, usage }] })
  expect((await run("cart", "paid")).stdout).toContain("\n    1200 tokens, $0.000450\n")
})
