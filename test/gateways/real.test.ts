import { describe, expect, test } from "vitest"
import { z } from "zod"
import { anthropic } from "../../src/gateways/anthropic/anthropic.js"
import type { Gateway } from "../../src/gateways/gateway.js"
import { gemini } from "../../src/gateways/gemini/gemini.js"
import { system, toolResult, user } from "../../src/gateways/messages/constructors.js"
import { ollama } from "../../src/gateways/ollama/ollama.js"
import { openai } from "../../src/gateways/openai/openai.js"
import { stream, thrown, waiting } from "./suite-ask.js"
import { weather } from "./suite-tools.js"

/** A provider that is asked for real, when the environment says how. */
interface Real {
  readonly name: string
  /** The variable that has to be set. */
  readonly variable: string
  readonly model: string
  readonly embedding?: string
  open(options?: { readonly apiKey?: string }): Gateway
}

const env = (name: string, otherwise: string): string => process.env[name] || otherwise

/** Models are chosen by `<NAME>_TEST_MODEL` and `<NAME>_TEST_EMBEDDING`. */
const providers: readonly Real[] = [
  {
    name: "openai",
    variable: "OPENAI_API_KEY",
    model: env("OPENAI_TEST_MODEL", "gpt-5-mini"),
    embedding: env("OPENAI_TEST_EMBEDDING", "text-embedding-3-small"),
    open: openai,
  },
  {
    name: "ollama",
    variable: "OLLAMA_HOST",
    model: env("OLLAMA_TEST_MODEL", "qwen3:8b"),
    embedding: env("OLLAMA_TEST_EMBEDDING", "nomic-embed-text"),
    open: () => ollama(),
  },
  {
    name: "anthropic",
    variable: "ANTHROPIC_API_KEY",
    model: env("ANTHROPIC_TEST_MODEL", "claude-haiku-4-5"),
    open: anthropic,
  },
  {
    name: "gemini",
    variable: "GEMINI_API_KEY",
    model: env("GEMINI_TEST_MODEL", "gemini-2.5-flash"),
    embedding: env("GEMINI_TEST_EMBEDDING", "gemini-embedding-001"),
    open: gemini,
  },
]

const City = z.strictObject({ city: z.string(), country: z.string() })
const TIMEOUT_MS = 120_000

describe.each(providers)("the real $name", ({ name, variable, model, embedding, open }) => {
  const ready = Boolean(process.env[variable])
  const real = test.runIf(ready)
  const options = { maxTokens: 2_000 }

  real("answers in words", { timeout: TIMEOUT_MS }, async () => {
    const messages = [system("Answer with one word, without punctuation."), user("What is the capital of France?")]
    const { message, usage, finishReason } = await open().complete({ model, messages, options }, waiting())
    expect(message.content).toMatch(/paris/i)
    expect(finishReason).toBe("stop")
    expect(usage.inputTokens).toBeGreaterThan(0)
    expect(usage.outputTokens).toBeGreaterThan(0)
  })

  real("streams what adds up", { timeout: TIMEOUT_MS }, async () => {
    const messages = [user("Count from one to ten, in words.")]
    const { parts, completion } = await stream(open(), { model, messages, options })
    expect(parts.map((part) => (part.type === "text" ? part.text : "")).join("")).toBe(completion.message.content)
    expect(completion.message.content).toMatch(/ten/i)
    expect(completion.usageEstimated).toBeFalsy()
  })

  real("calls a tool, and goes on with its result", { timeout: TIMEOUT_MS }, async () => {
    const gateway = open()
    const question = user("What is the weather in Bern now? Use the tool.")
    const first = await gateway.complete({ model, messages: [question], tools: [weather], options }, waiting())
    expect(first).toMatchObject({ finishReason: "tool-calls", message: { toolCalls: [{ name: "weather" }] } })
    const results = (first.message.toolCalls ?? []).map((call) => toolResult(call, "hail, and 3 degrees"))
    const messages = [question, first.message, ...results]
    const second = await gateway.complete({ model, messages, tools: [weather], options }, waiting())
    expect(second.message.content).toMatch(/hail/i)
  })

  real("answers with an object", { timeout: TIMEOUT_MS }, async () => {
    const { $schema: _, ...schema } = z.toJSONSchema(City)
    const messages = [user("Which city is the Eiffel tower in?")]
    const asked = { model, messages, options, schemaName: "city", schema }
    const { message } = await open().completeObject(asked, waiting())
    expect(City.parse(JSON.parse(message.content)).city).toMatch(/paris/i)
  })

  real("lists its models", { timeout: TIMEOUT_MS }, async () => {
    expect((await open().models(waiting())).length).toBeGreaterThan(0)
  })

  test.runIf(ready && embedding !== undefined)("makes vectors", { timeout: TIMEOUT_MS }, async () => {
    const request = { model: embedding ?? "", texts: ["a cat", "a dog"], options: {} }
    const { vectors } = await open().embed(request, waiting())
    expect(vectors).toHaveLength(2)
    expect(vectors[0]?.length).toBeGreaterThan(100)
  })

  test.runIf(ready && name !== "ollama")("refuses a key that is none", { timeout: TIMEOUT_MS }, async () => {
    const apiKey = "sk-none-of-this-is-a-key"
    const gateway = open({ apiKey })
    const error = await thrown(gateway.complete({ model, messages: [user("Hello")], options }, waiting()))
    expect(error.message).not.toContain(apiKey)
    expect(error).toMatchObject({ code: expect.stringMatching(/LLM_KEY|LLM_REQUEST/) })
  })
})
