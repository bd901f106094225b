import { readdirSync, readFileSync } from "node:fs"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import type { ObjectRequest } from "../../src/gateways/completion.js"
import { user } from "../../src/gateways/messages/constructors.js"
import { openai } from "../../src/gateways/openai/openai.js"
import type { FakeServer } from "../support/llm/fake-server.js"
import { startOpenAiServer } from "../support/llm/openai-server.js"
import { startOpenAiProcess } from "../support/llm/openai-start-process.js"
import { complete, stream, thrown, waiting } from "./suite-ask.js"

let server: FakeServer
beforeEach(async () => {
  server = await startOpenAiServer()
})
afterEach(() => server.close())

const open = (options: Parameters<typeof openai>[0] = {}) =>
  openai({ baseURL: `${server.url}/v1`, apiKey: "sk-some-key", ...options })
const body = (index = -1): Record<string, unknown> => server.calls.at(index)?.body as Record<string, unknown>
const event = (...chunks: object[]) => ({
  raw: {
    contentType: "text/event-stream",
    pieces: [...chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`), "data: [DONE]\n\n"],
  },
})
const delta = (delta: object, finish_reason: string | null = null) => ({
  id: "x",
  model: "m",
  choices: [{ index: 0, delta, finish_reason }],
})

describe("how a server is reached", () => {
  test("sends key, organisation, project and headers of one's own", async () => {
    await complete(open({ organization: "org-1", project: "proj-1", headers: { "x-team": "weather" } }))
    expect(server.calls[0]?.headers).toMatchObject({
      authorization: "Bearer sk-some-key",
      "openai-organization": "org-1",
      "openai-project": "proj-1",
      "x-team": "weather",
    })
  })

  test("takes key and address from the environment, for OpenAI only", async () => {
    vi.stubEnv("OPENAI_API_KEY", "sk-of-environment")
    vi.stubEnv("OPENAI_BASE_URL", `${server.url}/v1`)
    vi.stubEnv("OPENAI_ORG_ID", "org-of-environment")
    vi.stubEnv("OPENAI_ADMIN_KEY", "sk-admin-of-environment")
    await complete(openai())
    expect(server.calls[0]?.headers.authorization).toBe("Bearer sk-of-environment")
    await complete(openai({ provider: "vllm", baseURL: `${server.url}/v1` }))
    expect(JSON.stringify(server.calls[1]?.headers)).not.toMatch(/of-environment|bearer/i)
  })

  test("says what is missing when OpenAI itself is asked without a key, and asks nobody", async () => {
    vi.stubEnv("OPENAI_API_KEY", "")
    vi.stubEnv("OPENAI_BASE_URL", "")
    const error = await thrown(complete(openai()))
    expect(error).toMatchObject({ code: "LLM_KEY", message: expect.stringContaining("OPENAI_API_KEY") })
  })

  test("does not take OpenAI's address for another provider's", () => {
    expect(() => openai({ provider: "vllm" })).toThrow(/baseURL/)
  })

  test("refuses options that it does not know, and values that are none", () => {
    const made = (options: object) => () => openai(options)
    expect(made({ apikey: "x" })).toThrow(/apikey/)
    expect(made({ baseURL: "localhost:8000" })).toThrow(expect.objectContaining({ code: "LLM_OPTION" }))
    expect(made({ provider: "Open AI" })).toThrow(/provider/)
    expect(made({ idleTimeoutMs: 0 })).toThrow(/idleTimeoutMs/)
  })

  test("takes no key that no header can hold, and does not repeat it", async () => {
    const made = (): unknown => openai({ apiKey: "sk-some\nkey" })
    expect(made).toThrow(expect.objectContaining({ code: "LLM_OPTION" }))
    expect(made).not.toThrow(/sk-some/)
    vi.stubEnv("OPENAI_API_KEY", "sk-some\nkey")
    expect(() => openai()).toThrow(/OPENAI_API_KEY/)
    await complete(open({ apiKey: "sk-from-a-file\n" }))
    expect(server.calls[0]?.headers.authorization).toBe("Bearer sk-from-a-file")
  })

  test("calls an answer that did not begin in time a timeout", async () => {
    const cause = Object.assign(new Error("Headers Timeout Error"), { code: "UND_ERR_HEADERS_TIMEOUT" })
    vi.spyOn(globalThis, "fetch").mockRejectedValue(new TypeError("fetch failed", { cause }))
    expect(await thrown(complete(open()))).toMatchObject({ code: "LLM_TIMEOUT" })
  })

  test("is another account with another key, or at another address", () => {
    expect(open().account).toBe(open().account)
    expect(open().account).not.toBe(open({ apiKey: "sk-other-key" }).account)
    expect(open().account).not.toBe(open({ baseURL: `${server.url}/v2` }).account)
  })

  test("writes nothing to the console, whatever comes", async () => {
    const spies = (["log", "info", "warn", "error", "debug"] as const).map((name) => vi.spyOn(console, name))
    server.reply({ raw: { contentType: "text/event-stream", pieces: ["data: {cut\n\n"] } })
    expect(await thrown(stream(open()))).toMatchObject({ code: "LLM_REPLY" })
    for (const spy of spies) expect(spy).not.toHaveBeenCalled()
  })

  test("leaves no listener on a signal that lives longer than its requests", async () => {
    const { signal } = new AbortController()
    const added = vi.spyOn(signal, "addEventListener")
    const removed = vi.spyOn(signal, "removeEventListener")
    const call = { signal }
    await open().complete({ model: "m", messages: [user("x")], options: {} }, call)
    await stream(open(), {}, call)
    expect(added.mock.calls.length).toBeGreaterThan(0)
    const gone = removed.mock.calls.map(([, listener]) => listener)
    for (const [, listener] of added.mock.calls) expect(gone).toContain(listener)
  })

  test("loads the SDK when it is first asked, not before", () => {
    const folder = new URL("../../src/gateways/openai/", import.meta.url)
    const sources = readdirSync(folder).map((name) => readFileSync(new URL(name, folder), "utf8"))
    const imports = sources.flatMap((source) => source.match(/^import .* from "openai"$/gm) ?? [])
    expect(imports.length).toBeGreaterThan(0)
    expect(imports.filter((line) => !line.startsWith("import type "))).toEqual([])
  })
})

describe("what differs between servers", () => {
  test("bounds the answer by the name that the server knows", async () => {
    await complete(open(), { options: { maxTokens: 5 } })
    expect(body()).toMatchObject({ max_tokens: 5 })
    await complete(open({ maxTokensField: "max_completion_tokens" }), { options: { maxTokens: 5 } })
    expect(body()).toMatchObject({ max_completion_tokens: 5 })
    expect(body()).not.toHaveProperty("max_tokens")
  })

  test("asks streams for their usage", async () => {
    await stream(open())
    expect(body()).toMatchObject({ stream: true, stream_options: { include_usage: true } })
  })

  test("is strict about schemas that qualify, and sends the others as advice", async () => {
    const asked = (schema: Record<string, unknown>): ObjectRequest => ({
      ...{ model: "m", messages: [user("x")], options: {}, schemaName: "place", schema },
    })
    const object = { type: "object", properties: { a: { type: "string" } }, additionalProperties: false }
    const draft = "https://json-schema.org/draft/2020-12/schema"
    await open().completeObject(asked({ $schema: draft, ...object, required: ["a"] }), waiting())
    await open().completeObject(asked({ ...object, required: [] }), waiting())
    expect(body(0).response_format).toEqual({
      type: "json_schema",
      json_schema: { name: "place", strict: true, schema: { ...object, required: ["a"] } },
    })
    expect(body(1)).toMatchObject({ response_format: { json_schema: { strict: false } } })
  })

  test.each(["reasoning_content", "reasoning"])("reads thoughts that are called %s", async (field) => {
    server.reply(
      event(delta({ [field]: "Hm, " }), delta({ [field]: "yes." }), delta({ content: "Yes." }), delta({}, "stop")),
    )
    const { completion } = await stream(open())
    expect(completion.message).toMatchObject({ content: "Yes.", reasoning: "Hm, yes." })
  })

  test("a refusal is an answer that was held back, in its own words", async () => {
    const message = { role: "assistant", content: null, refusal: "I cannot help with that." }
    server.reply({ raw: { pieces: [JSON.stringify({ choices: [{ message, finish_reason: "stop" }] })] } })
    expect(await complete(open())).toMatchObject({
      finishReason: "filtered",
      message: { content: "I cannot help with that." },
    })
    server.reply(event(delta({ refusal: "I cannot " }), delta({ refusal: "help." }), delta({}, "stop")))
    expect((await stream(open())).completion).toMatchObject({
      finishReason: "filtered",
      message: { content: "I cannot help." },
    })
  })

  test("joins the parts that some servers send in place of text", async () => {
    const content = [
      { type: "text", text: "Good " },
      { type: "text", text: "morning" },
    ]
    const message = { role: "assistant", content }
    server.reply({ raw: { pieces: [JSON.stringify({ choices: [{ message, finish_reason: "stop" }] })] } })
    expect((await complete(open())).message.content).toBe("Good morning")
    server.reply(event(delta({ content }), delta({}, "stop")))
    expect((await stream(open())).completion.message.content).toBe("Good morning")
  })

  test("puts tool calls together that come whole, without index or id, and says that they are calls", async () => {
    const call = (name: string, id?: string) => ({ tool_calls: [{ id, function: { name, arguments: '{"a":1}' } }] })
    server.reply(event(delta(call("one", "a")), delta(call("two", "b")), delta({}, "stop")))
    const { completion } = await stream(open())
    expect(completion.finishReason).toBe("tool-calls")
    expect(completion.message.toolCalls).toEqual([
      { id: "a", name: "one", arguments: { a: 1 } },
      { id: "b", name: "two", arguments: { a: 1 } },
    ])
    const anonymous = { function: { name: "three", arguments: { b: 2 } } }
    const message = { role: "assistant", content: null, tool_calls: [anonymous] }
    server.reply({ raw: { pieces: [JSON.stringify({ choices: [{ message, finish_reason: "stop" }] })] } })
    expect((await complete(open())).message.toolCalls).toEqual([{ id: "call_0", name: "three", arguments: { b: 2 } }])
  })

  test("puts the interleaved pieces of several calls together", async () => {
    const part = (index: number, name: string | undefined, text: string) => ({
      tool_calls: [{ index, ...(name && { id: `id_${index}` }), function: { name, arguments: text } }],
    })
    server.reply(
      event(
        ...[delta(part(0, "one", '{"a"')), delta(part(1, "two", '{"b"')), delta(part(0, undefined, ":1}"))],
        ...[delta(part(1, undefined, ":2}")), delta({}, "tool_calls")],
      ),
    )
    expect((await stream(open())).completion.message.toolCalls).toEqual([
      { id: "id_0", name: "one", arguments: { a: 1 } },
      { id: "id_1", name: "two", arguments: { b: 2 } },
    ])
  })

  test("reads vectors in base64 from servers that send nothing else, in the order of the texts", async () => {
    const base64 = (...values: number[]) => Buffer.from(Float32Array.from(values).buffer).toString("base64")
    const data = [
      { index: 1, embedding: base64(0.5, -2) },
      { index: 0, embedding: [1, 0.25] },
    ]
    server.reply({ raw: { pieces: [JSON.stringify({ data, model: "m" })] } })
    const { vectors, usage } = await open().embed({ model: "m", texts: ["one", "two"], options: {} }, waiting())
    expect(vectors).toEqual([
      [1, 0.25],
      [0.5, -2],
    ])
    expect(usage.inputTokens).toBeGreaterThan(0)
    expect(body()).toMatchObject({ encoding_format: "float" })
  })

  test("reads how much fits into a model where the server says it", async () => {
    const data = [{ id: "Qwen/Qwen3-8B", max_model_len: 40_960 }, { id: "other" }]
    server.reply({ raw: { pieces: [JSON.stringify({ object: "list", data })] } })
    expect(await open().models(waiting())).toEqual([
      { name: "Qwen/Qwen3-8B", contextTokens: 40_960 },
      { name: "other" },
    ])
  })
})

describe("errors that are this provider's own", () => {
  test("an account without money is not asked again, though its status says so", async () => {
    const error = {
      message: "You exceeded your current quota.",
      type: "insufficient_quota",
      code: "insufficient_quota",
    }
    server.reply({ fault: { status: 429, body: JSON.stringify({ error }) } })
    expect(await thrown(complete(open()))).toMatchObject({ code: "LLM_KEY", message: expect.stringMatching(/quota/) })
  })

  test.each([
    [{ message: "slow down", code: "rate_limit_exceeded" }, "LLM_BUSY"],
    [{ message: "slow down", type: "rate_limit_error" }, "LLM_BUSY"],
    [{ message: "too long", code: "context_length_exceeded" }, "LLM_CONTEXT"],
    [{ message: "wrong", type: "invalid_request_error" }, "LLM_REQUEST"],
    [{ message: "upstream", code: 502 }, "LLM_UNAVAILABLE"],
    [{ message: "it broke", type: "server_error" }, "LLM_UNAVAILABLE"],
  ])("an error inside of an answer, %j, is %s", async (error, code) => {
    server.reply({ raw: { pieces: [JSON.stringify({ error })] } })
    expect(await thrown(complete(open()))).toMatchObject({ code, message: expect.stringContaining(error.message) })
    server.reply(event(delta({ content: "Well" }), { error }))
    expect(await thrown(stream(open()))).toMatchObject({ code, message: expect.stringContaining(error.message) })
  })

  test("what is no answer at all says how it begins", async () => {
    server.reply({ fault: "html" })
    expect((await thrown(complete(open()))).message).toMatch(/<html>.*baseURL/s)
    expect(
      await thrown(
        open()
          .models(waiting())
          .then(() => undefined),
      ),
    ).toMatchObject({ code: "LLM_REPLY" })
  })
})

test("the server runs as a process of its own, and tells what it was asked", async () => {
  const own = await startOpenAiProcess()
  try {
    const gateway = openai({ baseURL: `${own.url}/v1`, apiKey: "sk-some-key" })
    const tools = [{ name: "time", description: "The time", parameters: { type: "object", properties: {} } }]
    expect((await complete(gateway, { tools })).message.toolCalls).toMatchObject([{ name: "time" }])
    expect((await complete(gateway)).message.content).toBe("You said: Hello")
    expect(await own.calls()).toMatchObject([{ index: 0, path: "/v1/chat/completions" }, { index: 1 }])
  } finally {
    await own.stop()
  }
})
