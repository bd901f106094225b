import { beforeEach, describe, expect, test, vi } from "vitest"
import { ask, failure } from "../../../test/support/llm/ask.js"
import { answer, FakeGateway, fault, Gate } from "../../../test/support/llm/fake-gateway.js"
import { ManualClock, settled } from "../../../test/support/llm/manual-clock.js"
import { MetricStore } from "../../telemetry/metric-store.js"
import type { Attributes, Span, SpanOptions, Telemetry } from "../../telemetry/ports.js"
import { assistant, image, system, toolResult, user } from "../messages/constructors.js"
import type { Broker } from "./broker.js"
import { createBroker } from "./create-broker.js"
import type { BrokerOptions } from "./options.js"

interface SeenSpan {
  name: string
  options: SpanOptions
  attributes: Record<string, unknown>
  failed: string | undefined
  ended: boolean
}

let gateway: FakeGateway
let spans: SeenSpan[]
let store: MetricStore
let telemetry: Telemetry
const models = { "fake/m": { price: { inputUsd: 1, outputUsd: 4 }, images: true } }

beforeEach(() => {
  gateway = new FakeGateway()
  spans = []
  store = new MetricStore()
  telemetry = {
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    tracing: { enabled: true, start },
    metrics: store,
  }
})

function start(name: string, options: SpanOptions): Span {
  const seen: SeenSpan = { name, options, attributes: { ...options.attributes }, failed: undefined, ended: false }
  spans.push(seen)
  return {
    context: undefined,
    set: (attributes: Attributes) => Object.assign(seen.attributes, attributes),
    link: () => {},
    fail: (error) => {
      seen.failed = error.message
    },
    end: () => {
      seen.ended = true
    },
    run: (work) => work(),
  }
}

function brokerWith(options: Partial<BrokerOptions> = {}): Broker {
  return createBroker({ gateways: [gateway], telemetry, models, random: () => 0, ...options })
}

describe("spans", () => {
  test("a call is one span, named after its model, that says what was asked of whom, and what it took", async () => {
    gateway.reply(fault(500), () =>
      answer("ok", { id: "r-1", usage: { inputTokens: 10, outputTokens: 5, cachedTokens: 2, reasoningTokens: 3 } }),
    )
    const trace = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }
    await ask(brokerWith(), "secret", { call: { agent: "triage", trace } })
    expect(spans).toMatchObject([{ name: "chat m", options: { kind: "client", parent: trace }, ended: true }])
    expect(spans[0]?.failed).toBeUndefined()
    expect(spans[0]?.attributes).toEqual({
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "fake",
      "gen_ai.request.model": "m",
      "gen_ai.response.model": "m-1",
      "gen_ai.response.id": "r-1",
      "gen_ai.response.finish_reasons": "stop",
      "gen_ai.usage.input_tokens": 10,
      "gen_ai.usage.output_tokens": 5,
      "gen_ai.usage.cache_read.input_tokens": 2,
      "gen_ai.usage.reasoning.output_tokens": 3,
      "murmur.agent": "triage",
      "murmur.llm.answered_by": "fake/m",
      "murmur.llm.cost_usd": 0.00003,
      "murmur.llm.cached": false,
      "murmur.llm.tries": 2,
    })
  })

  test("one that failed says why", async () => {
    gateway.reply(fault(401))
    await failure(ask(brokerWith()))
    expect(spans).toMatchObject([{ attributes: { "error.type": "LLM_KEY" }, failed: expect.any(String), ended: true }])
  })

  test("vectors are embeddings", async () => {
    const request = { models: ["fake/e"], texts: ["a"], options: {} }
    await brokerWith().embed(request, { signal: new AbortController().signal })
    expect(spans).toMatchObject([{ name: "embeddings e", attributes: { "gen_ai.operation.name": "embeddings" } }])
  })
})

describe("content on spans", () => {
  const messages = [
    system("Be short"),
    user("See", image({ data: "aGVsbG8=", mediaType: "image/png" }), image({ url: "https://example.com/a.png" })),
    assistant("", { reasoning: "hm", toolCalls: [{ id: "1", name: "look", arguments: { at: "it" } }] }),
    toolResult({ id: "1", name: "look" }, "x".repeat(20_000)),
  ]

  test("is not there unless somebody wants it", async () => {
    await ask(brokerWith(), "", { messages })
    expect(Object.keys(spans[0]?.attributes ?? {}).filter((name) => name.endsWith(".messages"))).toEqual([])
  })

  test("has all texts, cut where they are long, and no bytes of images", async () => {
    gateway.reply(() => answer("said"))
    await ask(brokerWith({ captureContent: true }), "", { messages })
    const input = JSON.parse(String(spans[0]?.attributes["gen_ai.input.messages"]))
    expect(input).toMatchObject([
      { role: "system", parts: [{ type: "text", content: "Be short" }] },
      {
        role: "user",
        parts: [
          { type: "text", content: "See" },
          { type: "blob", modality: "image", mime_type: "image/png" },
          { type: "uri", modality: "image", uri: "https://example.com/a.png" },
        ],
      },
      {
        role: "assistant",
        parts: [
          { type: "reasoning", content: "hm" },
          { type: "tool_call", id: "1", name: "look", arguments: '{"at":"it"}' },
        ],
      },
      {
        role: "tool",
        parts: [{ type: "tool_call_response", id: "1", response: expect.stringMatching(/^x+ \[...\]$/) }],
      },
    ])
    expect(JSON.stringify(input)).not.toContain("aGVsbG8=")
    expect(JSON.parse(String(spans[0]?.attributes["gen_ai.output.messages"]))).toEqual([
      { role: "assistant", parts: [{ type: "text", content: "said" }], finish_reason: "stop" },
    ])
  })

  test("is switched on by the environment as well", async () => {
    vi.stubEnv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    await ask(brokerWith(), "Hello")
    expect(spans[0]?.attributes).toHaveProperty(["gen_ai.input.messages"])
  })
})

describe("metrics", () => {
  const provider = { "gen_ai.provider.name": "fake", "gen_ai.request.model": "m" }

  test("tokens, money, time and tries are measured by model", async () => {
    gateway.reply(fault(500), () => answer("a b"))
    await ask(brokerWith(), "", { call: { agent: "triage", onPart: () => {} } })
    const used = { ...provider, "gen_ai.operation.name": "chat", agent: "triage" }
    expect(store.histograms.get("gen_ai.client.token.usage")?.all).toMatchObject([
      { labels: { ...used, "gen_ai.token.type": "input" }, count: 1, sum: 10 },
      { labels: { ...used, "gen_ai.token.type": "output" }, count: 1, sum: 5 },
    ])
    expect(store.counters.get("murmur.llm.cost")?.all).toMatchObject([
      { labels: { ...provider, agent: "triage" }, value: 0.00003 },
    ])
    expect(store.counters.get("murmur.llm.retries")?.all).toMatchObject([
      { labels: { "error.type": "LLM_UNAVAILABLE" }, value: 1 },
    ])
    expect(store.histograms.get("gen_ai.server.time_to_first_token")?.all).toMatchObject([
      { labels: provider, count: 1 },
    ])
    expect(store.histograms.get("gen_ai.client.operation.duration")?.all).toMatchObject([
      { labels: { ...provider, "gen_ai.operation.name": "chat" }, count: 1 },
    ])
  })

  test("a call that failed is measured with its error", async () => {
    gateway.reply(fault(404))
    await failure(ask(brokerWith()))
    expect(store.histograms.get("gen_ai.client.operation.duration")?.all).toMatchObject([
      { labels: { "error.type": "LLM_MODEL" } },
    ])
  })

  test("circuits, and calls that run and wait, can be read at any time until the broker is closed", async () => {
    const clock = new ManualClock()
    const gate = new Gate()
    gateway.reply(gate.reply)
    const limits = { fake: { concurrency: 1 } }
    const broker = brokerWith({ clock, observe: store.observe, limits, circuit: { failures: 1 }, retry: { tries: 1 } })
    const read = (name: "murmur.llm.circuit" | "murmur.llm.running" | "murmur.llm.waiting"): unknown =>
      store.gauges.get(name)?.flatMap((gauge) => [...gauge.read()].map(({ value, labels }) => [value, labels]))
    const calls = [failure(ask(broker)), failure(ask(broker))]
    await settled()
    const labels = { "gen_ai.provider.name": "fake" }
    expect(read("murmur.llm.running")).toEqual([[1, labels]])
    expect(read("murmur.llm.waiting")).toEqual([[1, labels]])
    expect(read("murmur.llm.circuit")).toEqual([[0, labels]])
    gateway.reply(fault(500))
    try {
      fault(500)({ model: "m", messages: [], options: {} }, { signal: new AbortController().signal })
    } catch (error) {
      gate.refuse(error)
    }
    await Promise.all(calls)
    expect(read("murmur.llm.circuit")).toEqual([[2, labels]])
    await broker.close()
    expect(store.gauges.size).toBe(0)
  })
})
