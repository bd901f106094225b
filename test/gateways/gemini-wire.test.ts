import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { TerminalError } from "../../src/errors.js"
import type { CompletionRequest, ObjectRequest } from "../../src/gateways/completion.js"
import type { Gateway } from "../../src/gateways/gateway.js"
import { gemini } from "../../src/gateways/gemini/gemini.js"
import { geminiWith } from "../../src/gateways/gemini/make-gateway.js"
import { assistant, system, toolResult, user } from "../../src/gateways/messages/constructors.js"
import type { FakeServer } from "../support/llm/fake-server.js"
import { signatureOf } from "../support/llm/gemini-protocol.js"
import { startGeminiServer } from "../support/llm/gemini-server.js"
import { complete, request, stream, thrown, waiting } from "./suite-ask.js"
import { CANARY_KEY } from "./suite-seam.js"
import { weather } from "./suite-tools.js"

interface Body {
  readonly contents: readonly { readonly role: string; readonly parts: unknown }[]
  readonly tools?: unknown
  readonly systemInstruction?: unknown
  readonly generationConfig?: Readonly<Record<string, unknown>>
}

const schema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  properties: { kind: { const: "city" }, const: { type: "string" } },
  required: ["kind"],
}
const asked = (more: Partial<ObjectRequest> = {}): ObjectRequest => ({
  ...request(),
  schemaName: "place",
  schema,
  ...more,
})

describe("the gateway gemini on the wire", () => {
  let server: FakeServer
  let gateway: Gateway
  beforeEach(async () => {
    server = await startGeminiServer()
    gateway = gemini({ baseURL: server.url, apiKey: CANARY_KEY })
  })
  afterEach(() => server.close())

  const body = (): Body => server.calls.at(-1)?.body as Body
  const ways = [
    ["in one piece", (ask: CompletionRequest) => gateway.complete(ask, waiting())],
    ["in a stream", async (ask: CompletionRequest) => (await stream(gateway, ask)).completion],
  ] as const

  test("sends the key in its header, never in the address", async () => {
    await complete(gateway)
    expect(server.calls[0]?.headers["x-goog-api-key"]).toBe(CANARY_KEY)
    expect(server.calls[0]?.path).not.toContain(CANARY_KEY)
  })

  test("gives the system's messages as the instruction, wherever they stand", async () => {
    await complete(gateway, { messages: [system("One."), user("Hello"), system("Two.")] })
    expect(body().systemInstruction).toMatchObject({ parts: [{ text: "One." }, { text: "Two." }] })
    expect(body().contents).toEqual([{ role: "user", parts: [{ text: "Hello" }] }])
  })

  test.each([
    ["gemini-2.5-flash", "none", { includeThoughts: false, thinkingBudget: 0 }],
    ["gemini-2.5-flash", "minimal", { includeThoughts: true, thinkingBudget: 512 }],
    ["gemini-2.5-pro", "high", { includeThoughts: true, thinkingBudget: 24_576 }],
    ["gemini-3-pro-preview", "none", { includeThoughts: false, thinkingLevel: "MINIMAL" }],
    ["gemini-3-flash", "low", { includeThoughts: true, thinkingLevel: "LOW" }],
    ["gemini-flash-latest", "medium", { includeThoughts: true, thinkingLevel: "MEDIUM" }],
    ["gemini-12-pro", "high", { includeThoughts: true, thinkingLevel: "HIGH" }],
  ] as const)("%s with effort %s is told so as it takes it", async (model, reasoningEffort, thinkingConfig) => {
    await complete(gateway, { model, options: { reasoningEffort } })
    expect(body().generationConfig?.thinkingConfig).toEqual(thinkingConfig)
  })

  test("says nothing of thinking when nothing is said", async () => {
    await complete(gateway)
    expect(body().generationConfig ?? {}).not.toHaveProperty("thinkingConfig")
  })

  test("describes tools by their JSON schema, in the words that Gemini knows", async () => {
    await complete(gateway, { tools: [{ ...weather, parameters: schema }] })
    const parametersJsonSchema = {
      type: "object",
      properties: { kind: { enum: ["city"] }, const: { type: "string" } },
      required: ["kind"],
    }
    expect(body().tools).toEqual([
      { functionDeclarations: [{ name: "weather", description: weather.description, parametersJsonSchema }] },
    ])
  })

  test("holds the model to a schema; an older one that may call tools is told it", async () => {
    server.reply({ text: '{"kind":"city"}' })
    await gateway.completeObject(asked({ model: "gemini-2.5-flash" }), waiting())
    expect(body().generationConfig).toMatchObject({
      responseMimeType: "application/json",
      responseJsonSchema: { properties: { kind: { enum: ["city"] } } },
    })
    await gateway.completeObject(asked({ model: "gemini-3-flash", tools: [weather] }), waiting())
    expect(body().generationConfig).toMatchObject({ responseMimeType: "application/json" })
    await gateway.completeObject(asked({ model: "gemini-2.5-flash", tools: [weather] }), waiting())
    expect(body().generationConfig ?? {}).not.toHaveProperty("responseMimeType")
    expect(server.last.system).toContain('"const":"city"')
    await gateway.completeObject(asked({ model: "gemini-2.5-flash", tools: [weather], toolChoice: "none" }), waiting())
    expect(body().generationConfig).toMatchObject({ responseMimeType: "application/json" })
  })

  describe("calls", () => {
    const called = { name: "weather", arguments: { city: "Bern" } }

    test("that have no names get some, and are sent back without them", async () => {
      server.reply({ toolCalls: [called, called] })
      const first = (await complete(gateway, { tools: [weather] })).message
      const [one, two] = first.toolCalls ?? []
      if (one === undefined || two === undefined) throw new Error("two calls were wanted")
      expect(one.id).not.toBe(two.id)
      const messages = [user("Hello"), first, toolResult(one, "sunny"), toolResult(two, "none", { isError: true })]
      const next = await complete(gateway, { messages, tools: [weather], model: "gemini-2.5-flash" })
      expect(new Set([one, two, ...(next.message.toolCalls ?? [])].map(({ id }) => id)).size).toBe(4)
      const functionCall = { name: "weather", args: { city: "Bern" } }
      expect(body().contents.slice(1)).toEqual([
        { role: "model", parts: [{ functionCall }, { functionCall }] },
        {
          role: "user",
          parts: [
            { functionResponse: { name: "weather", response: { output: "sunny" } } },
            { functionResponse: { name: "weather", response: { error: "none" } } },
          ],
        },
      ])
    })

    test("that Gemini has named keep their names", async () => {
      server.reply({ toolCalls: [{ id: "fc-1", ...called }] })
      const { message } = await complete(gateway, { tools: [weather] })
      expect(message.toolCalls).toMatchObject([{ id: "fc-1" }])
      await complete(gateway, {
        messages: [user("Hello"), message, toolResult({ id: "fc-1", name: "weather" }, "sunny")],
      })
      expect(body().contents.slice(1)).toMatchObject([
        { parts: [{ functionCall: { id: "fc-1" } }] },
        { parts: [{ functionResponse: { id: "fc-1" } }] },
      ])
    })

    test.each(ways)("and their signatures that came %s go back at their places", async (_, ask) => {
      server.reply({ reasoning: "Which city?", text: "A moment, please.", toolCalls: [called, called] })
      const { message } = await ask(request({ tools: [weather] }))
      expect(message).toMatchObject({ reasoning: "Which city?", content: "A moment, please." })
      // As it lies in a journal.
      const kept = JSON.parse(JSON.stringify(message)) as typeof message
      const results = (message.toolCalls ?? []).map((call) => toolResult(call, "sunny"))
      await ask(request({ messages: [user("Hello"), kept, ...results] }))
      const functionCall = { name: "weather", args: { city: "Bern" } }
      expect(body().contents[1]).toEqual({
        role: "model",
        parts: [
          { text: "A moment, please." },
          { functionCall, thoughtSignature: signatureOf("Which city?") },
          { functionCall },
        ],
      })
    })

    test.each(ways)("or texts that were signed, which came %s, are not mixed with others", async (_, ask) => {
      server.reply({ reasoning: "They greet me.", text: "Hello there, friend" })
      const { message } = await ask(request())
      await ask(request({ messages: [user("Hi"), message, user("And?")] }))
      const parts = body().contents[1]?.parts as { text: string; thoughtSignature?: string }[]
      expect(parts.map(({ text }) => text).join("")).toBe("Hello there, friend")
      expect(parts.filter(({ thoughtSignature }) => thoughtSignature !== undefined)).toHaveLength(1)
      expect(parts[0]?.thoughtSignature).toBe(signatureOf("They greet me."))
    })

    test("that were signed in the midst of a stream, and at its empty end, stay apart from what was not", async () => {
      const said = [
        { text: "One " },
        { text: "two " },
        { text: "three ", thoughtSignature: "c2lnMQ==" },
        { text: "four" },
      ]
      const parts = [...said, { text: "", thoughtSignature: "c2lnMg==" }]
      const pieces = parts.map((part, index) => {
        const candidate = { content: { parts: [part] }, ...(index === 4 && { finishReason: "STOP" }) }
        return `data: ${JSON.stringify({ candidates: [candidate] })}\r\n\r\n`
      })
      server.reply({ raw: { contentType: "text/event-stream", pieces } }, { text: "x" })
      const { completion } = await stream(gateway)
      await complete(gateway, { messages: [user("Hi"), completion.message, user("And?")] })
      expect(body().contents[1]?.parts).toEqual([
        { text: "One two " },
        { text: "three ", thoughtSignature: "c2lnMQ==" },
        { text: "four" },
        { text: "", thoughtSignature: "c2lnMg==" },
      ])
    })

    test("from elsewhere go to a model that wants signatures with the one that says so, to others without", async () => {
      const calls = ["a", "b"].map((id) => ({ id, ...called }))
      const messages = [
        user("Hello"),
        assistant("", { toolCalls: calls }),
        ...calls.map((each) => toolResult(each, "x")),
      ]
      await complete(gateway, { model: "gemini-3-pro-preview", messages })
      expect(body().contents[1]?.parts).toMatchObject([
        { functionCall: {}, thoughtSignature: "skip_thought_signature_validator" },
        { functionCall: {} },
      ])
      expect(JSON.stringify(body()).match(/thoughtSignature/g)).toHaveLength(1)
      await complete(gateway, { model: "gemini-2.5-pro", messages })
      expect(JSON.stringify(body())).not.toContain("thoughtSignature")
    })

    test("of a message that was changed since go back without signatures", async () => {
      server.reply({ reasoning: "They greet me.", text: "Hello" })
      const { message } = await complete(gateway)
      for (const changed of [
        { ...message, content: "Hello and more" },
        { ...message, provider: { name: "gemini", data: 7 } },
        { ...message, provider: { name: "anthropic", data: message.provider?.data } },
      ]) {
        await complete(gateway, { messages: [user("Hi"), changed, user("And?")] })
        expect(body().contents[1]?.parts).toEqual([{ text: changed.content }])
      }
    })
  })

  describe("ends", () => {
    const answer = (more: object, parts: object[] = [{ text: "x" }]): string =>
      JSON.stringify({
        candidates: [{ content: { parts, role: "model" }, ...more }],
        usageMetadata: { promptTokenCount: 1 },
      })

    test.each([
      ["MAX_TOKENS", "length"],
      ["CONTINUATION", "length"],
      ["RECITATION", "filtered"],
      ["PROHIBITED_CONTENT", "filtered"],
      ["SPII", "filtered"],
    ])("%s is %s, and asks nobody a second time", async (finishReason, reason) => {
      server.reply({ raw: { pieces: [answer({ finishReason, continuationToken: "bW9yZQ==" })] } })
      expect((await complete(gateway)).finishReason).toBe(reason)
      expect(server.calls).toHaveLength(1)
    })

    test.each(["MALFORMED_FUNCTION_CALL", "OTHER", "SOMETHING_NEW"])(
      "%s is no answer, and may be one next time",
      async (end) => {
        server.reply({ raw: { pieces: [answer({ finishReason: end })] } })
        const error = await thrown(complete(gateway))
        expect(error).toMatchObject({ code: "LLM_REPLY" })
        expect(error.message).toContain(end)
      },
    )

    test("a question that is held back is filtered", async () => {
      server.reply({ raw: { pieces: [JSON.stringify({ promptFeedback: { blockReason: "SAFETY" } })] } })
      expect(await complete(gateway)).toMatchObject({ finishReason: "filtered", message: { content: "" } })
    })
  })

  test("asks once, whatever the answer: to ask again is the broker's", async () => {
    server.reply({ fault: { status: 503 } })
    await thrown(complete(gateway))
    await thrown(stream(gateway))
    await thrown(gateway.models(waiting()))
    expect(server.calls).toHaveLength(3)
  })

  test("reads from the body of an error that the key is wrong, and when to come back", async () => {
    const error = (code: number, details: object[]) => ({
      fault: {
        status: code,
        body: JSON.stringify({ error: { code, message: "As Google says", status: "X", details } }),
      },
    })
    const info = { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "API_KEY_INVALID" }
    const retry = { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "34.5s" }
    server.reply(error(400, [info]), error(429, [retry]))
    expect(await thrown(complete(gateway))).toMatchObject({ code: "LLM_KEY" })
    const busy = await thrown(complete(gateway))
    expect(busy).toMatchObject({ code: "LLM_BUSY", retryAfterMs: 34_500 })
    expect(busy.message).toContain("As Google says (429)")
  })

  test("an error within a stream is called by its status", async () => {
    const pieces = [`data: ${JSON.stringify({ error: { code: 429, message: "As Google says", status: "X" } })}\r\n\r\n`]
    server.reply({ raw: { contentType: "text/event-stream", pieces } })
    const error = await thrown(stream(gateway))
    expect(error).toMatchObject({ code: "LLM_BUSY" })
    expect(error.message).toContain("As Google says")
  })

  test("asks for one vector for each text, of any model", async () => {
    await gateway.embed({ model: "gemini-embedding-2", texts: ["one", "two"], options: {} }, waiting())
    expect(server.last.texts).toEqual(["one", "two"])
  })

  test("tells how large its models' windows are", async () => {
    server.reply({ models: ["gemini-x"] })
    expect(await gateway.models(waiting())).toEqual([{ name: "gemini-x", contextTokens: 1_048_576 }])
  })

  test("does not take the environment's word for another API", async () => {
    vi.stubEnv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    vi.stubEnv("GOOGLE_CLOUD_PROJECT", "p")
    await complete(gemini({ baseURL: server.url, apiKey: CANARY_KEY }))
    expect(server.calls[0]?.path).toBe("/v1beta/models/fake-model:generateContent")
  })

  test("key and address come from the environment, and make the account", async () => {
    vi.stubEnv("GOOGLE_GEMINI_BASE_URL", server.url)
    vi.stubEnv("GOOGLE_API_KEY", "")
    vi.stubEnv("GEMINI_API_KEY", CANARY_KEY)
    await complete(gemini())
    expect(server.calls[0]?.headers["x-goog-api-key"]).toBe(CANARY_KEY)
    expect(gemini().account).toBe(gateway.account)
    expect(gemini().account).not.toBe(gemini({ apiKey: "another-key" }).account)
  })
})

describe("the package of Gemini", () => {
  test("that is not installed is named with the command that installs it", async () => {
    const missing = Object.assign(new Error("Cannot find package '@google/genai' imported from /app/x.js"), {
      code: "ERR_MODULE_NOT_FOUND",
    })
    const gateway = geminiWith({ apiKey: CANARY_KEY }, () => Promise.reject(missing))
    for (const ask of [() => complete(gateway), () => stream(gateway), () => gateway.models(waiting())]) {
      const error = await thrown(ask())
      expect(error).toMatchObject({ code: "LLM_GATEWAY" })
      expect(error).toBeInstanceOf(TerminalError)
      expect(error.message).toContain("npm install @google/genai")
    }
  })
})

describe("the options of the gateway gemini", () => {
  test("without a key its calls say which variable to set", async () => {
    vi.stubEnv("GOOGLE_API_KEY", "")
    vi.stubEnv("GEMINI_API_KEY", "")
    const error = await thrown(complete(gemini()))
    expect(error).toMatchObject({ code: "LLM_KEY" })
    expect(error.message).toContain("GEMINI_API_KEY")
  })

  test.each([{ apikey: "x" }, { baseURL: "here" }, { imagesFrom: "there" }])("refuse what is none: %j", (options) => {
    const [name = ""] = Object.keys(options)
    expect(() => gemini(options as object)).toThrowError(new RegExp(name))
  })
})
