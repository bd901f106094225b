import { expect, test } from "vitest"
import { z } from "zod"
import { defineEvent } from "../../bus/define-event.js"
import type { MurmurEvent } from "../../bus/event.js"
import type { StepContext } from "../context.js"
import { type AgentDefinition, defineAgent } from "../define-agent.js"
import { llmDefaults } from "../llm/step-llm.js"
import type { StepTool } from "../llm/step-tool.js"
import { TestGateway } from "../llm/test-gateway.js"
import { deployedMind } from "../minds/mindful-context.js"
import { testAgent } from "../test-agent.js"
import { defineTool } from "../tools/define-tool.js"
import { type HoldableContext, hostContext } from "./host-context.js"
import { HostedRun } from "./hosted-run.js"
import type { HostMessage } from "./wire.js"
import { serve } from "./worker/serve.js"
import type { WorkerLink } from "./worker-process.js"

/** A worker without a process. */
async function workerOf(agent: AgentDefinition): Promise<WorkerLink> {
  let hear: (message: HostMessage) => void = () => {}
  const worker: WorkerLink = {
    listener: undefined,
    post: (message) => setImmediate(() => hear(structuredClone(message))),
  }
  const ready = new Promise<void>((resolve) => {
    worker.listener = { onMessage: ({ kind }) => kind === "ready" && resolve(), onDeath: () => {} }
  })
  const send = (message: Parameters<NonNullable<WorkerLink["listener"]>["onMessage"]>[0]): void => {
    setImmediate(() => worker.listener?.onMessage(structuredClone(message)))
  }
  serve({ send, listen: (listener: typeof hear) => (hear = listener) } as never, {
    load: async () => agent,
    guard: () => {},
  })
  const { name } = agent
  worker.post({ kind: "load", agent: name, file: "", fingerprint: "", memoryMbMax: 64, nodePid: 0 })
  await ready
  return worker
}

/** Runs a handler in a worker. */
async function hosted(agent: AgentDefinition, event: MurmurEvent, ctx: HoldableContext): Promise<void> {
  const { minds } = ctx.core.ports
  const { key, attempt, previousAttempt } = ctx
  const more = { state: undefined, llm: llmDefaults(agent, minds), mind: deployedMind(agent, minds) }
  const worker = await workerOf(agent)
  const run = new HostedRun(worker, hostContext(ctx, agent.tools), () => {})
  return run.handle(event, { key, attempt, previousAttempt, now: ctx.now().getTime(), ...more })
}

const Asked = defineEvent("q.asked", z.object({ text: z.string() }), { key: () => "k" })
const Said = defineEvent("a.said", z.object({ value: z.unknown() }))
const helper = defineAgent("helper", { on: [], input: z.object({ n: z.number() }), handle: () => {} })

test.each([
  [false, true],
  [true, false],
])("A step that waits goes on where its agent is hosted then: in a worker %s, then %s", async (first, then) => {
  const made: string[] = []
  const look = defineTool({
    name: "look",
    description: "Looks",
    input: z.object({}),
    effect: "read",
    run: async () => made.push("look"),
  })
  const help: StepTool = {
    kind: "step",
    name: "help",
    description: "Has it done",
    input: z.object({}),
    run: (_, ctx) => ctx.delegate(helper, { n: 1 }),
  }
  const gateway = new TestGateway(({ messages }) => {
    const told = messages.filter(({ role }) => role === "tool").map(({ content }) => String(content))
    return told.length === 0 ? { calls: [{ name: "look" }, { name: "help" }, { name: "look" }] } : { text: told.join() }
  })
  const handle = async (ctx: StepContext): Promise<void> => {
    const tried = await ctx.outcome("failing", async (own) => {
      await own.run("inside", () => made.push("inside"))
      throw new Error("no")
    })
    const branch = ctx.branch()
    const [text, own] = await Promise.all([
      ctx.llm.text("go", { tools: [look, help] }),
      branch.run("beside", () => made.push("beside")),
    ])
    branch.end()
    const replied = await ctx.delegate(helper, { n: 2 })
    ctx.emit(Said({ value: [tried.ok, text.text, own, replied] }))
  }
  const given = { on: [Asked], emits: [Said], tools: [look], model: "test/m" }
  const inner = defineAgent("thinker", { ...given, handle: (_event, ctx) => handle(ctx) })
  let inWorker = first
  const outer = defineAgent("thinker", {
    ...given,
    handle: (event, ctx) => (inWorker ? hosted(inner, event, ctx as unknown as HoldableContext) : handle(ctx)),
  })
  const bench = testAgent(outer, { models: { gateways: [gateway] } })
  expect((await bench.when(Asked({ text: "x" }))).waiting).toEqual(["helper"])
  inWorker = then
  expect((await bench.whenReplied("one")).waiting).toEqual(["helper"])
  inWorker = first
  const { emitted, dead } = await bench.whenReplied("two")
  expect(dead).toEqual([])
  expect(emitted.map(({ data }) => data)).toEqual([{ value: [false, expect.stringContaining("one"), 2, "two"] }])
  expect([made.toSorted(), gateway.asked.length]).toEqual([["beside", "inside", "look", "look"], 2])
})
