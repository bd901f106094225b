import { once } from "node:events"
import { request as httpRequest } from "node:http"
import { connect, createServer, type Socket } from "node:net"
import { CloudEvent, HTTP } from "cloudevents"
import { afterEach, describe, expect, it, vi } from "vitest"
import type { EventDraft } from "../src/bus/event.js"
import { checkType } from "../src/bus/subjects.js"
import { MurmurError } from "../src/errors.js"
import type { HostedWebhook, HttpNode, IntakeOptions } from "../src/http/node.js"
import type { HttpOptions } from "../src/http/options.js"
import { startHttp } from "../src/http/server.js"
import type { SourceContext, WebhookEndpoint } from "../src/sources/source.js"
import { noTelemetry } from "../src/telemetry/ports.js"
import { startTelemetry } from "../src/telemetry/setup.js"
import { startOtlpReceiver } from "./support/otlp-receiver.js"

const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (const end of cleanup.splice(0).reverse()) await end()
})

/** A node that stores events in memory, once per id, and refuses as it is told to. */
class RecordingNode implements HttpNode {
  readonly stored: { draft: EventDraft; options: IntakeOptions }[] = []
  readonly hosted: HostedWebhook[] = []
  telemetry = noTelemetry
  ready = true
  /** Runs before each store: wait in it to be slow, throw in it to refuse. */
  before: (draft: EventDraft) => Promise<void> | void = () => {}

  readiness = () => ({ ready: this.ready, checks: [{ name: "bus", ok: this.ready, detail: "connected or not" }] })
  metricsText = async () => "# HELP x y\nx 1\n"
  get webhooks() {
    return this.hosted
  }

  async publish(draft: EventDraft, options: IntakeOptions) {
    checkType(draft.type)
    if (draft.type === "checked" && typeof (draft.data as { n?: unknown } | null)?.n !== "number") {
      throw new MurmurError("n must be a number", { code: "EVENT_DATA", details: { issues: [{ path: ["n"] }] } })
    }
    await this.before(draft)
    const id = draft.id ?? ""
    const seq = this.stored.findIndex((one) => one.draft.id === id) + 1
    if (seq === 0) this.stored.push({ draft, options })
    return { id, type: draft.type, key: draft.key, seq: seq || this.stored.length, duplicate: seq > 0 }
  }

  hook(endpoint: Partial<WebhookEndpoint> & Pick<WebhookEndpoint, "handle">): void {
    const ctx = { name: "test" } as SourceContext
    this.hosted.push({ endpoint: { path: "/hooks/test", bodyBytesMax: 1_000, ...endpoint }, ctx })
  }
}

async function serve(options: Partial<HttpOptions> = {}, node = new RecordingNode()) {
  const http = await startHttp(node, { port: 0, ...options })
  cleanup.push(() => http.close())
  const post = (
    body: string | Uint8Array<ArrayBuffer>,
    headers: Record<string, string> = STRUCTURED,
    path = "/events",
  ) => fetch(`${http.url}${path}`, { method: "POST", body, headers })
  return { node, post, port: Number(new URL(http.url).port), ...http }
}

const STRUCTURED = { "content-type": "application/cloudevents+json" }
const BATCH = { "content-type": "application/cloudevents-batch+json" }
const event = (more: object = {}): Record<string, unknown> => ({
  specversion: "1.0",
  id: "e1",
  source: "/tests",
  type: "checked",
  subject: "k",
  data: { n: 1 },
  ...more,
})
const json = (value: unknown): string => JSON.stringify(value)

describe("health", () => {
  it("says that the process lives, whether it is ready and why not, and the metrics", async () => {
    const { url, node } = await serve()
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
    node.ready = false
    const unready = await fetch(`${url}/readyz`)
    expect(unready.status).toBe(503)
    expect(await unready.json()).toEqual({
      ready: false,
      checks: [{ name: "bus", ok: false, detail: "connected or not" }],
    })
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    const metrics = await fetch(`${url}/metrics`)
    expect(metrics.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8")
    expect(await metrics.text()).toContain("x 1")
  })

  it("answers what it does not know with 404 or 405, as problems", async () => {
    const { url, post } = await serve()
    expect(await (await fetch(`${url}/nowhere`)).json()).toMatchObject({ status: 404, code: "NOT_FOUND" })
    const wrong = await fetch(`${url}/events`)
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"])
    expect((await post("x", {}, "/healthz")).status).toBe(405)
  })
})

describe("POST /events", () => {
  it("stores a structured event and answers with id, sequence, type and key", async () => {
    const { post, node } = await serve()
    const response = await post(json(event({ partitionkey: "p" })))
    expect(response.status).toBe(202)
    expect(await response.json()).toEqual({ id: "e1", seq: 1, type: "checked", key: "k" })
    expect(node.stored[0]).toMatchObject({
      draft: {
        id: "e1",
        type: "checked",
        key: "k",
        source: "/tests",
        data: { n: 1 },
        extensions: { partitionkey: "p" },
      },
      options: { producer: "http", trust: "external" },
    })
  })

  it("stores a binary event, its header values decoded", async () => {
    const { post, node } = await serve()
    const headers = { "ce-specversion": "1.0", "ce-id": "e2", "ce-source": "/tests", "ce-type": "a.b" }
    const response = await post('{"n":1}', {
      ...headers,
      "ce-subject": "Euro%20%E2%82%AC",
      "content-type": "application/json",
    })
    expect(await response.json()).toMatchObject({ id: "e2", key: "Euro €" })
    expect(node.stored[0]?.draft.data).toEqual({ n: 1 })
  })

  it("does not answer before the event is stored", async () => {
    const { post, node, url } = await serve()
    let store = (): void => {}
    const stored = new Promise<void>((resolve) => {
      store = resolve
    })
    const asked = new Promise<void>((resolve) => {
      node.before = () => {
        resolve()
        return stored
      }
    })
    let answered = false
    const response = post(json(event())).then((value) => {
      answered = true
      return value
    })
    await asked
    await fetch(`${url}/healthz`) // an answer that did not wait would have come before this one
    expect(answered).toBe(false)
    store()
    expect((await response).status).toBe(202)
  })

  it("tells when the id was stored before", async () => {
    const { post } = await serve()
    await post(json(event()))
    expect(await (await post(json(event()))).json()).toMatchObject({ id: "e1", seq: 1, duplicate: true })
  })

  it("accepts what the CloudEvents SDK builds", async () => {
    const { post, node } = await serve()
    const made = new CloudEvent({ type: "a.b", source: "/sdk", subject: "k", data: { n: 1 }, partitionkey: "p" })
    for (const build of [HTTP.binary, HTTP.structured]) {
      const { headers, body } = build(made.cloneWith({ id: build.name }))
      const response = await post(String(body), headers as Record<string, string>)
      expect(await response.json()).toMatchObject({ id: build.name, type: "a.b", key: "k" })
    }
    for (const { draft } of node.stored) {
      expect(draft).toMatchObject({
        source: "/sdk",
        data: { n: 1 },
        extensions: { partitionkey: "p" },
        time: made.time,
      })
    }
    expect(node.stored).toHaveLength(2)
  })

  it.each([
    ["no JSON", "{", STRUCTURED, 400, "CLOUDEVENT_MALFORMED"],
    ["no CloudEvent", '{"n":1}', { "content-type": "application/json" }, 400, "CLOUDEVENT_MALFORMED"],
    ["without an id", json(event({ id: undefined })), STRUCTURED, 400, "CLOUDEVENT_MALFORMED"],
    ["of another media type", "<a/>", { "content-type": "application/xml" }, 415, "MEDIA_TYPE"],
    ["with an impossible type", json(event({ type: "a b" })), STRUCTURED, 422, "EVENT_TYPE"],
    ["against its schema", json(event({ data: { n: "x" } })), STRUCTURED, 422, "EVENT_DATA"],
  ])("refuses what is %s", async (_what, body, headers, status, code) => {
    const { post, node } = await serve()
    const response = await post(body, headers)
    expect(response.status).toBe(status)
    expect(response.headers.get("content-type")).toBe("application/problem+json")
    expect(await response.json()).toMatchObject({ status, code })
    expect(node.stored).toEqual([])
  })

  it("tells the issues of a schema violation", async () => {
    const { post } = await serve()
    expect(await (await post(json(event({ data: {} })))).json()).toMatchObject({ issues: [{ path: ["n"] }] })
  })

  it.each(["BUS_UNAVAILABLE", "STREAM_FULL"])("answers 503 with Retry-After on %s, never an ack", async (code) => {
    const { post, node } = await serve()
    node.before = () => {
      throw new MurmurError("Cannot reach nats://inside:4222", { code })
    }
    const response = await post(json(event()))
    expect(response.status).toBe(503)
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0)
    const problem = await response.text()
    expect(problem).toContain(code)
    expect(problem).not.toContain("inside")
  })

  it("answers 503 when storing takes too long: unknown, not failed", async () => {
    const { post, node } = await serve({ answerTimeoutMs: 50 })
    node.before = () => new Promise(() => {})
    const response = await post(json(event()))
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([503, "TIMEOUT"])
  })

  it("needs the token when there is one, before anything else is looked at", async () => {
    const { post, node } = await serve({ token: "t0ken" })
    for (const authorization of ["", "Bearer wrong"]) {
      const response = await post("{", { ...STRUCTURED, authorization })
      expect([response.status, response.headers.get("www-authenticate")]).toEqual([401, 'Bearer realm="murmur"'])
    }
    expect(node.stored).toEqual([])
    expect((await post(json(event()), { ...STRUCTURED, authorization: "Bearer t0ken" })).status).toBe(202)
  })

  it("without a token refuses a rebound host name", async () => {
    const { port, node } = await serve()
    const request = httpRequest({
      port,
      path: "/events",
      method: "POST",
      headers: { ...STRUCTURED, host: "evil.example" },
    })
    request.end(json(event()))
    const [response] = await once(request, "response")
    expect(response.statusCode).toBe(403)
    response.resume()
    expect(node.stored).toEqual([])
  })

  it("answers 429 with Retry-After above the rate", async () => {
    const { post } = await serve({ rateLimit: { perSecond: 0.01, burst: 2 } })
    const statuses: number[] = []
    for (let i = 0; i < 3; i++) statuses.push((await post(json(event({ id: `${i}` })))).status)
    expect(statuses).toEqual([202, 202, 429])
    expect((await post(json(event()))).headers.get("retry-after")).toBe("100")
  })
})

describe("a batch", () => {
  it("is stored in order and answered by an array", async () => {
    const { post, node } = await serve()
    const response = await post(json([event({ id: "1" }), event({ id: "2", subject: undefined })]), BATCH)
    expect(response.status).toBe(202)
    expect(await response.json()).toEqual([
      { id: "1", seq: 1, type: "checked", key: "k" },
      { id: "2", seq: 2, type: "checked", key: null },
    ])
    expect(node.stored.map(({ draft }) => draft.id)).toEqual(["1", "2"])
    expect(await (await post("[]", BATCH)).json()).toEqual([])
  })

  it("says which event failed and what was stored before it", async () => {
    const { post, node } = await serve()
    const batch = [event({ id: "1" }), event({ id: "2", data: {} }), event({ id: "3" })]
    const response = await post(json(batch), BATCH)
    expect(response.status).toBe(422)
    expect(await response.json()).toMatchObject({
      code: "EVENT_DATA",
      index: 1,
      stored: [{ id: "1", seq: 1 }],
      issues: [{ path: ["n"] }],
    })
    expect(node.stored).toHaveLength(1)
  })

  it("stores nothing when one event is malformed", async () => {
    const { post, node } = await serve()
    const response = await post(json([event(), event({ source: undefined })]), BATCH)
    expect(await response.json()).toMatchObject({ status: 400, index: 1 })
    expect(node.stored).toEqual([])
  })
})

describe("a body that is too large", () => {
  it("is refused by its declared length", async () => {
    const { post } = await serve()
    const response = await post("x".repeat(1024 * 1024 + 1))
    expect(await response.json()).toMatchObject({ status: 413, code: "BODY_TOO_LARGE", bytesMax: 1024 * 1024 })
  })

  it("is refused while it comes when its length is not declared, and is not kept", async () => {
    const { port } = await serve({ bodyBytesMax: 10_000 })
    const socket = await rawConnection(port)
    socket.write("POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/cloudevents+json\r\n")
    socket.write("transfer-encoding: chunked\r\n\r\n")
    const answer = firstData(socket)
    for (let i = 0; i < 3; i++) socket.write(`1000\r\n${"x".repeat(0x1000)}\r\n`)
    expect(await answer).toMatch(/^HTTP\/1\.1 413 /) // the body has not ended, and yet the answer is there
  })
})

describe("slow and many clients", () => {
  it("who do not finish their headers are cut off with 408", async () => {
    const { port } = await serve({ headersTimeoutMs: 200, requestTimeoutMs: 400 })
    const socket = await rawConnection(port)
    socket.write("POST /events HTTP/1.1\r\nhost: localhost\r\n")
    expect(await firstData(socket)).toMatch(/^HTTP\/1\.1 408 /)
    await closed(socket)
  })

  it("who do not finish their body are cut off", async () => {
    const { port, node } = await serve({ headersTimeoutMs: 100, requestTimeoutMs: 300 })
    const socket = await rawConnection(port)
    socket.write("POST /events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/cloudevents+json\r\n")
    socket.write("content-length: 100\r\n\r\n{")
    await closed(socket)
    expect(node.stored).toEqual([])
  })

  it("over the bound are dropped, those within are served", async () => {
    const { port, url } = await serve({ connectionsMax: 2 })
    const [first] = await Promise.all([rawConnection(port), rawConnection(port)])
    const third = await rawConnection(port)
    await closed(third)
    first.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
    expect(await firstData(first)).toMatch(/^HTTP\/1\.1 200 /)
    first.destroy()
    await vi.waitFor(async () => expect((await fetch(`${url}/healthz`)).status).toBe(200), { timeout: 5_000 })
  })
})

describe("webhooks", () => {
  it("get the raw bytes and headers, and answer for themselves", async () => {
    const { post, node } = await serve()
    const body = new Uint8Array([0, 255, 10, 13])
    const seen: unknown[] = []
    node.hook({
      handle: async (request, ctx) => {
        seen.push([...request.body], request.headers.get("x-signature"), ctx.name)
        return { status: 201, body: { stored: true } }
      },
    })
    const response = await post(body, { "x-signature": "abc" }, "/hooks/test")
    expect([response.status, await response.json()]).toEqual([201, { stored: true }])
    expect(seen).toEqual([[0, 255, 10, 13], "abc", "test"])
  })

  it("need no token, have their own body limit, and are found only by their path and method", async () => {
    const { url, post, node } = await serve({ token: "t" })
    node.hook({ bodyBytesMax: 3, handle: async () => ({ status: 204 }) })
    expect((await post("abc", {}, "/hooks/test")).status).toBe(204)
    expect((await post("abcd", {}, "/hooks/test")).status).toBe(413)
    expect((await post("abc", {}, "/hooks/other")).status).toBe(404)
    const wrong = await fetch(`${url}/hooks/test`)
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"])
  })

  it("that cannot publish are answered 503, those that fail otherwise 500 without a word of the inside", async () => {
    const { post, node } = await serve({ answerTimeoutMs: 100 })
    const faults: [unknown, number][] = [
      [new MurmurError("x", { code: "BUS_UNAVAILABLE" }), 503],
      [new MurmurError("x", { code: "STREAM_FULL" }), 503],
      [new Error("the inside"), 500],
      ["the inside", 500],
    ]
    for (const [thrown, status] of faults) {
      node.hosted.length = 0
      node.hook({ handle: () => Promise.reject(thrown) })
      const response = await post("{}", {}, "/hooks/test")
      expect(response.status).toBe(status)
      expect(await response.text()).not.toContain("the inside")
    }
    node.hosted.length = 0
    node.hook({ handle: () => new Promise(() => {}) })
    expect((await post("{}", {}, "/hooks/test")).status).toBe(503)
    node.hosted.length = 0
    node.hook({ handle: async () => ({ status: 99 }) })
    expect((await post("{}", {}, "/hooks/test")).status).toBe(500)
  })

  it("have a rate of their own: a flood of them does not keep out events", async () => {
    const { post, node } = await serve({ rateLimit: { perSecond: 0.01, burst: 1 } })
    node.hook({ handle: async () => ({ status: 204 }) })
    const statuses = [await post("", {}, "/hooks/test"), await post("", {}, "/hooks/test")].map(({ status }) => status)
    expect(statuses).toEqual([204, 429])
    expect((await post(json(event()))).status).toBe(202)
  })
})

describe("the server", () => {
  it("refuses a public address without a token, and takes it with one", async () => {
    await expect(startHttp(new RecordingNode(), { port: 0, host: "0.0.0.0" })).rejects.toMatchObject({
      code: "HTTP_PUBLIC_WITHOUT_TOKEN",
    })
    const { url } = await serve({ host: "0.0.0.0", token: "t" })
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
  })

  it("says clearly when the port is in use", async () => {
    const other = createServer().listen(0, "127.0.0.1")
    await once(other, "listening")
    cleanup.push(() => other.close())
    const { port } = other.address() as { port: number }
    await expect(startHttp(new RecordingNode(), { port })).rejects.toMatchObject({
      code: "HTTP_PORT",
      message: expect.stringContaining(`127.0.0.1:${port}: the port is in use`),
    })
  })

  it.each([
    [{ port: -1 }, "port must be an integer from 0 to 65535, is -1"],
    [{ port: 0, hots: "x" }, 'unknown option "hots"'],
    [{ port: 0, token: "" }, "token must not be empty"],
    [{ port: 0, rateLimit: { perSecond: 0 } }, "rateLimit.perSecond must be > 0, is 0"],
    [{ port: 0, bodyBytesMax: 0.5 }, "bodyBytesMax must be an integer"],
  ])("checks its options: %j", async (options, message) => {
    await expect(startHttp(new RecordingNode(), options as HttpOptions)).rejects.toThrow(message)
  })

  it("lets running requests end when it closes, and takes no new ones", async () => {
    const { url, post, node, close } = await serve()
    let store = (): void => {}
    const stored = new Promise<void>((resolve) => {
      store = resolve
    })
    const asked = new Promise<void>((resolve) => {
      node.before = () => {
        resolve()
        return stored
      }
    })
    const running = post(json(event()))
    await asked
    const closing = close()
    await expect(fetch(`${url}/healthz`)).rejects.toThrow()
    store()
    const response = await running
    expect([response.status, response.headers.get("connection")]).toEqual([202, "close"])
    await closing
    await close()
  })
})

describe("traces", () => {
  const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`

  it("are handed on when tracing is off: by header, or by the event's own extension", async () => {
    const { post, node } = await serve()
    await post(json(event({ id: "1" })), { ...STRUCTURED, traceparent, tracestate: "x=1" })
    await post(json(event({ id: "2", traceparent })))
    const other = `00-${"c".repeat(32)}-${"d".repeat(16)}-01`
    await post(json(event({ id: "3", traceparent: other })), { ...STRUCTURED, traceparent })
    expect(node.stored.map(({ options }) => options.trace)).toEqual([
      { traceparent, tracestate: "x=1" },
      { traceparent },
      { traceparent: other },
    ])
  })

  it("are one tree when it is on: caller, request, publish; refusals are counted, our failures marked", async () => {
    const collector = await startOtlpReceiver()
    cleanup.push(() => collector.close())
    vi.stubEnv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    vi.stubEnv("OTEL_METRICS_EXPORTER", "prometheus")
    const running = await startTelemetry({
      serviceName: "murmur",
      mesh: "m",
      nodeId: "n",
      version: "0",
      env: process.env,
      prometheus: false,
      logLevel: "silent",
    })
    const node = new RecordingNode()
    node.telemetry = running.telemetry
    node.metricsText = running.metricsText
    const { post, url } = await serve({}, node)
    node.hook({
      handle: async () => {
        running.telemetry.tracing.start("send a.b", { kind: "producer" }).end()
        throw new Error("broken")
      },
    })
    await post(json(event()), { ...STRUCTURED, traceparent })
    await post("{}", { traceparent }, "/hooks/test")
    await post("{")
    const metrics = await (await fetch(`${url}/metrics`)).text()
    await running.shutdown()

    const named = (name: string) => collector.spans.filter((span) => span.name === name)
    const [taken, refused] = named("POST /events")
    expect(taken).toMatchObject({
      traceId: "a".repeat(32),
      parentSpanId: "b".repeat(16),
      kind: 2,
      attributes: { "http.request.method": "POST", "http.route": "/events", "http.response.status_code": 202 },
    })
    expect(node.stored[0]?.options.trace?.traceparent).toBe(`00-${taken?.traceId}-${taken?.spanId}-01`)
    expect(refused).toMatchObject({ attributes: { "http.response.status_code": 400 }, status: {} })
    const [hook] = named("POST /hooks/test")
    expect(hook).toMatchObject({ traceId: "a".repeat(32), status: { code: 2 } })
    expect(named("send a.b")[0]).toMatchObject({ parentSpanId: hook?.spanId, kind: 4 })
    expect(collector.spans.some(({ name }) => name.includes("metrics"))).toBe(false)
    expect(metrics).toContain('murmur_http_rejected_total{reason="CLOUDEVENT_MALFORMED"} 1')
    expect(metrics).toMatch(/http_server_request_duration_seconds_count\{.*http_route="\/events".*\} 1/)
  })
})

async function rawConnection(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1")
  socket.on("error", () => {})
  cleanup.push(() => socket.destroy())
  await once(socket, "connect")
  return socket
}

async function firstData(socket: Socket): Promise<string> {
  const [data] = await once(socket, "data", { signal: AbortSignal.timeout(10_000) })
  return String(data)
}

async function closed(socket: Socket): Promise<void> {
  socket.resume()
  if (!socket.closed) await once(socket, "close", { signal: AbortSignal.timeout(10_000) })
}
