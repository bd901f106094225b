import { afterEach, beforeEach, expect, test } from "vitest"
import { z } from "zod"
import type { AgentDefinition } from "../src/agents/define-agent.js"
import { durableName } from "../src/agents/host.js"
import { defineTool } from "../src/agents/tools/define-tool.js"
import { removeDurable } from "../src/bus/consumers.js"
import type { MurmurNode } from "../src/node/node.js"
import { readAll } from "./support/checker.js"
import { Answered, Asked, type Asks, asker, numberOf, seeded } from "./support/llm/asker.js"
import { journalsOf, type Lab, startLab } from "./support/llm/lab.js"
import { take, until } from "./support/mesh.js"

const EVENTS = 12
/** What the handlers came to since the last run began. */
const outputs: string[] = []
let lab: Lab

const double = defineTool({
  name: "double",
  description: "Doubles",
  input: z.object({ n: z.number() }),
  effect: "read",
  run: ({ n }) => n * 2 + Math.random(), // is not asked twice
})
const Score = z.object({ score: z.number() })

const thinker = (question: string): AgentDefinition => {
  const thinks: Asks = async (n, ctx) => {
    const [first, { object }] = await Promise.all([
      ctx.llm.text(`${question} ${n}`, { tools: [double] }),
      ctx.llm.object(Score, `score ${n}`),
    ])
    const { vectors } = await ctx.llm.embed([first.text])
    const text = JSON.stringify([first.text, first.usage, object, vectors])
    outputs.push(`${n}: ${text}`)
    return text
  }
  return asker(thinks, { tools: [double], from: "start" })
}

/** Answers by chance: nobody would say the same twice. */
beforeEach(async () => {
  outputs.length = 0
  lab = await startLab([thinker("question")])
  const random = seeded(44)
  lab.server.reply((seen) => {
    if (seen.kind === "embed") return { vectors: [[random(), random()]] }
    if (seen.schema !== undefined) return { text: JSON.stringify({ score: random() }), delayMs: random() * 20 }
    const result = seen.messages.find(({ role }) => role === "tool")
    if (result === undefined) return { toolCalls: [{ name: "double", arguments: { n: numberOf(seen) } }] }
    return { text: `it is ${result.text}, ${random()}` }
  })
  for (let n = 0; n < EVENTS; n++) {
    await lab.bus.publish(Asked({ n }, { id: `asked-${n}` }), { producer: "cli" })
  }
  await take(lab.bus, Answered.type, EVENTS)
})
afterEach(() => lab?.stop())

/** All events come once more, to an agent that may be another one now. */
async function again(agent: AgentDefinition): Promise<MurmurNode> {
  await lab.mesh.node.stop(2_000)
  await removeDurable(lab.bus.link, lab.bus.names.events, durableName("asker", 1, 0))
  outputs.length = 0
  return lab.mesh.addNode({ agents: [agent], models: lab.models })
}

const stored = async (): Promise<string[]> => {
  const messages = await readAll(lab.bus, lab.bus.names.events, lab.bus.names.storedFilter(Answered.type))
  return messages.map(({ data }) => Buffer.from(data).toString())
}

test("steps that run again with the models away are given what they were given, and come to the same, byte for byte", async () => {
  const before = { outputs: outputs.toSorted(), stored: await stored(), calls: lab.server.calls.length }
  const journals = await journalsOf(lab.bus, "asker")
  await lab.server.close()
  const node = await again(thinker("question"))
  await until("all have run again", () => outputs.length === EVENTS)
  expect(outputs.toSorted()).toEqual(before.outputs)
  await node.stop(2_000) // what would be stored is by now
  expect(await stored()).toEqual(before.stored)
  expect(await journalsOf(lab.bus, "asker"), "nothing was answered anew").toEqual(journals)
  expect(lab.server.calls).toHaveLength(before.calls)
  expect(await lab.letters()).toEqual([])
})

test("steps that run again with another prompt are stopped, and told which call is not the same", async () => {
  const calls = lab.server.calls.length
  await again(thinker("riddle"))
  await until("all are given up", async () => (await lab.letters()).length === EVENTS)
  for (const { reason, error } of await lab.letters()) {
    expect({ reason, code: error.code }).toEqual({ reason: "terminal", code: "NONDETERMINISM" })
    expect(error.message).toMatch(/call \d+ was "llm" and is now "llm" with other input/)
  }
  expect(outputs).toEqual([])
  expect(lab.server.calls, "nobody is asked").toHaveLength(calls)
})
