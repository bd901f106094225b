import { afterEach, beforeEach, expect, test } from "vitest"
import { z } from "zod"
import { defineTool } from "../src/agents/tools/define-tool.js"
import type { MurmurEvent } from "../src/bus/event.js"
import { type RunningTelemetry, startTelemetry } from "../src/telemetry/setup.js"
import { buildCli, jsonLines, murmurAt } from "./cli/support/cli.js"
import { Answered, Asked, type Asks, asker } from "./support/llm/asker.js"
import type { FakeHandler } from "./support/llm/fake-protocol.js"
import { type Lab, startLab } from "./support/llm/lab.js"
import { take, until } from "./support/mesh.js"
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from "./support/otlp-receiver.js"

const CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
const KIND_CLIENT = 3
const STATUS_ERROR = 2
/** Stands in questions, answers, arguments and results: it must not stand in spans. */
const CONTENT = "xylophone"

let receiver: OtlpReceiver
let telemetry: RunningTelemetry
let lab: Lab
beforeEach(async () => {
  receiver = await startOtlpReceiver()
  Object.assign(process.env, {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_METRICS_EXPORTER: "none",
    OTEL_BSP_SCHEDULE_DELAY: "50",
  })
  telemetry = await startTelemetry({
    ...{ serviceName: "murmur", mesh: "test", nodeId: "n1", version: "0.0.0", prometheus: true, logLevel: "silent" },
    env: process.env,
  })
})
afterEach(async () => {
  for (const name of Object.keys(process.env)) if (name.startsWith("OTEL_")) delete process.env[name]
  await lab?.stop()
  await telemetry.shutdown()
  await receiver.close()
})

const look = defineTool({
  name: "look",
  description: "Looks something up",
  input: z.object({ what: z.string() }),
  effect: "read",
  run({ what }) {
    if (what.includes("nowhere")) throw new Error("there is nothing")
    return `found ${what}`
  },
})
const thinks: Asks = async (n, ctx) => {
  await ctx.run("prepare", () => n)
  const { text } = await ctx.llm.text(`question ${n} about a ${CONTENT}`, { tools: [look] })
  const { vectors } = await ctx.llm.embed([text], { model: "lab/vectors" })
  return `${text} ${vectors.length}`
}
const thinker = asker(thinks, { name: "thinker", tools: [look], retry: { attempts: 1 } })

/** Looks twice at a time, and says what it thinks of it. */
const answers: FakeHandler = (seen) => {
  if (seen.kind === "embed") return { vectors: [[1, 2]], usage: { inputTokens: 3, outputTokens: 0 } }
  if (seen.messages.at(-1)?.role === "tool") {
    return {
      text: `it is a ${CONTENT}`,
      reasoning: "hmm",
      model: "model-2026",
      usage: { inputTokens: 200, outputTokens: 20 },
    }
  }
  const calls = ["here", "nowhere"].map((where) => ({ name: "look", arguments: { what: `${where} ${CONTENT}` } }))
  return { text: "Let me look.", toolCalls: calls, model: "model-2026", usage: { inputTokens: 100, outputTokens: 10 } }
}

async function ran(handler: FakeHandler = answers): Promise<void> {
  lab = await startLab([thinker], { telemetry: telemetry.telemetry })
  lab.server.reply(handler)
  const { id } = await lab.bus.publish(Asked({ n: 1 }, { id: "asked-4711" }), { producer: "cli" })
  const [first] = await take(lab.bus, "murmur.run.*", 1)
  await until("its span is there", () => spans("process thinker").length > 0)
  expect(first?.correlationid).toBe(id)
}

const spans = (name: string): ReceivedSpan[] => receiver.spans.filter((span) => span.name === name)
const parentOf = ({ parentSpanId }: ReceivedSpan): string | undefined =>
  receiver.spans.find(({ spanId }) => spanId === parentSpanId)?.name

test("a run is one trace: process, invoke_agent, and under it what it asked of models and tools, without their words", async () => {
  await ran()
  const own = receiver.spans.filter(({ name }) => /^(process|invoke_agent|chat|embeddings|execute_tool)/.test(name))
  expect(own.map((span) => [span.name, parentOf(span)]).toSorted()).toEqual(
    [
      ["process thinker", undefined],
      ["invoke_agent thinker", "process thinker"],
      ["chat model", "invoke_agent thinker"],
      ["chat model", "invoke_agent thinker"],
      ["execute_tool look", "invoke_agent thinker"],
      ["execute_tool look", "invoke_agent thinker"],
      ["embeddings vectors", "invoke_agent thinker"],
    ].toSorted(),
  )
  expect(new Set(own.map(({ traceId }) => traceId)).size).toBe(1)
  const [process, agent, tool, embeddings] = [
    "process thinker",
    "invoke_agent thinker",
    "execute_tool look",
    "embeddings vectors",
  ].map((name) => spans(name)[0])
  expect(process?.attributes).toMatchObject({ "murmur.agent": "thinker", "messaging.message.id": "asked-4711" })
  expect(agent?.attributes).toMatchObject({
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "thinker",
    "gen_ai.usage.input_tokens": 303,
    "gen_ai.usage.output_tokens": 30,
  })
  expect(tool?.attributes).toMatchObject({ "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look" })
  expect(
    spans("execute_tool look")
      .map(({ status }) => status.code)
      .filter((code) => code === STATUS_ERROR),
  ).toHaveLength(1)
  expect(embeddings?.attributes).toMatchObject({
    "gen_ai.operation.name": "embeddings",
    "gen_ai.request.model": "vectors",
    "gen_ai.usage.input_tokens": 3,
  })
  const chats = spans("chat model").toSorted(
    (a, b) => Number(a.attributes["gen_ai.usage.input_tokens"]) - Number(b.attributes["gen_ai.usage.input_tokens"]),
  )
  expect(chats.map(({ kind }) => kind)).toEqual([KIND_CLIENT, KIND_CLIENT])
  expect(chats.map(({ attributes }) => attributes)).toMatchObject([
    {
      ...{ "gen_ai.operation.name": "chat", "gen_ai.provider.name": "lab", "gen_ai.request.model": "model" },
      ...{ "gen_ai.response.model": "model-2026", "gen_ai.response.id": "chatcmpl-fake" },
      ...{ "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10, "murmur.llm.tries": 1 },
      ...{ "murmur.agent": "thinker", "murmur.llm.answered_by": "lab/model", "murmur.llm.cost_usd": 0.00012 },
    },
    { "gen_ai.usage.input_tokens": 200, "gen_ai.response.finish_reasons": "stop" },
  ])
  expect(receiver.spans.filter((span) => JSON.stringify(span).includes(CONTENT)).map(({ name }) => name)).toEqual([])
})

test("what was said is in the spans when that is switched on", async () => {
  process.env[CAPTURE] = "true"
  await ran()
  const [, last] = spans("chat model").toSorted(
    (a, b) => Number(a.attributes["gen_ai.usage.input_tokens"]) - Number(b.attributes["gen_ai.usage.input_tokens"]),
  )
  expect(last?.attributes["gen_ai.input.messages"]).toContain(`question 1 about a ${CONTENT}`)
  expect(JSON.parse(String(last?.attributes["gen_ai.output.messages"]))).toMatchObject([
    { role: "assistant", finish_reason: "stop" },
  ])
})

test("a run that fails says so on all its spans, and why", async () => {
  await ran(() => ({ fault: { status: 401, message: "no such key" } }))
  for (const name of ["chat model", "invoke_agent thinker", "process thinker"]) {
    const [span] = spans(name)
    expect(span?.status.code, name).toBe(STATUS_ERROR)
    expect(span?.status.message, name).toContain("no such key")
  }
  expect(spans("chat model")[0]?.attributes["error.type"]).toBe("LLM_KEY")
})

test("tokens, cost and durations are in the metrics; no id is in a label or in the name of a span", async () => {
  await ran()
  const text = await telemetry.metricsText()
  const labels = 'gen_ai_operation_name="chat",gen_ai_provider_name="lab",gen_ai_request_model="model"'
  const value = (name: string, ...having: string[]): number => {
    const line = text
      .split("\n")
      .find((each) => each.startsWith(`${name}{`) && having.every((label) => each.includes(label)))
    return Number(line?.split(" ").at(-1))
  }
  expect(value("gen_ai_client_token_usage_sum", 'gen_ai_token_type="input"', 'operation_name="chat"')).toBe(300)
  expect(value("gen_ai_client_token_usage_sum", 'gen_ai_token_type="output"', 'operation_name="chat"')).toBe(30)
  expect(value("gen_ai_client_token_usage_sum", 'gen_ai_token_type="input"', 'operation_name="embeddings"')).toBe(3)
  expect(value("murmur_llm_cost_total", 'agent="thinker"', 'model="model"')).toBeCloseTo(0.00036, 9)
  expect(value("gen_ai_client_operation_duration_seconds_count", ...labels.split(","))).toBe(2)
  expect(value("murmur_tool_duration_seconds_count", 'outcome="ok"', 'tool="look"')).toBe(1)
  expect(value("murmur_tool_duration_seconds_count", 'outcome="error"', 'tool="look"')).toBe(1)
  const ids = /4711|key-1|chatcmpl|call_\d/
  expect(text.split("\n").filter((line) => ids.test(line))).toEqual([])
  expect(receiver.spans.map(({ name }) => name).filter((name) => ids.test(name))).toEqual([])
})

test("a run is told on the bus, in order, to whoever follows", async () => {
  await buildCli()
  await ran()
  const url = lab.mesh.server.url
  const told = await murmurAt(url)(
    "tail",
    "murmur.run.*",
    "--from-seq",
    "1",
    "--count",
    "11",
    "--json",
    "--mesh",
    "test",
  )
  expect(told).toMatchObject({ code: 0, stderr: "" })
  const events = jsonLines<MurmurEvent & { data: Record<string, unknown> }>(told)
  const outline = events.map(({ type, data }) => [
    type.replace("murmur.run.", ""),
    data.text ?? data.output ?? data.message ?? null,
  ])
  const tools = (kind: string) => outline.filter(([type]) => type === kind)
  expect(outline.filter(([type]) => !String(type).startsWith("tool-call"))).toEqual([
    ["started", null],
    ["content", "Let me look."],
    ["reasoning-started", null],
    ["reasoning-step", "hmm"],
    ["reasoning-completed", null],
    ["content", `it is a ${CONTENT}`],
    ["completed", null],
  ])
  expect(outline.findIndex(([type]) => type === "tool-call-started")).toBe(2)
  expect(tools("tool-call-started")).toHaveLength(2)
  expect(tools("tool-call-completed")).toEqual([["tool-call-completed", `found here ${CONTENT}`]])
  expect(tools("tool-call-failed")).toEqual([["tool-call-failed", "Error: there is nothing"]])
  const at = (type: string): number => outline.findLastIndex(([each]) => each === type)
  expect(Math.max(at("tool-call-completed"), at("tool-call-failed"))).toBeLessThan(at("reasoning-started"))
  for (const event of events) {
    expect(event).toMatchObject({ producer: "thinker", subject: "key-1", correlationid: "asked-4711" })
    expect(event.data).toMatchObject({ run: "asked-4711", agent: "thinker", attempt: 1 })
  }
  expect(events.at(-1)?.data).toMatchObject({ turns: 3, costMicroUsd: expect.any(Number) })
  const [answered] = await take(lab.bus, Answered.type, 1)
  expect(answered?.data).toMatchObject({ text: `it is a ${CONTENT} 1` })
}, 120_000)
