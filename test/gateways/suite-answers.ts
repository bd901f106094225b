import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Completion } from "../../src/gateways/completion.js"
import { assistant, image, system, user } from "../../src/gateways/messages/constructors.js"
import { complete, request, waiting } from "./suite-ask.js"
import { MODEL, type Suite } from "./suite-seam.js"

/** The smallest PNG: one transparent point. */
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="

export function describeAnswers({ open, can }: Suite): void {
  describe("answers", () => {
    test("gives the model's text, and says why it stopped and what it used", async () => {
      const { gateway, server } = await open()
      server.reply({ text: "Good morning", usage: { inputTokens: 12, outputTokens: 3 } })
      const completion = await complete(gateway)
      expect(completion).toMatchObject({
        message: { role: "assistant", content: "Good morning" },
        finishReason: "stop",
        usage: { inputTokens: 12, outputTokens: 3 },
        model: MODEL,
      })
      expect(completion.usageEstimated).toBeFalsy()
      expect(Completion.parse(JSON.parse(JSON.stringify(completion)))).toEqual(completion)
      expect(server.last).toMatchObject({ kind: "chat", model: MODEL, stream: false })
      expect(server.last.messages).toMatchObject([{ role: "user", text: "Hello" }])
    })

    test("sends the system's texts and the turns of a conversation in their order", async () => {
      const { gateway, server } = await open()
      const messages = [system("Be brief."), user("One"), assistant("Two"), user("Three", " and four")]
      await complete(gateway, { messages })
      expect(server.last.system).toBe("Be brief.")
      expect(server.last.messages).toMatchObject([
        { role: "user", text: "One" },
        { role: "assistant", text: "Two" },
        { role: "user", text: "Three and four" },
      ])
    })

    test("says that an answer was cut at its longest, or held back", async () => {
      const { gateway, server } = await open()
      server.reply({ text: "And then", finish: "length" }, { text: "", finish: "filtered" })
      expect(await complete(gateway)).toMatchObject({ finishReason: "length", message: { content: "And then" } })
      if (can("filters")) expect(await complete(gateway)).toMatchObject({ finishReason: "filtered" })
    })

    test.runIf(can("reasoning"))("keeps what the model thought apart from what it said", async () => {
      const { gateway, server } = await open()
      server.reply({ reasoning: "They greet me.", text: "Hello" })
      expect((await complete(gateway)).message).toMatchObject({ content: "Hello", reasoning: "They greet me." })
    })

    test("counts what was cached and what went into reasoning", async () => {
      const { gateway, server } = await open()
      server.reply({ text: "x", usage: { inputTokens: 100, outputTokens: 50, cachedTokens: 80, reasoningTokens: 30 } })
      const { usage } = await complete(gateway)
      expect(usage).toMatchObject({ inputTokens: 100, outputTokens: 50 })
      if (can("cachedTokens")) expect(usage.cachedTokens).toBe(80)
      if (can("reasoningTokens")) expect(usage.reasoningTokens).toBe(30)
    })

    test.runIf(can("network"))("estimates the usage of a provider that does not count, and says so", async () => {
      const { gateway, server } = await open()
      server.reply({ text: "twelve tokens or so, which is enough", usage: null })
      const completion = await complete(gateway, { messages: [user("a question of some length")] })
      expect(completion.usageEstimated).toBe(true)
      expect(completion.usage.inputTokens).toBeGreaterThan(3)
      expect(completion.usage.outputTokens).toBeGreaterThan(5)
    })

    test("puts the options on the wire, and leaves out what was not said", async () => {
      const { gateway, server } = await open()
      await complete(gateway)
      const nothing = Object.values({ ...server.last.options, reasoning: undefined, maxTokens: undefined })
      expect(nothing.filter((value) => value !== undefined)).toEqual([])
      await complete(gateway, {
        options: { temperature: 0.3, maxTokens: 77, seed: 42, stop: ["END"], reasoningEffort: "low" },
      })
      const { options } = server.last
      expect(options.maxTokens).toBeGreaterThanOrEqual(77)
      if (can("temperature")) expect(options.temperature).toBe(0.3)
      if (can("seed")) expect(options.seed).toBe(42)
      if (can("stop")) expect(options.stop).toEqual(["END"])
      if (can("reasoning")) expect(options.reasoning).toBeTruthy()
    })

    test("asks for an object by its schema and gives the JSON as text", async () => {
      const { gateway, server } = await open()
      server.reply({ text: '{"city":"Bern"}' })
      const schema = {
        type: "object",
        properties: { city: { type: "string" } },
        required: ["city"],
        additionalProperties: false,
      }
      const asked = { ...request(), schemaName: "place", schema }
      const completion = await gateway.completeObject(asked, waiting())
      expect(JSON.parse(completion.message.content)).toEqual({ city: "Bern" })
      if (can("schema")) expect(server.last.schema).toMatchObject({ properties: { city: { type: "string" } } })
    })

    test.runIf(can("images"))("sends the bytes of an image, and of one that lies in a file", async () => {
      const { gateway, server } = await open()
      const folder = await mkdtemp(join(tmpdir(), "murmur-image-"))
      try {
        const path = join(folder, "point.png")
        await writeFile(path, Buffer.from(PNG, "base64"))
        const bytes = image({ bytes: Buffer.from(PNG, "base64"), mediaType: "image/png" })
        await complete(gateway, { messages: [user("What is this?", bytes, image({ path }))] })
      } finally {
        await rm(folder, { recursive: true })
      }
      const [message] = server.last.messages
      expect(message?.text).toBe("What is this?")
      expect(message?.images).toMatchObject([{ base64: PNG }, { base64: PNG }])
    })

    test.runIf(can("images") && can("imageUrls"))("sends the address of an image as it is", async () => {
      const { gateway, server } = await open()
      const url = "https://example.com/chart.png"
      await complete(gateway, { messages: [user("What is this?", image({ url }))] })
      expect(server.last.messages[0]?.images).toEqual([{ url }])
    })
  })
}
