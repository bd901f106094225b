import { expect, test } from "vitest"
import { z } from "zod"
import { defineEvent } from "../../bus/define-event.js"
import { assistant, user } from "../../gateways/messages/constructors.js"
import { scripted } from "../../gateways/scripted/scripted.js"
import type { StepContext } from "../context.js"
import { defineAgent } from "../define-agent.js"
import { testAgent } from "../test-agent.js"

const Asked = defineEvent("desk.asked", z.object({ text: z.string() }), { key: () => "k" })

const model = () => scripted({ replies: [{ reply: "a parcel is missing" }] })

const desk = (handle: (text: string, ctx: StepContext) => Promise<unknown>) =>
  defineAgent("desk", {
    on: [Asked],
    model: "scripted/demo",
    async handle(event, ctx) {
      await handle(event.data.text, ctx)
    },
  })

test("A summary of messages is written by the model, once, and goes with what the code has chosen", async () => {
  const gateway = model()
  const messages = [user("Where is my parcel 4711?"), assistant("On its way.")]
  const agent = desk((n, ctx) => ctx.delegate("helper", { n }, { context: { text: "urgent", summary: messages } }))
  const bench = testAgent(agent, { replay: "always", models: { gateways: [gateway] } })
  const { delegated } = await bench.when(Asked({ text: "x" }))
  expect(delegated).toMatchObject([{ agent: "helper", context: { text: "urgent", summary: "a parcel is missing" } }])
  expect(gateway.requests).toHaveLength(1)
  expect(JSON.stringify(gateway.requests[0])).toContain("4711")
  await bench.whenReplied("done")
  expect(gateway.requests).toHaveLength(1)
})

test("Where nothing was said there is nothing to sum up", async () => {
  const gateway = model()
  const agent = desk((n, ctx) => ctx.gather([{ agent: "helper", input: { n }, context: { summary: true } }]))
  const { delegated } = await testAgent(agent, { models: { gateways: [gateway] } }).when(Asked({ text: "x" }))
  expect(delegated).toMatchObject([{ agent: "helper", context: { summary: "" } }])
  expect(gateway.requests).toEqual([])
})

test("Without a model a summary cannot be written", async () => {
  const agent = desk((n, ctx) => ctx.delegate("helper", { n }, { context: { summary: [user("hello")] } }))
  const { dead } = await testAgent(agent).when(Asked({ text: "x" }))
  expect(dead).toMatchObject([{ error: { code: expect.stringMatching(/^LLM_/) } }])
})
