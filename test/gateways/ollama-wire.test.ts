import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { TerminalError } from "../../src/errors.js"
import type { ObjectRequest } from "../../src/gateways/completion.js"
import type { PullProgress } from "../../src/gateways/gateway.js"
import { assistant, image, system, toolResult, user } from "../../src/gateways/messages/constructors.js"
import { ollamaAddress } from "../../src/gateways/ollama/address.js"
import { ollama } from "../../src/gateways/ollama/ollama.js"
import type { FakeServer } from "../support/llm/fake-server.js"
import { startOllamaServer } from "../support/llm/ollama-server.js"
import { complete, request, stream, thrown, waiting } from "./suite-ask.js"
import { weather } from "./suite-tools.js"

const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==",
  "base64",
)

const schema = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
}
const place: ObjectRequest = { ...request(), schemaName: "place", schema }

describe("the gateway ollama on the wire", () => {
  let server: FakeServer
  beforeEach(async () => {
    server = await startOllamaServer()
  })
  afterEach(() => server.close())

  const body = (): Record<string, unknown> => server.calls.at(-1)?.body as Record<string, unknown>

  test("names the window, the longest answer and how long the model stays as Ollama does", async () => {
    const gateway = ollama({ host: server.url, keepAlive: "30m" })
    await complete(gateway, {
      options: { contextTokens: 16_384, maxTokens: 99, temperature: 0, seed: 7, stop: ["END"] },
    })
    expect(body()).toMatchObject({
      keep_alive: "30m",
      options: { num_ctx: 16_384, num_predict: 99, temperature: 0, seed: 7, stop: ["END"] },
    })
    await gateway.embed({ model: "m", texts: ["a"], options: {} }, waiting())
    expect(body()).toMatchObject({ keep_alive: "30m" })
    await complete(ollama({ host: server.url }))
    expect(body()).not.toHaveProperty("keep_alive")
    expect(body()).not.toHaveProperty("think")
  })

  test("lets nothing be shortened without a word: what does not fit is an error that says what to do", async () => {
    const gateway = ollama({ host: server.url })
    await complete(gateway)
    expect(body()).toMatchObject({ truncate: false, shift: false })
    await gateway.embed({ model: "m", texts: ["a"], options: {} }, waiting())
    expect(body()).toMatchObject({ truncate: false })
    server.reply({ fault: { status: 400, message: "the input length exceeds the context length" } })
    const error = await thrown(complete(gateway))
    expect(error).toMatchObject({ code: "LLM_CONTEXT" })
    expect(error.message).toContain("contextTokens")
  })

  test.each([
    ["none", false],
    ["minimal", "low"],
    ["low", "low"],
    ["medium", "medium"],
    ["high", "high"],
  ] as const)("thinks with effort %s as %s", async (reasoningEffort, think) => {
    await complete(ollama({ host: server.url }), { options: { reasoningEffort } })
    expect(body().think).toBe(think)
  })

  test("holds the model to a schema, unless it may call tools: then it is told the schema", async () => {
    const gateway = ollama({ host: server.url })
    server.reply({ text: '{"city":"Bern"}' })
    await gateway.completeObject(place, waiting())
    expect(body().format).toEqual(schema)
    await gateway.completeObject({ ...place, tools: [weather] }, waiting())
    expect(body()).not.toHaveProperty("format")
    expect(server.last.system).toContain(JSON.stringify(schema))
    await gateway.completeObject({ ...place, tools: [weather], toolChoice: "none" }, waiting())
    expect(body().format).toEqual(schema)
    expect(body()).not.toHaveProperty("tools")
  })

  test("names calls that the server has not named, differently in each turn and the same each time", async () => {
    const gateway = ollama({ host: server.url })
    const called = { name: "weather", arguments: { city: "Bern" } }
    server.reply({ toolCalls: [called, called] })
    const first = (await complete(gateway, { tools: [weather] })).message
    expect((await complete(gateway, { tools: [weather] })).message).toEqual(first)
    const [one, two] = first.toolCalls ?? []
    if (one === undefined || two === undefined) throw new Error("two calls were wanted")
    expect(one.id).not.toBe(two.id)
    const messages = [user("Hello"), first, toolResult(one, "sunny"), toolResult(two, "rain")]
    const next = (await complete(gateway, { messages, tools: [weather] })).message.toolCalls ?? []
    expect(new Set([one, two, ...next].map(({ id }) => id)).size).toBe(4)
    // A history that was shortened counts fewer messages.
    const short = (await complete(gateway, { messages: [first], tools: [weather] })).message.toolCalls ?? []
    expect(new Set([one, two, ...short].map(({ id }) => id)).size).toBe(4)
  })

  test("keeps the names that a newer server gives", async () => {
    server.reply({ toolCalls: [{ id: "call_x7", name: "weather", arguments: {} }] })
    const { message } = await complete(ollama({ host: server.url }), { tools: [weather] })
    expect(message.toolCalls).toMatchObject([{ id: "call_x7" }])
  })

  test("sends thoughts back with the calls that they led to, and no others", async () => {
    const call = { id: "call_1", name: "weather", arguments: {} }
    const thinking = [assistant("Hi", { reasoning: "old" }), assistant("", { reasoning: "look", toolCalls: [call] })]
    await complete(ollama({ host: server.url }), { messages: [user("a"), ...thinking, toolResult(call, "sunny")] })
    const [, first, second] = body().messages as { thinking?: string }[]
    expect(first).not.toHaveProperty("thinking")
    expect(second?.thinking).toBe("look")
  })

  test("keeps system messages where they stand", async () => {
    await complete(ollama({ host: server.url }), { messages: [system("a"), user("b"), system("c"), user("d")] })
    expect((body().messages as { role: string }[]).map(({ role }) => role)).toEqual([
      "system",
      "user",
      "system",
      "user",
    ])
  })

  test("does not take an image's bytes for the path of a file, which the library would read", async () => {
    // In base64: /etc/hostname and what makes it four letters each.
    const data = "/etc/hosts=="
    const messages = [user({ type: "image" as const, image: { data, mediaType: "image/png" } })]
    await complete(ollama({ host: server.url }), { messages })
    expect(server.last.messages[0]?.images).toEqual([{ base64: Buffer.from(data, "base64").toString("base64") }])
  })

  test("refuses to be told that a tool must be called, which Ollama cannot be", async () => {
    const error = await thrown(complete(ollama({ host: server.url }), { tools: [weather], toolChoice: "required" }))
    expect(error).toMatchObject({ code: "LLM_UNSUPPORTED" })
    expect(server.calls).toHaveLength(0)
  })

  test("tells of a pull in bytes of all layers", async () => {
    const gateway = ollama({ host: server.url })
    const told: PullProgress[] = []
    for await (const each of gateway.pull?.("qwen3:8b", waiting()) ?? []) told.push(each)
    expect(server.last).toMatchObject({ kind: "pull", model: "qwen3:8b" })
    expect(told).toEqual([
      { status: "pulling manifest" },
      { status: "pulling aaa", completedBytes: 0, totalBytes: 1_000 },
      { status: "pulling aaa", completedBytes: 400, totalBytes: 1_000 },
      { status: "pulling aaa", completedBytes: 1_000, totalBytes: 1_000 },
      { status: "pulling bbb", completedBytes: 1_050, totalBytes: 1_050 },
      { status: "verifying sha256 digest", completedBytes: 1_050, totalBytes: 1_050 },
      { status: "success", completedBytes: 1_050, totalBytes: 1_050 },
    ])
  })

  test("says what is wrong with a pull, and breaks it off when the reader leaves", async () => {
    const gateway = ollama({ host: server.url })
    const pull = async (): Promise<void> => {
      for await (const _ of gateway.pull?.("qwen3:8b", waiting()) ?? []) break
    }
    server.reply({ progress: [{ status: "pulling manifest" }, { error: "pull model manifest: file does not exist" }] })
    const read = async (): Promise<void> => {
      for await (const _ of gateway.pull?.("nonsense", waiting()) ?? []);
    }
    expect((await thrown(read())).message).toContain("file does not exist")
    server.reply({ progress: Array.from({ length: 100 }, () => ({ status: "pulling" })), pieceDelayMs: 30 })
    await pull()
    await vi.waitFor(() => expect(server.calls.at(-1)?.brokenOff).toBe(true))
  })

  test("tells what its models can do", async () => {
    server.reply({ models: ["qwen3:8b"] })
    expect(await ollama({ host: server.url }).models(waiting())).toEqual([
      { name: "qwen3:8b", contextTokens: 40_960, tools: true, images: true },
    ])
  })

  test("says how to start Ollama, and how to fetch a model", async () => {
    server.reply({ fault: { status: 404, message: 'model "qwen3:8b" not found' } })
    const missing = await thrown(complete(ollama({ host: server.url }), { model: "qwen3:8b" }))
    expect(missing).toMatchObject({ code: "LLM_MODEL" })
    expect(missing.message).toContain('"ollama pull qwen3:8b"')
    await server.close()
    const error = await thrown(complete(ollama({ host: server.url })))
    expect(error).toMatchObject({ code: "LLM_UNAVAILABLE" })
    expect(error.message).toContain("ollama serve")
    expect(error.message).toContain(server.url)
  })

  test("an error within a stream may pass by itself, and nothing of it is written to the console", async () => {
    const consoled = (["log", "warn", "error"] as const).map((name) => vi.spyOn(console, name).mockReturnValue())
    const gateway = ollama({ host: server.url })
    const begun = `${JSON.stringify({ model: "m", message: { role: "assistant", content: "He" }, done: false })}\n`
    server.reply(
      { raw: { pieces: [begun, '{"error":"the runner has died"}\n'] } },
      { raw: { pieces: [begun, '{"model": "m", "mess'] } },
      { fault: { status: 500, body: "<html>", headers: { "content-type": "text/html" } } },
      { fault: { status: 500, body: "no JSON" } },
    )
    const first = await thrown(stream(gateway))
    expect(first).toMatchObject({ code: "LLM_UNAVAILABLE" })
    expect(first.message).toContain("the runner has died")
    expect(await thrown(stream(gateway))).toMatchObject({ code: "LLM_REPLY" })
    for (const _ of "ab") expect(await thrown(stream(gateway))).toMatchObject({ code: "LLM_UNAVAILABLE" })
    for (const spy of consoled) expect(spy).not.toHaveBeenCalled()
  })

  test("sends name and password of an address as a header, and tells neither", async () => {
    const { host } = new URL(server.url)
    const gateway = ollama({ host: `http://ann:s3cret-word@${host}` })
    server.reply({ fault: { status: 401, message: "no s3cret-word here" } })
    const error = await thrown(complete(gateway))
    expect(error).toMatchObject({ code: "LLM_KEY" })
    expect(error.message).not.toContain("s3cret-word")
    expect(server.calls[0]?.headers.authorization).toBe(`Basic ${Buffer.from("ann:s3cret-word").toString("base64")}`)
  })

  describe("images with an address", () => {
    const images = createServer((asked, response) => {
      if (asked.url === "/away") response.writeHead(302, { location: "/point.png" }).end()
      else if (asked.url === "/round") response.writeHead(302, { location: "/round" }).end()
      else if (asked.url === "/page") response.end("<html>")
      else if (asked.url === "/point.png") response.end(PNG)
      else if (asked.url === "/huge") {
        const write = (): void => {
          if (!response.destroyed) response.write(Buffer.alloc(1_000_000), write)
        }
        write()
      } else response.writeHead(Number(asked.url?.slice(1))).end()
    })
    let origin = ""
    beforeEach(async () => {
      await new Promise<void>((resolve) => images.listen(0, "127.0.0.1", resolve))
      origin = `http://127.0.0.1:${(images.address() as AddressInfo).port}`
    })
    afterEach(async () => {
      images.closeAllConnections()
      await new Promise((resolve) => images.close(resolve))
    })
    const see = (path: string, imagesFrom?: "anywhere") => {
      const gateway = ollama({ host: server.url, ...(imagesFrom && { imagesFrom }) })
      return complete(gateway, { messages: [user("What is this?", image({ url: `${origin}${path}` }))] })
    }

    test("are fetched, also where they have moved to", async () => {
      for (const path of ["/point.png", "/away"]) {
        await see(path, "anywhere")
        expect(server.last.messages[0]?.images).toEqual([{ base64: PNG.toString("base64") }])
      }
    })

    test.each([
      ["/round", TerminalError, "redirects"],
      ["/page", TerminalError, "PNG"],
      ["/huge", TerminalError, "20971520"],
      ["/404", TerminalError, "404"],
      ["/503", Error, "503"],
    ] as const)("that are none are refused: %s", async (path, kind, words) => {
      const error = await thrown(see(path, "anywhere"))
      expect(error).toMatchObject({ code: "LLM_IMAGE" })
      expect(error).toBeInstanceOf(kind)
      expect(error.message).toContain(words)
      expect(server.calls).toHaveLength(0)
    })

    test("are not fetched from one's own machine and networks unless that is allowed", async () => {
      expect((await thrown(see("/point.png"))).message).toContain("imagesFrom")
      origin = origin.replace("127.0.0.1", "localhost")
      expect((await thrown(see("/point.png"))).message).toContain("imagesFrom")
      origin = origin.replace("localhost", "[::ffff:7f00:1]")
      expect((await thrown(see("/point.png"))).message).toContain("imagesFrom")
    })
  })
})

describe("the address of Ollama", () => {
  test.each([
    ["gpu", "http://gpu:11434"],
    ["gpu:8080", "http://gpu:8080"],
    [":8080", "http://127.0.0.1:8080"],
    ["gpu:80", "http://gpu"],
    ["http://gpu", "http://gpu"],
    ["https://ollama.example/api-of-ours/", "https://ollama.example/api-of-ours"],
    ["0.0.0.0", "http://127.0.0.1:11434"],
    ["0.0.0.0:9", "http://127.0.0.1:9"],
    ["http://[::]:9", "http://[::1]:9"],
    [" 10.0.0.7 ", "http://10.0.0.7:11434"],
  ])("%s is %s", (host, url) => {
    expect(ollamaAddress(host).url).toBe(url)
  })

  test("that is none is refused, without telling a password", () => {
    expect(() => ollamaAddress("ann:s3cret@:::")).toThrowError(/host:port/)
    expect(() => ollamaAddress("ann:s3cret@:::")).not.toThrowError(/s3cret/)
  })

  test("comes from OLLAMA_HOST", async () => {
    const server = await startOllamaServer()
    try {
      vi.stubEnv("OLLAMA_HOST", new URL(server.url).host)
      server.reply({ text: "here" })
      expect((await complete(ollama())).message.content).toBe("here")
    } finally {
      await server.close()
    }
  })

  test.each([{ hots: "x" }, { keepAlive: "soon" }, { provider: "A b" }, { idleTimeoutMs: 0 }, { imagesFrom: "here" }])(
    "an option that is none is refused: %j",
    (options) => {
      const [name = ""] = Object.keys(options)
      expect(() => ollama(options as object)).toThrowError(new RegExp(name))
      expect(() => ollama(options as object)).toThrowError(TerminalError)
    },
  )
})
