import { createHmac } from "node:crypto"
import { map } from "rxjs"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { z } from "zod"
import type { StepContext } from "../src/agents/context.js"
import { type AgentDefinition, defineAgent } from "../src/agents/define-agent.js"
import { tumbling } from "../src/agents/windows/operators.js"
import { defineEvent } from "../src/bus/define-event.js"
import { type HttpServer, startHttp } from "../src/http/server.js"
import { DeadLetterRetry, DeadLetters, type StoredLetter } from "../src/node/dead-letter-store.js"
import type { MurmurNode } from "../src/node/node.js"
import { CiRunCompleted } from "../src/sources/index.js"
import { github } from "../src/sources/webhooks/github.js"
import { type RunningTelemetry, startTelemetry } from "../src/telemetry/setup.js"
import { asker, Asked as LabAsked } from "./support/llm/asker.js"
import { startLab } from "./support/llm/lab.js"
import { startMesh, type TestMesh, take, until } from "./support/mesh.js"
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from "./support/otlp-receiver.js"

const Asked = defineEvent("q.asked", z.object({ q: z.string() }), { key: (d) => d.q })
const Thought = defineEvent("q.thought", z.object({ q: z.string() }), { key: (d) => d.q })
const Answered = defineEvent("q.answered", z.object({ q: z.string() }), { key: (d) => d.q })
const Counted = defineEvent("q.counted", z.object({ letters: z.number() }))

const SECRET = "a-webhook-secret"
const closing: (() => Promise<unknown>)[] = []
let receiver: OtlpReceiver
let running: RunningTelemetry
beforeEach(async () => {
  receiver = await startOtlpReceiver()
  vi.stubEnv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
  vi.stubEnv("OTEL_METRICS_EXPORTER", "none")
  vi.stubEnv("OTEL_BSP_SCHEDULE_DELAY", "50")
  vi.stubEnv("GITHUB_WEBHOOK_SECRET", SECRET)
  const who = { serviceName: "murmur", mesh: "test", nodeId: "n1", version: "0.0.0" } as const
  running = await startTelemetry({ ...who, env: process.env, prometheus: true, logLevel: "silent" })
  closing.push(() => receiver.close())
})
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  await running.shutdown()
})

/** Agents on a node that is traced. */
async function meshOf(agents: AgentDefinition[], sources: ReturnType<typeof github>[] = []): Promise<TestMesh> {
  const mesh = await startMesh({ agents, sources }, { telemetry: running.telemetry })
  closing.push(() => mesh.stop())
  return mesh
}

async function serve(node: MurmurNode): Promise<HttpServer> {
  const http = await startHttp(
    {
      readiness: () => node.readiness(),
      metricsText: () => running.metricsText(),
      publish: (draft, options) => node.publish(draft, options),
      webhooks: node.webhooks,
      telemetry: running.telemetry,
    },
    { port: 0 },
  )
  closing.push(() => http.close())
  return http
}

function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const batch = Array.isArray(body) ? "-batch" : ""
  const type = { "content-type": `application/cloudevents${batch}+json` }
  return fetch(`${url}/events`, { method: "POST", headers: { ...type, ...headers }, body: JSON.stringify(body) })
}

const asked = (id: string, more: object = {}): object => ({
  ...{ specversion: "1.0", id, source: "/test", type: "q.asked", subject: id, data: { q: id } },
  ...more,
})

const named = (name: string): ReceivedSpan[] => receiver.spans.filter((span) => span.name === name)

/** The spans of these names, each once, as soon as all are there. */
async function chainOf(...names: string[]): Promise<ReceivedSpan[]> {
  await until(`spans ${names.join(", ")}`, () => names.every((name) => named(name).length > 0))
  return names.map((name) => named(name)[0] as ReceivedSpan)
}

function expectChain(chain: readonly ReceivedSpan[]): void {
  for (const [at, span] of chain.entries()) {
    expect(span.traceId, span.name).toBe(chain[0]?.traceId)
    if (at > 0) expect(span.parentSpanId, span.name).toBe(chain[at - 1]?.spanId)
  }
}

const context = (trace: string, span: string, flags = "01"): string =>
  `00-${trace.repeat(32)}-${span.repeat(16)}-${flags}`

const thinker = defineAgent("thinker", {
  on: [Asked],
  emits: [Thought],
  handle: (event, ctx) => ctx.emit(Thought(event.data)),
})
const answerer = defineAgent("answerer", {
  on: [Thought],
  emits: [Answered],
  handle: (event, ctx) => ctx.emit(Answered(event.data)),
})
const counter = defineAgent("counter", {
  on: [Answered],
  emits: [Counted],
  react: (answers) => answers.pipe(map(({ data }) => Counted({ letters: data.q.length }, { key: data.q }))),
})

const CHAIN = ["process thinker", "send q.thought", "process answerer", "send q.answered"]

test("one trace goes from the HTTP request through three agents to the last event", async () => {
  const mesh = await meshOf([thinker, answerer, counter])
  const http = await serve(mesh.node)
  const response = await post(http.url, asked("root"), { traceparent: context("a", "b") })
  expect(response.status).toBe(202)
  const [counted] = await take(mesh.bus, "q.counted", 1)
  expect(counted).toMatchObject({ correlationid: "root", hops: 3, trust: "external" })

  const chain = await chainOf("POST /events", ...CHAIN, "process counter", "send q.counted")
  expectChain(chain)
  expect(chain[0]).toMatchObject({ traceId: "a".repeat(32), parentSpanId: "b".repeat(16), kind: 2 })
  expect(counted?.trace?.traceparent.slice(3, 35)).toBe("a".repeat(32))
  expect(chain[1]?.attributes).toMatchObject({ "messaging.message.conversation_id": "root", "murmur.hops": 0 })

  const metrics = await (await fetch(`${http.url}/metrics`)).text()
  expect(metrics).toMatch(/murmur_step_duration_seconds_count\{[^}]*agent="thinker"[^}]*\} 1/)
})

test("and from a webhook; what its caller said along is with every agent and on every event", async () => {
  const seen: unknown[] = []
  const reviewer = defineAgent("reviewer", {
    on: [CiRunCompleted],
    emits: [Asked],
    handle(event, ctx) {
      seen.push(ctx.baggage)
      ctx.emit(Asked({ q: event.data.conclusion ?? "none" }))
    },
  })
  const isolated = defineAgent("curious", {
    on: [Asked],
    emits: [Thought],
    async handle(event, ctx) {
      seen.push(await ctx.outcome("look", async (branch) => ({ ...branch.baggage })))
      ctx.emit({ ...Thought(event.data), extensions: { baggage: "tenant=other" } })
    },
  })
  const mesh = await meshOf([reviewer, isolated, answerer], [github()])
  const http = await serve(mesh.node)
  const { default: examples } = await import("@octokit/webhooks-examples", { with: { type: "json" } })
  const hooks = examples as unknown as { name: string; examples: { action?: string }[] }[]
  const run = hooks.find(({ name }) => name === "workflow_run")?.examples.find(({ action }) => action === "completed")
  const body = JSON.stringify(run)
  const response = await fetch(`${http.url}/hooks/github`, {
    method: "POST",
    body,
    headers: {
      "content-type": "application/json",
      "x-github-event": "workflow_run",
      "x-github-delivery": "d-1",
      "x-hub-signature-256": `sha256=${createHmac("sha256", SECRET).update(body).digest("hex")}`,
      traceparent: context("c", "d"),
      baggage: "tenant=acme,user=J%C3%B6rg;private",
    },
  })
  expect(response.status).toBeLessThan(300)
  const [answered] = await take(mesh.bus, "q.answered", 1)
  const chain = await chainOf(
    ...["POST /hooks/github", `send ${CiRunCompleted.type}`, "process reviewer", "send q.asked"],
    ...["process curious", "send q.thought", "process answerer", "send q.answered"],
  )
  expectChain(chain)
  expect(chain[1]?.attributes["messaging.message.id"]).toBe(chain[2]?.attributes["messaging.message.id"])
  expect(answered?.trace?.traceparent.slice(3, 35)).toBe("c".repeat(32))
  const along = { tenant: "acme", user: "Jörg" }
  expect(seen).toEqual([along, { ok: true, value: along }])
  const [question] = await take(mesh.bus, "q.asked", 1)
  expect(question?.extensions.baggage).toBe("tenant=acme,user=J%C3%B6rg;private")
  expect(answered?.extensions.baggage).toBe("tenant=other")
  expect(JSON.stringify(receiver.spans)).not.toContain("acme")
})

test("a caller that does not sample its trace leaves no span, and the agents after it neither", async () => {
  const mesh = await meshOf([thinker, answerer])
  const http = await serve(mesh.node)
  await post(http.url, asked("quiet"), { traceparent: context("e", "f", "00"), baggage: "tenant=acme" })
  const [quiet] = await take(mesh.bus, "q.answered", 1)
  expect(quiet?.trace?.traceparent).toMatch(new RegExp(`^00-${"e".repeat(32)}-[0-9a-f]{16}-00$`))
  expect(quiet?.extensions.baggage).toBe("tenant=acme")
  await post(http.url, asked("loud"), { traceparent: context("a", "b") })
  await chainOf("POST /events", ...CHAIN)
  expect(new Set(receiver.spans.map(({ traceId }) => traceId))).toEqual(new Set(["a".repeat(32)]))
})

test("of a batch each event keeps the trace that it brings, and the request is linked to them", async () => {
  const mesh = await meshOf([thinker])
  const http = await serve(mesh.node)
  const own = ["1", "2"].map((digit) => asked(digit, { traceparent: context(digit, "d"), baggage: `n=${digit}` }))
  expect((await post(http.url, [...own, asked("3")], { baggage: "n=0" })).status).toBe(202)
  const thoughts = await take(mesh.bus, "q.thought", 3)
  const [request] = await chainOf("POST /events")
  const traces = Object.fromEntries(thoughts.map(({ key, trace }) => [key, trace?.traceparent.slice(3, 35)]))
  expect(traces).toEqual({ 1: "1".repeat(32), 2: "2".repeat(32), 3: request?.traceId })
  expect(thoughts.map(({ key, extensions }) => [key, extensions.baggage]).toSorted()).toEqual([
    ["1", "n=1"],
    ["2", "n=2"],
    ["3", "n=0"],
  ])
  expect(request?.links.map(({ traceId, spanId }) => [traceId, spanId])).toEqual([
    ["1".repeat(32), "d".repeat(16)],
    ["2".repeat(32), "d".repeat(16)],
  ])
})

test("a window's outputs descend from a span that is linked to the events in it", async () => {
  const summary = defineAgent("summary", {
    on: [Asked],
    emits: [Counted],
    react: (asks) =>
      asks.pipe(
        tumbling(1_000),
        map(({ events }) => Counted({ letters: events.length })),
      ),
  })
  const mesh = await meshOf([summary])
  const at = (ms: number): string => new Date(1_700_000_000_000 + ms).toISOString()
  for (const [n, time] of [0, 300, 600, 1_200].entries()) {
    const trace = { traceparent: context(String(n + 1), "d") }
    await mesh.bus.publish(Asked({ q: "k" }, { id: `w${n}`, time: at(time) }), { producer: "cli", trace })
  }
  const [counted] = await take(mesh.bus, "q.counted", 1)
  expect(counted).toMatchObject({ data: { letters: 3 }, causationid: "w3" })
  const [window, sent] = await chainOf("close_window summary", "send q.counted")
  const handled = named("process summary").toSorted((a, b) => a.traceId.localeCompare(b.traceId))
  expect(handled).toHaveLength(4)
  expect(window).toMatchObject({
    ...{ traceId: "4".repeat(32), parentSpanId: handled[3]?.spanId },
    attributes: { "murmur.agent": "summary", "murmur.window.events": 3, "murmur.window.start": at(0) },
  })
  expect(sent?.parentSpanId).toBe(window?.spanId)
  expect(window?.links.map(({ spanId }) => spanId)).toEqual(handled.slice(0, 3).map(({ spanId }) => spanId))
})

test("a step that waited for several agents is linked to all of their results", async () => {
  const helper = (name: string): AgentDefinition =>
    defineAgent(name, { on: [], input: z.object({ q: z.string() }), handle: (_event, ctx) => ctx.reply(name) })
  const helpers = ["one", "two", "three"].map(helper)
  const gatherer = defineAgent("gatherer", {
    on: [Asked],
    emits: [Answered],
    async handle(event, ctx: StepContext) {
      const results = await ctx.gather(helpers.map((agent) => ({ agent, input: event.data })))
      ctx.emit(Answered({ q: JSON.stringify(results.map((result) => result.ok && result.output)) }))
    },
  })
  const mesh = await meshOf([gatherer, ...helpers])
  await mesh.bus.publish(Asked({ q: "why" }, { id: "join" }), { producer: "cli" })
  const [answered] = await take(mesh.bus, "q.answered", 1)
  expect(answered?.data).toEqual({ q: '["one","two","three"]' })
  await chainOf("send q.answered")
  const linked = (): unknown[] => {
    const resumed = named("process gatherer").find(({ spanId }) => spanId === named("send q.answered")[0]?.parentSpanId)
    const replies = receiver.spans.filter(({ spanId }) => resumed?.links.some((link) => link.spanId === spanId))
    return replies.map(({ parentSpanId }) => receiver.spans.find(({ spanId }) => spanId === parentSpanId)?.name)
  }
  await until("all spans have come", () => linked().filter((name) => name !== undefined).length >= 3)
  expect(linked().toSorted()).toEqual(["process one", "process three", "process two"])
})

test("a dead letter that is tried again keeps its trace, and what was said along", async () => {
  const trouble = { on: true }
  const moody = defineAgent("moody", {
    on: [Asked],
    emits: [Answered],
    retry: { attempts: 1 },
    handle(event, ctx) {
      if (trouble.on) throw new Error("not now")
      ctx.emit(Answered({ q: ctx.baggage.tenant ?? "none" }, { key: event.data.q }))
    },
  })
  const mesh = await meshOf([moody])
  const trace = { traceparent: context("a", "b") }
  const draft = { ...Asked({ q: "k" }, { id: "moody-1" }), extensions: { baggage: "tenant=acme" } }
  await mesh.bus.publish(draft, { producer: "cli", trace })
  const letters = new DeadLetters(mesh.bus)
  const found: StoredLetter[] = []
  await until("it is laid aside", async () => {
    for await (const stored of letters.list()) found.push(stored)
    return found.length > 0
  })
  trouble.on = false
  await new DeadLetterRetry(mesh.bus).retry(found[0] as StoredLetter, 5_000)
  const [answered] = await take(mesh.bus, "q.answered", 1)
  expect(answered).toMatchObject({ data: { q: "acme" }, extensions: { baggage: "tenant=acme" } })
  expect(answered?.trace?.traceparent.slice(3, 35)).toBe("a".repeat(32))
  await until("both attempts are there", () => named("process moody").length === 2)
  const [failed, again] = named("process moody")
  expect([failed?.status.code, failed?.attributes["error.type"]]).toEqual([2, "Error"])
  expect(again).toMatchObject({ status: {}, traceId: "a".repeat(32) })
})

test("what a caller says along reaches no provider of models", async () => {
  const lab = await startLab([asker()], { telemetry: running.telemetry })
  closing.push(() => lab.stop())
  const requests: unknown[] = []
  lab.server.reply((_seen, { headers, body }) => {
    requests.push({ headers, body })
    return { text: "because" }
  })
  const draft = { ...LabAsked({ n: 1 }), extensions: { baggage: "tenant=xylophone" } }
  await lab.bus.publish(draft, { producer: "cli" })
  const [answered] = await take(lab.bus, "lab.answered", 1)
  expect(answered?.extensions.baggage).toBe("tenant=xylophone")
  expect(requests).toHaveLength(1)
  expect(JSON.stringify(requests)).not.toMatch(/xylophone|baggage/)
})
