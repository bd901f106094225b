import { beforeEach, describe, expect, test } from "vitest"
import { ask, failure } from "../../../test/support/llm/ask.js"
import { answer, FakeGateway } from "../../../test/support/llm/fake-gateway.js"
import { ManualClock, settled } from "../../../test/support/llm/manual-clock.js"
import { noTelemetry, silentLog } from "../../telemetry/ports.js"
import type { StreamPart } from "../completion.js"
import { createBroker } from "./create-broker.js"
import type { BrokerOptions } from "./options.js"

let gateway: FakeGateway

beforeEach(() => {
  gateway = new FakeGateway()
})

describe("options", () => {
  const wrong: [string, object, string][] = [
    ["no gateway", { gateways: [] }, "gateways: needs at least one gateway"],
    ["something that is no gateway", { gateways: [{}] }, "gateways.0: must be a gateway"],
    ["an unknown one", { timeout: 5 }, 'Unrecognized key: "timeout"'],
    ["an unknown one inside", { retry: { times: 5 } }, 'retry: Unrecognized key: "times"'],
    ["no time at all", { timeoutMs: 0 }, "timeoutMs: "],
    ["half a try", { retry: { tries: 0.5 } }, "retry.tries: "],
    ["a limit of nothing", { limits: { fake: { requestsPerMinute: 0 } } }, "limits.fake.requestsPerMinute: "],
    ["an alias that looks like a model", { aliases: { "a/b": "fake/m" } }, '"a/b" must not be empty or contain "/"'],
    ["an alias for nothing", { aliases: { a: "b" } }, '"b" is neither provider/model nor an alias (aliases: a)'],
    ["aliases in a circle", { aliases: { a: "b", b: ["fake/m", "a"] } }, "aliases go in a circle: a -> b -> a"],
    ["an unknown fact of a model", { models: { "fake/m": { cost: 5 } } }, "cost"],
    ["no clock", { clock: {} }, "clock: must be a clock"],
    ["no limiter", { limiter: {} }, "limiter: must be a rate limiter"],
    ["no cache", { cache: {} }, "cache: must be a response cache"],
  ]
  test.each(wrong)("%s: is refused, and said which", (_, options, message) => {
    const make = () => createBroker({ gateways: [gateway], ...options } as BrokerOptions)
    expect(make).toThrow(expect.objectContaining({ code: "LLM_OPTION", message: expect.stringContaining(message) }))
  })

  test("limits of a provider that is not there are told of, since another machine may have it", () => {
    const told: unknown[] = []
    const log = { ...silentLog, warn: (fields: object) => told.push(fields) }
    createBroker({ gateways: [gateway], limits: { fake: {}, other: {} }, telemetry: { ...noTelemetry, log } })
    expect(told).toEqual([{ provider: "other", providers: ["fake"] }])
  })

  test("two gateways of one name are refused", () => {
    expect(() => createBroker({ gateways: [gateway, new FakeGateway()] })).toThrow('"fake" is there twice')
  })

  test("of a request: unknown ones and those out of range are refused before anything is sent", async () => {
    const broker = createBroker({ gateways: [gateway] })
    const unknown = await failure(ask(broker, "", { options: { temprature: 1 } as object }))
    expect(unknown).toMatchObject({ code: "LLM_OPTION", name: "TerminalError" })
    expect(unknown.message).toContain("temprature")
    expect((await failure(ask(broker, "", { options: { temperature: 3 } }))).message).toContain("options.temperature")
    expect((await failure(ask(broker, "", { call: { priority: Number.NaN } }))).code).toBe("LLM_OPTION")
    const embed = { models: ["fake/m"], texts: ["a"], options: { seed: 1 } as object }
    expect((await failure(broker.embed(embed, { signal: new AbortController().signal }))).message).toContain("seed")
    expect(gateway.requests).toHaveLength(0)
  })
})

describe("names of models", () => {
  const aliases = { fast: "fake/small", smart: ["fake/large", "fast"], same: ["fake/small", "fast"] }

  test("an alias is the models that it stands for, each asked once", async () => {
    const broker = createBroker({ gateways: [gateway], aliases })
    expect((await ask(broker, "", { models: ["smart"] })).answeredBy).toBe("fake/large")
    gateway.reply(() => {
      throw new Error("stop")
    })
    await failure(ask(broker, "", { models: ["same"] }))
    expect(gateway.requests.map(({ model }) => model)).toEqual(["large", "small"])
  })

  test("the name of a model may have slashes in it", async () => {
    const broker = createBroker({ gateways: [gateway] })
    await ask(broker, "", { models: ["fake/hub/models/m:8b"] })
    expect(gateway.requests).toMatchObject([{ model: "hub/models/m:8b" }])
  })

  test.each([
    [[], "LLM_OPTION", "no model is named"],
    [["slow"], "LLM_OPTION", '"slow" is neither provider/model nor an alias (aliases: fast, smart, same)'],
    [["other/m"], "LLM_GATEWAY", 'there is no gateway "other" (there are: fake)'],
  ])("%j is refused", async (models, code, message) => {
    const error = await failure(ask(createBroker({ gateways: [gateway], aliases }), "", { models }))
    expect(error).toMatchObject({ code, name: "TerminalError", message: expect.stringContaining(message) })
  })

  test("what is known of a model can be asked for by name and by alias", () => {
    const broker = createBroker({ gateways: [gateway], aliases, models: { "fake/small": { contextTokens: 77 } } })
    expect(broker.model("fast")).toMatchObject({
      name: "fake/small",
      provider: "fake",
      model: "small",
      contextTokens: 77,
    })
    expect(() => broker.model("other/m")).toThrow(expect.objectContaining({ code: "LLM_GATEWAY" }))
    expect(() => broker.model("slow")).toThrow(expect.objectContaining({ code: "LLM_OPTION" }))
  })
})

describe("an answer that is followed", () => {
  test("comes in pieces, the whole of it last", async () => {
    gateway.reply(() => answer("one two three"))
    const parts: StreamPart[] = []
    const broker = createBroker({ gateways: [gateway] })
    const answered = await ask(broker, "", { call: { onPart: (part) => parts.push(part) } })
    expect(parts.map((part) => (part.type === "text" ? part.text : part.type))).toEqual([
      "one ",
      "two ",
      "three",
      "end",
    ])
    expect(answered).toMatchObject({ message: { content: "one two three" }, firstPartMs: expect.any(Number) })
  })

  test("is given up when nothing more comes for half a minute", async () => {
    const clock = new ManualClock()
    const broker = createBroker({ gateways: [gateway], clock, retry: { tries: 1 } })
    let broken = false
    gateway.stream = async function* (_request, { signal }) {
      for (const wait of [29_999, 29_999, undefined]) {
        yield { type: "text", text: "a " } as const
        await new Promise<void>((done, fail) => {
          if (wait !== undefined) clock.after(wait, done)
          signal.addEventListener("abort", () => {
            broken = true
            fail(new Error("aborted"))
          })
        })
      }
    }
    const parts: StreamPart[] = []
    const gone = failure(ask(broker, "", { call: { onPart: (part) => parts.push(part) } }))
    await clock.pass(2 * 29_999 + 29_999)
    expect(parts).toHaveLength(3)
    await clock.pass(1)
    expect(await gone).toMatchObject({ code: "LLM_IDLE", name: "RetryableError" })
    expect(broken).toBe(true)
    expect(clock.pending).toBe(0)
  })

  test("that ends without its end cannot be read", async () => {
    const broker = createBroker({ gateways: [gateway], retry: { tries: 1 } })
    gateway.stream = async function* () {
      yield { type: "text", text: "half" } as const
    }
    expect(await failure(ask(broker, "", { call: { onPart: () => {} } }))).toMatchObject({ code: "LLM_REPLY" })
  })

  test("of a gateway that goes on after nobody waits is not told any more", async () => {
    const broker = createBroker({ gateways: [gateway] })
    let next = (): void => {}
    gateway.stream = async function* () {
      for (;;) {
        await new Promise<void>((done) => {
          next = done
        })
        yield { type: "text", text: "on " } as const
      }
    }
    const caller = new AbortController()
    const parts: StreamPart[] = []
    const gone = failure(ask(broker, "", { call: { signal: caller.signal, onPart: (part) => parts.push(part) } }))
    await settled()
    next()
    await settled()
    caller.abort(new Error("gone"))
    next()
    await gone
    await settled()
    expect(parts).toHaveLength(1)
  })
})

describe("an answer that is too large to be kept", () => {
  test.each([
    ["text", answer("x".repeat(512 * 1_024))],
    ["text whose characters are long in JSON", answer("\u0001".repeat(90_000))],
    ["reasoning", answer("", { message: { role: "assistant", content: "", reasoning: "x".repeat(600_000) } })],
    [
      "arguments of a tool",
      answer("", {
        message: {
          role: "assistant",
          content: "",
          toolCalls: [{ id: "1", name: "t", arguments: { x: "x".repeat(600_000) } }],
        },
      }),
    ],
  ])("is refused for its %s", async (_, completion) => {
    gateway.reply(() => completion)
    const error = await failure(ask(createBroker({ gateways: [gateway] })))
    expect(error).toMatchObject({ code: "LLM_REPLY_TOO_LARGE", name: "TerminalError", details: { bytesMax: 524_288 } })
    expect(gateway.requests).toHaveLength(1)
  })

  test("is not one that is just not", async () => {
    gateway.reply(() => answer("x".repeat(500_000)))
    expect((await ask(createBroker({ gateways: [gateway] }))).message.content).toHaveLength(500_000)
  })

  test("is refused for its vectors", async () => {
    gateway.embed = async () => ({
      vectors: Array.from({ length: 100 }, () => Array.from({ length: 1_000 }, () => Math.PI)),
      usage: { inputTokens: 1, outputTokens: 0 },
      model: "e",
    })
    const request = { models: ["fake/e"], texts: ["a"], options: {} }
    const broker = createBroker({ gateways: [gateway] })
    const error = await failure(broker.embed(request, { signal: new AbortController().signal }))
    expect(error).toMatchObject({ code: "LLM_REPLY_TOO_LARGE", message: expect.stringContaining("fewer texts") })
  })
})
