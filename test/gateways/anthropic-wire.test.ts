import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { RetryableError, TerminalError } from "../../src/errors.js"
import { anthropic } from "../../src/gateways/anthropic/anthropic.js"
import { anthropicWith } from "../../src/gateways/anthropic/make-gateway.js"
import type { CompletionRequest, ObjectRequest } from "../../src/gateways/completion.js"
import type { Gateway } from "../../src/gateways/gateway.js"
import { assistant, system, toolResult, user } from "../../src/gateways/messages/constructors.js"
import { signatureOf } from "../support/llm/anthropic-protocol.js"
import { startAnthropicServer } from "../support/llm/anthropic-server.js"
import type { FakeServer } from "../support/llm/fake-server.js"
import { complete, request, stream, thrown, waiting } from "./suite-ask.js"
import { CANARY_KEY } from "./suite-seam.js"
import { weather } from "./suite-tools.js"

const schema = {
  type: "object",
  properties: { city: { type: "string", minLength: 2 }, score: { type: "number", minimum: 0, maximum: 1 } },
  required: ["city", "score"],
}
const asked = (more: Partial<ObjectRequest> = {}): ObjectRequest => ({
  ...request(),
  schemaName: "place",
  schema,
  ...more,
})

describe("the gateway anthropic on the wire", () => {
  let server: FakeServer
  let gateway: Gateway
  beforeEach(async () => {
    server = await startAnthropicServer()
    gateway = anthropic({ baseURL: server.url, apiKey: CANARY_KEY })
  })
  afterEach(() => server.close())

  const body = (): Record<string, unknown> => server.calls.at(-1)?.body as Record<string, unknown>
  const sent = () => body().messages as { role: string; content: unknown }[]

  test("sends the key, and no token of the environment beside it", async () => {
    vi.stubEnv("ANTHROPIC_AUTH_TOKEN", "another-token")
    await complete(anthropic({ baseURL: server.url, apiKey: CANARY_KEY }))
    expect(server.calls[0]?.headers).toMatchObject({ authorization: `Bearer ${CANARY_KEY}` })
    expect(server.calls[0]?.headers).toHaveProperty("anthropic-version")
    expect(JSON.stringify(server.calls[0])).not.toContain("another-token")
  })

  test("tells a temperature to models that take one, by the older version of the API, and to no other", async () => {
    const ways = [complete, stream] as const
    for (const ask of ways) {
      await ask(gateway, { model: "claude-sonnet-4-5", options: { temperature: 0.2 } })
      expect(body().temperature).toBe(0.2)
      expect(server.calls.at(-1)?.headers["anthropic-version"]).toBe("2023-06-01")
      await ask(gateway, { model: "claude-opus-4-7", options: { temperature: 0.2 } })
      expect(body()).not.toHaveProperty("temperature")
      expect(server.calls.at(-1)?.headers["anthropic-version"]).not.toBe("2023-06-01")
    }
  })

  test("says how long an answer may be: as asked, as the model is known, else 4096", async () => {
    await complete(gateway, { options: { maxTokens: 50 } })
    expect(body().max_tokens).toBe(50)
    await complete(gateway, { model: "claude-opus-4-1-20250805" })
    expect(body().max_tokens).toBe(32_000)
    await complete(gateway)
    expect(body().max_tokens).toBe(4_096)
  })

  test("joins the system's messages, wherever they stand", async () => {
    await complete(gateway, { messages: [system("One."), user("Hello"), system("Two.")] })
    expect(body().system).toBe("One.\n\nTwo.")
    expect(sent()).toEqual([{ role: "user", content: "Hello" }])
    await complete(gateway)
    expect(body()).not.toHaveProperty("system")
  })

  test("puts the results of one turn into one message, and leaves out messages that say nothing", async () => {
    const calls = ["a", "b"].map((id) => ({ id, name: "weather", arguments: {} }))
    const [one, two] = calls as [(typeof calls)[0], (typeof calls)[0]]
    const results = [toolResult(one, "sunny"), toolResult(two, "broken", { isError: true })]
    await complete(gateway, { messages: [user("Hi"), assistant("", { toolCalls: calls }), ...results, assistant("")] })
    expect(sent()).toEqual([
      { role: "user", content: "Hi" },
      { role: "assistant", content: calls.map(({ id, name }) => ({ type: "tool_use", id, name, input: {} })) },
      {
        role: "user",
        content: [
          { type: "tool_result", tool_use_id: "a", content: "sunny" },
          { type: "tool_result", tool_use_id: "b", content: "broken", is_error: true },
        ],
      },
    ])
  })

  test("names calls of other providers as Anthropic takes names, in question and answer", async () => {
    const call = { id: "functions.weather:0", name: "weather", arguments: {} }
    await complete(gateway, { messages: [user("Hi"), assistant("", { toolCalls: [call] }), toolResult(call, "sunny")] })
    expect(sent().slice(1)).toMatchObject([
      { content: [{ type: "tool_use", id: "functions_weather_0" }] },
      { content: [{ type: "tool_result", tool_use_id: "functions_weather_0" }] },
    ])
  })

  describe("thoughts", () => {
    test.each([
      ["claude-sonnet-4-5-20250929", "high", { type: "enabled", budget_tokens: 16_384 }, undefined],
      ["claude-3-7-sonnet-latest", "low", { type: "enabled", budget_tokens: 2_048 }, undefined],
      ["claude-haiku-4-5", "minimal", { type: "enabled", budget_tokens: 1_024 }, undefined],
      ["claude-opus-4-20250514", "none", { type: "disabled" }, undefined],
      ["claude-sonnet-4-6", "minimal", { type: "adaptive", display: "summarized" }, "low"],
      ["claude-opus-5-5", "high", { type: "adaptive", display: "summarized" }, "high"],
      ["claude-of-next-year", "medium", { type: "adaptive", display: "summarized" }, "medium"],
    ] as const)(
      "of %s with effort %s are asked for as it takes them",
      async (model, reasoningEffort, thinking, effort) => {
        await complete(gateway, { model, options: { reasoningEffort } })
        expect(body().thinking).toEqual(thinking)
        expect((body().output_config as { effort?: string } | undefined)?.effort).toBe(effort)
      },
    )

    test("leave room for an answer, or are refused when none would be left", async () => {
      const model = "claude-haiku-4-5"
      await complete(gateway, { model, options: { reasoningEffort: "high", maxTokens: 4_000 } })
      expect(body()).toMatchObject({ max_tokens: 4_000, thinking: { budget_tokens: 3_000 } })
      await complete(gateway, { model, options: { reasoningEffort: "low", maxTokens: 1_025 } })
      expect(body()).toMatchObject({ thinking: { budget_tokens: 1_024 } })
      const error = await thrown(complete(gateway, { model, options: { reasoningEffort: "low", maxTokens: 1_024 } }))
      expect(error).toMatchObject({ code: "LLM_OPTION" })
      expect(error.message).toContain("must be > 1024, is 1024")
    })

    const ways = [
      ["in one piece", (ask: CompletionRequest) => gateway.complete(ask, waiting())],
      ["in a stream", async (ask: CompletionRequest) => (await stream(gateway, ask)).completion],
    ] as const
    test.each(ways)("that came %s go back as they were signed, at their places", async (_, ask) => {
      server.reply({
        reasoning: "Which city?",
        text: "A moment.",
        toolCalls: [{ id: "call_9", name: "weather", arguments: { city: "Bern" } }],
      })
      const { message } = await ask(request({ tools: [weather] }))
      expect(message.provider?.name).toBe("anthropic")
      // As it lies in a journal.
      const kept = JSON.parse(JSON.stringify(message)) as typeof message
      const result = toolResult({ id: "call_9", name: "weather" }, "sunny")
      await ask(request({ messages: [user("Hello"), kept, result], tools: [weather] }))
      expect(sent()[1]).toEqual({
        role: "assistant",
        content: [
          { type: "thinking", thinking: "Which city?", signature: signatureOf("Which city?") },
          { type: "text", text: "A moment." },
          { type: "tool_use", id: "call_9", name: "weather", input: { city: "Bern" } },
        ],
      })
    })

    test("that nobody may read go back too", async () => {
      const content = [
        { type: "redacted_thinking", data: "b3BhcXVl" },
        { type: "text", text: "\n\n" },
        { type: "text", text: "Hello" },
      ]
      const reply = {
        id: "msg_1",
        model: "m",
        content,
        stop_reason: "end_turn",
        usage: { input_tokens: 1, output_tokens: 1 },
      }
      server.reply({ raw: { pieces: [JSON.stringify(reply)] } }, { text: "x" })
      const { message } = await complete(gateway)
      await complete(gateway, { messages: [user("Hi"), message, user("And?")] })
      expect(sent()[1]?.content).toEqual([content[0], content[2]])
    })

    test("stay away from another model, and from a message that was changed since", async () => {
      server.reply({ reasoning: "They greet me.", text: "Hello" })
      const { message } = await complete(gateway)
      const plain = [{ type: "text", text: "Hello" }]
      await complete(gateway, { model: "another-model", messages: [user("Hi"), message, user("And?")] })
      expect(sent()[1]?.content).toEqual(plain)
      const changed = { ...message, content: "Hello and more" }
      await complete(gateway, { messages: [user("Hi"), changed, user("And?")] })
      expect(sent()[1]?.content).toEqual([{ type: "text", text: "Hello and more" }])
      const foreign = { ...message, provider: { name: "gemini", data: message.provider?.data } }
      await complete(gateway, { messages: [user("Hi"), foreign, user("And?")] })
      expect(sent()[1]?.content).toEqual(plain)
      const broken = { ...message, provider: { name: "anthropic", data: { blocks: 7 } } }
      await complete(gateway, { messages: [user("Hi"), broken, user("And?")] })
      expect(sent()[1]?.content).toEqual(plain)
    })
  })

  describe("objects", () => {
    test("are held to the schema by Anthropic's own format, without the bounds that it refuses", async () => {
      server.reply({ text: '{"city":"Bern","score":1}' })
      await gateway.completeObject(asked({ model: "claude-sonnet-4-5" }), waiting())
      expect(body().output_config).toEqual({
        format: {
          type: "json_schema",
          schema: {
            type: "object",
            properties: { city: { type: "string" }, score: { type: "number" } },
            required: ["city", "score"],
            additionalProperties: false,
          },
        },
      })
      expect(body()).not.toHaveProperty("tools")
    })

    test("come as a tool's arguments from models that have no such format", async () => {
      server.reply({ text: '{"city":"Bern","score":1}' })
      const completion = await gateway.completeObject(asked({ model: "claude-3-5-haiku-latest" }), waiting())
      expect(body()).toMatchObject({
        tools: [{ name: "place", input_schema: schema }],
        tool_choice: { type: "tool", name: "place" },
      })
      expect(JSON.parse(completion.message.content)).toEqual({ city: "Bern", score: 1 })
      expect(completion).toMatchObject({ finishReason: "stop" })
      expect(completion.message).not.toHaveProperty("toolCalls")
    })

    test("come as a tool's arguments where the schema says what the format cannot", async () => {
      const record = { type: "object", additionalProperties: { type: "number" } }
      const list = { type: "array", items: { $ref: "#/$defs/City" }, $defs: { City: { type: "string" } } }
      server.reply({ text: '{"value":["Bern"]}' })
      const { message } = await gateway.completeObject(asked({ model: "claude-opus-5", schema: list }), waiting())
      expect(JSON.parse(message.content)).toEqual(["Bern"])
      expect(body().tools).toMatchObject([
        {
          input_schema: {
            properties: { value: { type: "array", items: { $ref: "#/$defs/City" } } },
            $defs: { City: { type: "string" } },
          },
        },
      ])
      const node = { type: "object", properties: { next: { $ref: "#/$defs/Node" } } }
      const recursive = { type: "object", properties: { list: { $ref: "#/$defs/Node" } }, $defs: { Node: node } }
      for (const each of [record, { type: "object", properties: { by: record } }, recursive]) {
        await gateway.completeObject(asked({ model: "claude-opus-5", schema: each }), waiting())
        expect(body()).not.toHaveProperty("output_config")
        expect(body().tools).toMatchObject([{ name: "place" }])
      }
    })

    test("may wait for other tools: the model has to call one or the other", async () => {
      server.reply({ toolCalls: [{ name: "weather", arguments: { city: "Bern" } }] })
      const old = asked({ model: "claude-3-5-haiku-latest", tools: [weather] })
      const { message, finishReason } = await gateway.completeObject(old, waiting())
      expect(body()).toMatchObject({ tools: [{ name: "weather" }, { name: "place" }], tool_choice: { type: "any" } })
      expect(message.toolCalls).toMatchObject([{ name: "weather" }])
      expect(finishReason).toBe("tool-calls")
      server.reply({ toolCalls: [{ name: "place", arguments: { city: "Bern", score: 1 } }] })
      const answer = await gateway.completeObject(old, waiting())
      expect(JSON.parse(answer.message.content)).toEqual({ city: "Bern", score: 1 })
      expect(answer.finishReason).toBe("stop")
    })
  })

  test("counts what came from the cache, and what went there, as input", async () => {
    const usage = {
      ...{ input_tokens: 5, output_tokens: 2, cache_read_input_tokens: 80, cache_creation_input_tokens: 15 },
      cache_creation: null,
    }
    const reply = { id: "msg_1", model: "m", content: [{ type: "text", text: "x" }], stop_reason: "end_turn", usage }
    server.reply({ raw: { pieces: [JSON.stringify(reply)] } })
    expect((await complete(gateway)).usage).toEqual({ inputTokens: 100, outputTokens: 2, cachedTokens: 80 })
  })

  test.each([
    ["overloaded_error", "LLM_UNAVAILABLE", RetryableError],
    ["rate_limit_error", "LLM_BUSY", RetryableError],
    ["invalid_request_error", "LLM_REQUEST", TerminalError],
    ["some_new_error", "LLM_UNAVAILABLE", RetryableError],
  ])("an %s within a stream is a %s, and nothing of it is written to the console", async (type, code, kind) => {
    const consoled = (["log", "warn", "error"] as const).map((name) => vi.spyOn(console, name).mockReturnValue())
    const event = { type: "error", error: { type, message: "As Anthropic says" } }
    const pieces = [`event: error\ndata: ${JSON.stringify(event)}\n\n`]
    server.reply({ raw: { contentType: "text/event-stream", pieces } })
    const error = await thrown(stream(gateway))
    expect(error).toMatchObject({ code })
    expect(error).toBeInstanceOf(kind)
    expect(error.message).toContain("As Anthropic says")
    server.reply({
      raw: { contentType: "text/event-stream", pieces: ['event: message_start\ndata: {"type": "mess\n\n'] },
    })
    expect(await thrown(stream(gateway))).toMatchObject({ code: "LLM_REPLY" })
    for (const spy of consoled) expect(spy).not.toHaveBeenCalled()
  })

  test("says nothing to the console about models that are about to go", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue()
    await complete(gateway, { model: "claude-sonnet-4-5" })
    await complete(gateway, { model: "claude-opus-4-6", options: { reasoningEffort: "low" } })
    expect(warn).not.toHaveBeenCalled()
  })

  test("passes over events that are new to it", async () => {
    server.reply({ text: "Hello there" })
    const pieces = (await rawStream()).flatMap((piece) => [piece, 'event: news\ndata: {"type":"news"}\n\n'])
    server.reply({ raw: { contentType: "text/event-stream", pieces } })
    expect((await stream(gateway)).completion.message.content).toBe("Hello there")
  })

  async function rawStream(): Promise<string[]> {
    const url = `${server.url}/v1/messages`
    const answer = await fetch(url, {
      method: "POST",
      body: JSON.stringify({ model: "m", stream: true, messages: [] }),
    })
    return (await answer.text()).split(/(?<=\n\n)/)
  }
})

describe("the package of Anthropic", () => {
  test("that is not installed is named with the command that installs it", async () => {
    const missing = Object.assign(new Error("Cannot find package '@anthropic-ai/sdk' imported from /app/x.js"), {
      code: "ERR_MODULE_NOT_FOUND",
    })
    const gateway = anthropicWith({ apiKey: CANARY_KEY }, () => Promise.reject(missing))
    for (const ask of [() => complete(gateway), () => stream(gateway), () => gateway.models(waiting())]) {
      const error = await thrown(ask())
      expect(error).toMatchObject({ code: "LLM_GATEWAY" })
      expect(error).toBeInstanceOf(TerminalError)
      expect(error.message).toContain("npm install @anthropic-ai/sdk")
    }
  })

  test("is loaded by the first call, once", async () => {
    const server = await startAnthropicServer()
    try {
      const load = vi.fn(() => import("@anthropic-ai/sdk"))
      const gateway = anthropicWith({ apiKey: CANARY_KEY, baseURL: server.url }, load)
      expect(load).not.toHaveBeenCalled()
      await Promise.all([complete(gateway), complete(gateway), stream(gateway)])
      expect(load).toHaveBeenCalledTimes(1)
    } finally {
      await server.close()
    }
  })
})

describe("the options of the gateway anthropic", () => {
  test("without a key its calls say which variable to set", async () => {
    vi.stubEnv("ANTHROPIC_API_KEY", "")
    const error = await thrown(complete(anthropic()))
    expect(error).toMatchObject({ code: "LLM_KEY" })
    expect(error.message).toContain("ANTHROPIC_API_KEY")
  })

  test("key and address come from the environment, and make the account", async () => {
    const server = await startAnthropicServer()
    try {
      vi.stubEnv("ANTHROPIC_API_KEY", CANARY_KEY)
      vi.stubEnv("ANTHROPIC_BASE_URL", `${server.url}/`)
      await complete(anthropic())
      const headers = { authorization: `Bearer ${CANARY_KEY}` }
      expect(server.calls[0]).toMatchObject({ path: "/v1/messages", headers })
      expect(anthropic().account).toBe(anthropic({ apiKey: CANARY_KEY, baseURL: server.url }).account)
      expect(anthropic().account).not.toBe(anthropic({ apiKey: "another-key" }).account)
    } finally {
      await server.close()
    }
  })

  test.each([{ apikey: "x" }, { baseURL: "here" }, { idleTimeoutMs: -1 }])("refuse what is none: %j", (options) => {
    const [name = ""] = Object.keys(options)
    expect(() => anthropic(options as object)).toThrowError(new RegExp(name))
  })
})
