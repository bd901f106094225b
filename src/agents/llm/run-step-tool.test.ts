import { expect, test } from "vitest"
import { z } from "zod"
import { defineEvent } from "../../bus/define-event.js"
import { MurmurError, TerminalError } from "../../errors.js"
import { scripted } from "../../gateways/scripted/scripted.js"
import { defineAgent } from "../define-agent.js"
import { GuardTripped } from "../guards/guard-tripped.js"
import { NondeterminismError } from "../journal/call-hash.js"
import { testAgent } from "../test-agent.js"
import type { StepTool } from "./step-tool.js"

const Asked = defineEvent("desk.asked", z.object({ n: z.number() }), { key: () => "k" })
const Told = defineEvent("desk.told", z.object({ text: z.string() }))
const TRIP = { guard: "events", root: "r", limit: 1, used: 2, agent: "desk", path: [] }

test.each<[string, Error, boolean]>([
  ["a task that failed for good", new TerminalError("out of paper", { code: "DELEGATE_FAILED" }), true],
  ["what does not fit", new MurmurError("no such event", { code: "EMIT_UNDECLARED" }), true],
  ["a budget that is used up", new GuardTripped("e", TRIP), false],
  ["a step that is not repeated", new NondeterminismError("other", { code: "NONDETERMINISM" }), false],
])("Of %s a model is told only where the step itself can go on", async (_, error, isTold) => {
  const tool: StepTool = {
    kind: "step",
    name: "try_it",
    description: "Tries it.",
    input: z.object({}),
    run: async () => {
      throw error
    },
  }
  const gateway = scripted({
    replies: [{ turns: [{ toolCalls: [{ name: "try_it" }] }, ({ lastTool }) => lastTool?.content ?? "nothing"] }],
  })
  const agent = defineAgent("desk", {
    on: [Asked],
    emits: [Told],
    model: "scripted/demo",
    retry: { attempts: 1 },
    async handle(event, ctx) {
      const { text } = await ctx.llm.text(`try ${event.data.n}`, { tools: [tool] })
      ctx.emit(Told({ text }))
    },
  })
  const { emitted, dead } = await testAgent(agent, { models: { gateways: [gateway] } }).when(Asked({ n: 1 }))
  if (isTold) expect(emitted).toMatchObject([{ data: { text: expect.stringContaining(error.message) } }])
  else expect([emitted, dead.length]).toEqual([[], 1])
})
