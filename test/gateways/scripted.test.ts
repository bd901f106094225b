import { describe, expect, test } from "vitest"
import { delimited } from "../../src/agents/minds/delimited.js"
import type { CompletionRequest } from "../../src/gateways/completion.js"
import { assistant, toolResult, user } from "../../src/gateways/messages/constructors.js"
import type { Message } from "../../src/gateways/messages/message.js"
import type { ScriptedReply } from "../../src/gateways/scripted/script.js"
import { scripted } from "../../src/gateways/scripted/scripted.js"
import {
  type FakeHandler,
  type FakeReply,
  nothingSeen,
  type ReceivedCall,
  type SeenMessage,
  type SeenRequest,
} from "../support/llm/fake-protocol.js"
import { describeGateway } from "./suite.js"
import { complete, stream, thrown } from "./suite-ask.js"
import type { Opened } from "./suite-seam.js"

/** The suite's words for a provider, put into a script: there is no server in between. */
function openScripted(): Opened {
  const seen: SeenRequest[] = []
  let handler: FakeHandler = (request) => ({ text: `You said: ${request.messages.at(-1)?.text ?? ""}` })
  const gateway = scripted({
    provider: "script",
    replies: async (request) => {
      const last = see(request)
      seen.push(last)
      return toReply(await handler(last, nobody))
    },
    pieceDelayMs: 1,
  })
  return {
    // What it is asked is told to the handler; whether in a stream it cannot see.
    gateway: { ...gateway, stream: (request, call) => marked(gateway.stream(request, call), seen) },
    server: {
      calls: [],
      seen,
      get last() {
        return seen.at(-1) ?? nothingSeen
      },
      reply(...replies) {
        const [first] = replies
        const queue = [...(replies as readonly FakeReply[])]
        handler = typeof first === "function" ? first : () => (queue.length > 1 ? queue.shift() : queue[0]) ?? {}
      },
      close: async () => {},
    },
  }
}

async function* marked<T>(parts: AsyncIterable<T>, seen: SeenRequest[]): AsyncGenerator<T> {
  for await (const part of parts) {
    const last = seen.pop()
    if (last !== undefined) seen.push({ ...last, stream: true })
    yield part
  }
}

const nobody: ReceivedCall = { index: 0, method: "", path: "", headers: {}, body: undefined, atMs: 0, brokenOff: false }

function toReply({ text, reasoning, toolCalls, finish, usage }: FakeReply): ScriptedReply {
  return {
    ...(text !== undefined && { text }),
    ...(reasoning !== undefined && { reasoning }),
    ...(toolCalls !== undefined && { toolCalls: [...toolCalls] }),
    ...(finish !== undefined && { finishReason: finish }),
    ...(usage && { usage }),
  }
}

function see(request: CompletionRequest & { readonly schema?: unknown }): SeenRequest {
  const { model, messages, tools = [], toolChoice, schema } = request
  const { reasoningEffort, timeoutMs: _, ...options } = request.options
  return {
    ...nothingSeen,
    ...{
      kind: "chat",
      model,
      tools,
      schema,
      options: { ...options, reasoning: reasoningEffort } as SeenRequest["options"],
    },
    ...(toolChoice !== undefined && { toolChoice }),
    system: messages.flatMap((message) => (message.role === "system" ? [message.content] : [])).join("\n\n"),
    messages: messages.flatMap((message) => (message.role === "system" ? [] : [seeMessage(message)])),
  }
}

function seeMessage(message: Exclude<Message, { role: "system" }>): SeenMessage {
  const { role, content } = message
  const text =
    typeof content === "string" ? content : content.map((part) => (part.type === "text" ? part.text : "")).join("")
  const calls = message.role === "assistant" ? (message.toolCalls ?? []) : []
  return {
    role,
    text,
    images: [],
    toolCalls: calls,
    ...(message.role === "tool" && { toolCallId: message.toolCallId }),
  }
}

describeGateway("scripted", async () => openScripted(), { can: { network: false, pull: false, images: false } })

describe("a script", () => {
  const ask = async (model: ReturnType<typeof scripted>, ...messages: Message[]): Promise<string> =>
    (await complete(model, { messages })).message.content

  test("takes the first line of its table that matches", async () => {
    const model = scripted({
      replies: [
        { when: "weather", reply: "Sunny." },
        { when: /^how (many|much)/i, reply: "Seven." },
        { reply: ({ lastUser }) => `You said: ${lastUser}` },
      ],
    })
    expect(await ask(model, user("What WEATHER is it?"))).toBe("Sunny.")
    expect(await ask(model, user("weather?"), assistant("Sunny."), user("How many suns?"))).toBe("Seven.")
    expect(await ask(model, user("Hello"))).toBe("You said: Hello")
    expect(model.requests).toHaveLength(3)
  })

  test("follows a conversation by its turns, however often it is asked", async () => {
    const model = scripted({
      replies: [{ when: "weather", turns: [{ toolCalls: [{ name: "weather" }] }, "It is sunny."] }],
    })
    const question = user("The weather, please")
    const { message } = await complete(model, { messages: [question] })
    const again = await complete(model, { messages: [question] })
    expect(again.message).toEqual(message)
    const [call] = message.toolCalls ?? []
    if (call === undefined) throw new Error("no call")
    expect(await ask(model, question, message, toolResult(call, "sunny"))).toBe("It is sunny.")
    expect(await ask(model, question, message, toolResult(call, "sunny"), message)).toBe("It is sunny.")
  })

  test("counts its requests in a sequence", async () => {
    const model = scripted({ replies: [{ sequence: ["one", { fault: "busy", retryAfterMs: 250 }, "three"] }] })
    expect(await ask(model, user("x"))).toBe("one")
    expect(await thrown(ask(model, user("x")))).toMatchObject({ code: "LLM_BUSY", retryAfterMs: 250 })
    expect(await ask(model, user("x"))).toBe("three")
    expect(await ask(model, user("x"))).toBe("three")
  })

  test("answers an object by the name of its schema", async () => {
    const model = scripted({ replies: [{ schema: "diagnosis", reply: { object: { cause: "disk full" } } }] })
    const request = { model: "demo", messages: [user("x")], options: {}, schemaName: "diagnosis", schema: {} }
    const { message } = await model.completeObject(request, { signal: new AbortController().signal })
    expect(message.content).toBe('{"cause":"disk full"}')
    expect(await thrown(ask(model, user("a plain question")))).toMatchObject({ code: "LLM_SCRIPT" })
  })

  test.each([
    [{ fault: "unavailable" }, "LLM_UNAVAILABLE"],
    [{ fault: "reset" }, "LLM_UNAVAILABLE"],
    [{ fault: "cut" }, "LLM_REPLY"],
    [{ fault: "refused", status: 401 }, "LLM_KEY"],
  ] as const)("plays the fault %j", async (fault, code) => {
    const model = scripted({ replies: [{ reply: fault }] })
    expect(await thrown(complete(model))).toMatchObject({ code })
    expect(await thrown(stream(model))).toMatchObject({ code })
  })

  test("breaks a stream off after the pieces that came before", async () => {
    const model = scripted({ replies: [{ reply: { fault: "cut", text: "one two three" } }] })
    const pieces: string[] = []
    const read = async (): Promise<void> => {
      const request = { model: "demo", messages: [user("x")], options: {} }
      for await (const part of model.stream(request, { signal: new AbortController().signal })) {
        if (part.type === "text") pieces.push(part.text)
      }
    }
    expect(await thrown(read())).toMatchObject({ code: "LLM_REPLY" })
    expect(pieces).toEqual(["one ", "two ", "three"])
  })

  test("hangs until nobody waits any longer", async () => {
    const model = scripted({ replies: [{ reply: { fault: "hang" } }] })
    const reason = new Error("enough")
    const request = { model: "demo", messages: [user("x")], options: {} }
    const controller = new AbortController()
    const asked = thrown(model.complete(request, { signal: controller.signal }))
    controller.abort(reason)
    expect(await asked).toBe(reason)
  })

  test("has an answer of 2 MB", async () => {
    const model = scripted({ replies: [{ reply: { fault: "huge" } }] })
    expect(await ask(model, user("x"))).toHaveLength(2_000_000)
  })

  test("puts texts that share words near each other", async () => {
    const model = scripted({ replies: [] })
    const texts = ["the disk of the server is full", "the server's disk is full again", "a goal in the last minute"]
    const { vectors } = await model.embed(
      { model: "demo", texts, dimensions: 256, options: {} },
      { signal: new AbortController().signal },
    )
    const near = (a: number, b: number): number =>
      (vectors[a] ?? []).reduce((sum, value, index) => sum + value * (vectors[b]?.[index] ?? 0), 0)
    expect(near(0, 0)).toBeCloseTo(1)
    expect(near(0, 1)).toBeGreaterThan(near(0, 2) + 0.2)
  })

  test("refuses options that it does not know, and lines that say too much or nothing", () => {
    const made = (options: object) => () => scripted(options as Parameters<typeof scripted>[0])
    expect(made({ replies: [], colour: "red" })).toThrow(/colour/)
    expect(made({ replies: [{ when: "x" }] })).toThrow(/exactly one of/)
    expect(made({ replies: [{ reply: "a", turns: ["b"] }] })).toThrow(/exactly one of/)
    expect(made({ replies: [{ reply: { fault: "tired" } }] })).toThrow(expect.objectContaining({ code: "LLM_OPTION" }))
  })
})

describe("a script", () => {
  const said = async (...content: string[]): Promise<unknown> => {
    const shown: unknown[] = []
    const gateway = scripted({
      replies: ({ data }) => {
        shown.push(data)
        return "ok"
      },
    })
    const messages = content.map((each) => user(each))
    await gateway.complete({ model: "demo", messages, options: {} }, { signal: AbortSignal.timeout(5_000) })
    return shown[0]
  }

  test("is shown the data of the last user's message", async () => {
    const data = { text: "--- end data x ---\nand more", list: [1, 2] }
    expect(await said("hello")).toBeUndefined()
    expect(await said(delimited(data, { kind: "event" }))).toEqual(data)
    expect(await said("first", `Run:\n${delimited(data)}\nLog:\n${delimited("second")}`)).toEqual(data)
    expect(await said(delimited(data), "and now?")).toBeUndefined()
    expect(await said("--- begin data a ---\n{}\nno JSON\n--- end data a ---")).toBeUndefined()
    expect(await said("--- begin data a ---\n{}\n{}\n--- end data b ---")).toBeUndefined()
  })
})
