import { describe, expect, test } from "vitest"
import type { ToolSpec } from "../../src/gateways/completion.js"
import { assistant, toolResult, user } from "../../src/gateways/messages/constructors.js"
import type { ToolCall } from "../../src/gateways/messages/message.js"
import { complete } from "./suite-ask.js"
import type { Suite } from "./suite-seam.js"

export const weather: ToolSpec = {
  name: "weather",
  description: "The weather of a city",
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
}
const time: ToolSpec = { name: "time", description: "The time of day", parameters: { type: "object", properties: {} } }

export function describeTools({ open, can }: Suite): void {
  describe("tools", () => {
    test("offers the tools and gives the call that the model asks for", async () => {
      const { gateway, server } = await open()
      server.reply({ text: "Let me look.", toolCalls: [{ name: "weather", arguments: { city: "Zürich" } }] })
      const { message, finishReason } = await complete(gateway, { tools: [weather, time] })
      expect(finishReason).toBe("tool-calls")
      expect(message.content).toBe("Let me look.")
      expect(message.toolCalls).toMatchObject([{ name: "weather", arguments: { city: "Zürich" } }])
      expect(message.toolCalls?.[0]?.id).not.toBe("")
      expect(message.toolCalls?.[0]?.malformed).toBeUndefined()
      expect(server.last.tools).toMatchObject([
        { name: "weather", description: "The weather of a city", parameters: { required: ["city"] } },
        { name: "time" },
      ])
    })

    test("gives several calls of one answer, each under an id of its own", async () => {
      const { gateway, server } = await open()
      const calls = ["Bern", "Basel", "Chur"].map((city) => ({ name: "weather", arguments: { city } }))
      server.reply({ toolCalls: calls })
      const { message } = await complete(gateway, { tools: [weather] })
      expect(message.toolCalls).toMatchObject(calls)
      expect(new Set(message.toolCalls?.map(({ id }) => id)).size).toBe(3)
    })

    test("gives a call without arguments as one with none", async () => {
      const { gateway, server } = await open()
      server.reply({ toolCalls: [{ name: "time", arguments: {} }] })
      const { message } = await complete(gateway, { tools: [time] })
      expect(message.toolCalls).toMatchObject([{ name: "time", arguments: {} }])
    })

    test("sends calls and their results back, failed ones too", async () => {
      const { gateway, server } = await open()
      const first: ToolCall = { id: "call_a", name: "weather", arguments: { city: "Bern" } }
      const second: ToolCall = { id: "call_b", name: "time", arguments: {} }
      const results = [toolResult(first, "sunny"), toolResult(second, "no clock", { isError: true })]
      const messages = [user("Hello"), assistant("", { toolCalls: [first, second] }), ...results, user("Well?")]
      await complete(gateway, { messages, tools: [weather, time] })
      const seen = server.last.messages
      expect(seen.map(({ role }) => role)).toEqual(["user", "assistant", "tool", "tool", "user"])
      expect(seen[1]?.toolCalls).toMatchObject([
        { name: "weather", arguments: { city: "Bern" } },
        { name: "time", arguments: {} },
      ])
      expect(seen[2]?.text).toContain("sunny")
      expect(seen[3]?.text).toContain("no clock")
      if (can("toolCallIds")) expect(seen.slice(2, 4).map((each) => each.toolCallId)).toEqual(["call_a", "call_b"])
      else expect(seen.slice(2, 4).map((each) => each.toolName)).toEqual(["weather", "time"])
    })

    test.runIf(can("malformed"))("keeps what a model wrote instead of JSON", async () => {
      const { gateway, server } = await open()
      const wrong = ['{"city": "Be', "[1, 2]", "Bern"]
      server.reply({ toolCalls: wrong.map((text) => ({ name: "weather", arguments: text })) })
      const { message } = await complete(gateway, { tools: [weather] })
      expect(message.toolCalls).toMatchObject(wrong.map((malformed) => ({ arguments: {}, malformed })))
    })

    test("takes a call of a tool that nobody has offered as it comes", async () => {
      const { gateway, server } = await open()
      server.reply({ toolCalls: [{ name: "launch_rocket", arguments: { now: true } }] })
      const { message } = await complete(gateway, { tools: [weather] })
      expect(message.toolCalls).toMatchObject([{ name: "launch_rocket", arguments: { now: true } }])
    })

    test.runIf(can("toolChoice"))("says whether the model must call, or must not", async () => {
      const { gateway, server } = await open()
      for (const toolChoice of ["auto", "none", "required"] as const) {
        await complete(gateway, { tools: [weather], toolChoice })
        expect(server.last.toolChoice).toBe(toolChoice)
      }
    })
  })
}
