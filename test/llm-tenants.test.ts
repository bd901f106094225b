import { afterEach, expect, test } from "vitest"
import { z } from "zod"
import { defineAgent } from "../src/agents/define-agent.js"
import { defineTool } from "../src/agents/tools/define-tool.js"
import { defineEvent } from "../src/bus/define-event.js"
import { readAll } from "./support/checker.js"
import { type Lab, startLab } from "./support/llm/lab.js"
import { take, until } from "./support/mesh.js"

let lab: Lab
afterEach(() => lab?.stop())

const TENANTS = ["ann", "bob", "cyd"]
const ROUNDS = 8
const canary = (tenant: string, round: number): string => `canary-${tenant}-${round}`

const Said = defineEvent("tenant.said", z.object({ tenant: z.string(), text: z.string() }), { key: (d) => d.tenant })
const Heard = defineEvent("tenant.heard", z.object({ text: z.string() }))
const lookUp = defineTool({
  name: "lookUp",
  description: "Looks the customer up",
  input: z.object({ words: z.string() }),
  effect: "read",
  run: ({ words }, ctx) => ({ file: `the file of ${ctx.key} on ${words}` }),
})
const listener = defineAgent("listener", {
  on: [Said],
  emits: [Heard],
  tools: [lookUp],
  partitions: 8,
  instructions: "Listen to {{ key }}. It is time {{ memory.events }}.",
  history: { tokens: 8_192, keepTurns: 2 },
})

/** Whose words a text has in it. */
const tenantsIn = (text: string): string[] => TENANTS.filter((tenant) => text.includes(`canary-${tenant}-`))

test("what a model knows of one key is never in what it is asked for another: prompts, notes, tools, journals, sessions", async () => {
  lab = await startLab([listener], { cacheMs: 60_000 })
  const notes: string[] = []
  lab.server.reply((seen) => {
    const text = [seen.system, ...seen.messages.map((message) => message.text)].join("\n")
    if (text.includes("You keep the notes of")) {
      const noted = `notes with ${[...new Set(text.match(/canary-\w+-\d+/g))].join(" ")}`
      notes.push(noted)
      return { text: noted }
    }
    const words = text.match(/canary-\w+-\d+/g)?.at(-1) ?? "nothing"
    const last = seen.messages.at(-1)
    if (last?.role !== "tool") return { toolCalls: [{ name: "lookUp", arguments: { words } }], delayMs: 5 }
    if (seen.messages.at(-2)?.toolCalls[0]?.name !== "lookUp") return { text: `I remember ${words} `.repeat(10) }
    return { toolCalls: [{ name: "emit_tenant_heard", arguments: { text: words } }] }
  })
  const say = (tenant: string, round: number) =>
    lab.bus.publish(Said({ tenant, text: `my secret is ${canary(tenant, round)} ${"and so on ".repeat(200)}` }), {
      producer: "cli",
    })
  for (let round = 0; round < ROUNDS / 2; round++) for (const tenant of TENANTS) await say(tenant, round)
  await take(lab.bus, Heard.type, (ROUNDS / 2) * TENANTS.length, 30_000)
  await lab.mesh.node.stop(2_000) // sessions are read again from their logs
  await lab.mesh.addNode({ agents: [listener], models: lab.models })
  for (let round = ROUNDS / 2; round < ROUNDS; round++) for (const tenant of TENANTS) await say(tenant, round)
  await take(lab.bus, Heard.type, ROUNDS * TENANTS.length, 30_000)
  await until("notes were made", () => notes.some((noted) => tenantsIn(noted).length > 0))

  const requests = lab.server.calls.map(({ body }) => tenantsIn(JSON.stringify(body)))
  expect(requests.filter((tenants) => tenants.length > 1)).toEqual([])
  const remembering = lab.server.calls.filter(({ body }) => {
    const rounds = new Set(JSON.stringify(body).match(/canary-\w+-\d+/g))
    return rounds.size > 1
  })
  expect(remembering.length, "it does remember").toBeGreaterThan(TENANTS.length)
  for (const stream of [lab.bus.names.sessionsOf("any"), lab.bus.names.stepsOf("any"), lab.bus.names.events]) {
    const stored = (await readAll(lab.bus, stream, ">")).map(({ data }) => tenantsIn(Buffer.from(data).toString()))
    expect(
      stored.filter((tenants) => tenants.length > 1),
      stream,
    ).toEqual([])
    expect(stored.flat().length, stream).toBeGreaterThan(0)
  }
  expect(await lab.letters()).toEqual([])
}, 60_000)
