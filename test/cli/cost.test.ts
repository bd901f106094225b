import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { z } from "zod"
import { defineAgent } from "../../src/agents/define-agent.js"
import { defineEvent } from "../../src/bus/define-event.js"
import { scripted } from "../../src/gateways/scripted/scripted.js"
import { buildCli, jsonOf } from "./support/cli.js"
import { startMesh, type TestMesh } from "./support/mesh.js"

const Asked = defineEvent("question.asked", z.object({ text: z.string() }), { key: (d) => d.text })
const Answered = defineEvent("question.answered", z.object({ text: z.string() }))

const thinker = defineAgent("thinker", {
  on: [Asked],
  emits: [Answered],
  async handle(event, ctx) {
    const { text } = await ctx.llm.text(event.data.text, { model: "scripted/dear", maxTokens: 100 })
    ctx.emit(Answered({ text }))
  },
})
const idle = defineAgent("idle", { on: [Answered], handle: () => {} })

/** 150 tokens, and 0.20 dollars a call. */
const usage = { inputTokens: 100, outputTokens: 50 }
const models = {
  gateways: [scripted({ replies: [{ reply: { text: "42", usage } }] })],
  models: { "scripted/dear": { price: { inputUsd: 1_000, outputUsd: 2_000 } } },
}

let mesh: TestMesh
beforeAll(async () => {
  await buildCli()
  mesh = await startMesh([thinker, idle], models)
}, 120_000)
afterAll(() => mesh?.stop())

const ask = async (text: string): Promise<string> => (await mesh.bus.publish(Asked({ text }), { producer: "test" })).id
const eventually = (look: () => Promise<void>) => vi.waitFor(look, { timeout: 15_000, interval: 200 })
interface Letter {
  event: string
  id: string
  reason: string
  error: { code: string; message: string }
}
const letters = async () => jsonOf<Letter[]>(await mesh.murmur("dead", "ls", "--json", "--agent", "thinker"))

test("What models cost is in the list of agents, of today and in all, and at each reaction of a trace", async () => {
  const id = await ask("first")
  await eventually(async () => {
    const [idling, thinking] = jsonOf<object[]>(await mesh.murmur("agents", "--json"))
    expect(thinking).toMatchObject({ name: "thinker", tokens: 150, costUsd: 0.2, tokensToday: 150, costUsdToday: 0.2 })
    expect(idling).toMatchObject({ name: "idle", tokens: 0, costUsd: 0 })
  })
  expect((await mesh.murmur("agents")).stdout).toMatch(/^thinker\t.*\t150\t\$0\.20\t\$0\.20\t-$/m)
  expect((await mesh.murmur("agents", "thinker")).stdout).toMatch(/models +150 tokens, \$0\.20/)
  await eventually(async () => {
    const tree = jsonOf<{ effects: { type: string }[] }>(await mesh.murmur("trace", id, "--json"))
    expect(tree).toMatchObject({ reactions: [{ agent: "thinker", usage, costUsd: 0.2 }], tokens: 150, costUsd: 0.2 })
    expect(tree.effects.map(({ type }) => type)).toEqual(["question.answered"])
  })
  const { stdout } = await mesh.murmur("trace", id)
  expect(stdout).toMatch(
    /\n├─ thinker: 150 tokens, \$0\.20\n└─ question\.answered .*\n2 events, .*, 150 tokens, \$0\.20/,
  )
})

test("A tree that may not spend more is parked with what it would use, and goes on with what it is granted", async () => {
  await mesh.murmur("guard", "limits", "--usd", "0.10")
  const root = await ask("second")
  await eventually(async () => expect(await letters()).toMatchObject([{ reason: "budget" }]))
  const [letter] = await letters()
  expect(letter).toMatchObject({ error: { code: "BUDGET_USD", message: expect.stringContaining("may use $0.10") } })
  expect((await mesh.murmur("guard", "ls")).stdout).toMatch(
    new RegExp(`${root}\t.*\tusd budget \\$0\\.2\\d* of \\$0\\.10\t1`),
  )
  const resumed = await mesh.murmur("guard", "resume", root, "--usd", "0.25")
  expect(resumed).toMatchObject({ code: 0, stdout: "granted $0.25 more; 1 event sent back\n" })
  await eventually(async () => {
    expect(jsonOf(await mesh.murmur("trace", root, "--json"))).toMatchObject({ costUsd: 0.2, deadLetters: [] })
  })
  await mesh.murmur("guard", "limits", "--default")
})

test("What a day's budget of one agent has stopped goes on when that is raised, and needs no grant", async () => {
  const limited = await mesh.murmur("guard", "limits", "--agent", "thinker", "--agent-day-usd", "0.3", "--json")
  expect(jsonOf(limited)).toMatchObject({ agentDayUsd: null, agents: { thinker: { agentDayUsd: 0.3 } } })
  const root = await ask("third")
  await eventually(async () => expect(await letters()).toHaveLength(1))
  expect((await letters())[0]?.error.message).toMatch(/"thinker" in \d{4}-\d\d-\d\d may use \$0\.30/)
  const still = await mesh.murmur("guard", "resume", root)
  expect(still).toMatchObject({ code: 0, stdout: "1 event sent back\n", stderr: "" })
  await eventually(async () => expect(await letters()).toHaveLength(1))
  await mesh.murmur("guard", "limits", "--default")
  await mesh.murmur("guard", "resume", root)
  await eventually(async () =>
    expect(jsonOf(await mesh.murmur("trace", root, "--json"))).toMatchObject({ tokens: 150 }),
  )
  expect(await letters()).toEqual([])
})

test("Limits that are none are wrong usage", async () => {
  const wrong = [
    ["--usd", "-1"],
    ["--usd", "0.0000001"],
    ["--tokens", "many"],
    ["--agent", "thinker", "--usd", "5"],
    ["--agent", "no name", "--agent-day-usd", "5"],
  ]
  for (const args of wrong) expect((await mesh.murmur("guard", "limits", ...args)).code).toBe(2)
  expect((await mesh.murmur("guard", "resume", "some-root", "--usd", "0")).code).toBe(2)
  expect(jsonOf(await mesh.murmur("guard", "limits", "--usd", "none", "--json"))).toMatchObject({ usd: null })
})
