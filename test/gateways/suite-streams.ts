import { describe, expect, test, vi } from "vitest"
import type { StreamPart } from "../../src/gateways/completion.js"
import { complete, request, stream, waiting } from "./suite-ask.js"
import type { Suite } from "./suite-seam.js"
import { weather } from "./suite-tools.js"

const joined = (parts: readonly StreamPart[], type: "text" | "reasoning"): string =>
  parts.map((part) => (part.type === type ? part.text : "")).join("")

export function describeStreams({ open, can }: Suite): void {
  describe("streams", () => {
    test("gives the text in pieces that add up to the whole at the end", async () => {
      const { gateway, server } = await open()
      const text = "Once upon a time there was a señor, 東京 and a 🦜 on a roof."
      server.reply({ text, usage: { inputTokens: 9, outputTokens: 14 } })
      const { parts, completion } = await stream(gateway)
      expect(parts.filter(({ type }) => type === "text").length).toBeGreaterThan(3)
      expect(joined(parts, "text")).toBe(text)
      expect(parts.filter(({ type }) => type === "end")).toHaveLength(1)
      expect(completion).toMatchObject({
        message: { role: "assistant", content: text },
        finishReason: "stop",
        usage: { inputTokens: 9, outputTokens: 14 },
      })
      expect(server.last.stream).toBe(true)
    })

    test("ends with what the same answer in one piece would be", async () => {
      const { gateway, server } = await open()
      server.reply({
        text: "A moment.",
        ...(can("reasoning") && { reasoning: "Look it up." }),
        toolCalls: [{ name: "weather", arguments: { city: "Bern" } }],
      })
      const whole = await complete(gateway, { tools: [weather] })
      const { completion } = await stream(gateway, { tools: [weather] })
      expect({ ...completion, id: undefined, message: { ...completion.message, toolCalls: [] } }).toEqual({
        ...{ ...whole, id: undefined },
        message: { ...whole.message, toolCalls: [] },
      })
      expect(completion.message.toolCalls).toMatchObject([{ name: "weather", arguments: { city: "Bern" } }])
    })

    test.runIf(can("reasoning"))("gives what the model thinks in pieces of their own", async () => {
      const { gateway, server } = await open()
      server.reply({ reasoning: "They greet me, so I greet them.", text: "Hello there" })
      const { parts, completion } = await stream(gateway)
      expect(joined(parts, "reasoning")).toBe("They greet me, so I greet them.")
      expect(joined(parts, "text")).toBe("Hello there")
      expect(completion.message).toMatchObject({ content: "Hello there", reasoning: "They greet me, so I greet them." })
    })

    test("gives tool calls whole, several too", async () => {
      const { gateway, server } = await open()
      const calls = ["Bern", "a city with a long name, and a comma"].map((city) => ({
        name: "weather",
        arguments: { city },
      }))
      server.reply({ toolCalls: calls })
      const { parts, completion } = await stream(gateway, { tools: [weather] })
      const told = parts.flatMap((part) => (part.type === "tool-call" ? [part.call] : []))
      expect(told).toMatchObject(calls)
      expect(completion.message.toolCalls).toEqual(told)
      expect(completion.finishReason).toBe("tool-calls")
    })

    test.runIf(can("malformed"))("keeps what a model wrote instead of JSON", async () => {
      const { gateway, server } = await open()
      server.reply({ toolCalls: [{ name: "weather", arguments: '{"city": "Be' }] })
      const { completion } = await stream(gateway, { tools: [weather] })
      expect(completion.message.toolCalls).toMatchObject([{ arguments: {}, malformed: '{"city": "Be' }])
    })

    test.runIf(can("network"))("tells the first piece before the last one has come", async () => {
      const { gateway, server } = await open()
      server.reply({ text: "one two three four five six seven eight", pieceDelayMs: 60 })
      const atMs: number[] = []
      for await (const part of gateway.stream(request(), waiting())) if (part.type === "text") atMs.push(Date.now())
      expect((atMs.at(-1) ?? 0) - (atMs[0] ?? 0)).toBeGreaterThan(200)
    })

    test.runIf(can("network"))("breaks the request off when the reader leaves", async () => {
      const { gateway, server } = await open()
      server.reply({ text: "word ".repeat(200), pieceDelayMs: 20 })
      for await (const part of gateway.stream(request(), waiting())) if (part.type === "text") break
      await vi.waitFor(() => expect(server.calls[0]?.brokenOff).toBe(true), { timeout: 3_000 })
    })

    test("breaks the request off when its signal is aborted, with the signal's reason", async () => {
      const { gateway, server } = await open()
      server.reply({ text: "word ".repeat(200), pieceDelayMs: 20 })
      const controller = new AbortController()
      const reason = new Error("nobody waits any more")
      const read = async (): Promise<void> => {
        for await (const part of gateway.stream(request(), { signal: controller.signal })) {
          if (part.type === "text") controller.abort(reason)
        }
      }
      await expect(read()).rejects.toBe(reason)
      if (can("network")) await vi.waitFor(() => expect(server.calls[0]?.brokenOff).toBe(true), { timeout: 3_000 })
    })
  })
}
