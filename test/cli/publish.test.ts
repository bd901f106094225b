import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest"
import { type Bus, openBus } from "../../src/bus/bus.js"
import { decode } from "../../src/bus/decode.js"
import type { MurmurEvent } from "../../src/bus/event.js"
import { readHistory } from "../../src/bus/reader.js"
import { startTestServer, type TestServer } from "../support/nats-server.js"
import { startOtlpReceiver } from "../support/otlp-receiver.js"
import { run } from "../support/run.js"
import { buildCli, cliEnv, errorOf, jsonLines, jsonOf, MAIN, murmur, murmurAt } from "./support/cli.js"

interface Ack {
  id: string
  seq: number
  type: string
  key: string | null
  duplicate?: boolean
}

let server: TestServer
let bus: Bus
let cli: ReturnType<typeof murmurAt>
beforeAll(async () => {
  await buildCli()
  server = await startTestServer()
  bus = await openBus({ url: server.url, name: "test" })
  await bus.ensureStreams()
  cli = murmurAt(server.url)
}, 15_000)
afterAll(async () => {
  await bus?.close()
  await server?.stop()
})

/** What is stored of one type. */
async function stored(type: string): Promise<MurmurEvent[]> {
  const events: MurmurEvent[] = []
  const { names, link } = bus
  const filter = names.storedFilter(type)
  for await (const message of readHistory(link, { stream: names.events, filter, from: { seq: 1 } })) {
    const decoded = decode(names, message)
    if (decoded.ok) events.push(decoded.event)
  }
  return events
}

const lines = (input: string, ...args: string[]) =>
  murmur(["publish", ...args], { input, env: { NATS_URL: server.url } })

test("One event is stored as it was said, by the producer cli, and its id and sequence are printed", async () => {
  const { code, stdout } = await cli("publish", "one.said", "--key", "a/b", "--data", '{"n":1}')
  expect(code).toBe(0)
  const [event] = await stored("one.said")
  expect(event).toMatchObject({ key: "a/b", data: { n: 1 }, producer: "cli", hops: 0, trust: "internal" })
  expect(stdout).toBe(`${event?.id} ${event?.seq}\n`)
})

test("With --json the ack is an object; without key and data both are null", async () => {
  const ack = jsonOf<Ack>(await cli("publish", "bare.said", "--json"))
  const [event] = await stored("bare.said")
  expect(ack).toEqual({ id: event?.id, seq: event?.seq, type: "bare.said", key: null })
  expect(event).toMatchObject({ key: undefined, data: null })
})

test("The options of every command may stand before its name", async () => {
  const result = await murmur(["--json", "--nats", server.url, "--mesh", "murmur", "publish", "early.said"])
  expect(jsonOf<Ack>(result).type).toBe("early.said")
})

test("The same id is stored once, and said to be a duplicate", async () => {
  const args = ["publish", "twice.said", "--id", "fixed-1", "--json"]
  const [first, second] = [jsonOf<Ack>(await cli(...args)), jsonOf<Ack>(await cli(...args))]
  expect(second).toEqual({ ...first, duplicate: true })
  expect(await stored("twice.said")).toHaveLength(1)
})

test("A file holds the data; one that is missing or no JSON fails with its name", async () => {
  const dir = mkdtempSync(join(tmpdir(), "murmur-cli-"))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  writeFileSync(join(dir, "good.json"), '{\n  "from": "file"\n}\n')
  writeFileSync(join(dir, "bad.json"), "{")
  await cli("publish", "file.said", "--file", join(dir, "good.json"))
  expect((await stored("file.said"))[0]?.data).toEqual({ from: "file" })
  for (const name of ["bad.json", "none.json"]) {
    const result = await cli("publish", "file.said", "--file", join(dir, name), "--json")
    expect(result.code).toBe(1)
    expect(errorOf(result)).toMatchObject({ code: "INPUT_FILE", message: expect.stringContaining(name) })
  }
})

test("Lines of standard input are data, events or CloudEvents, and their acks come in order", async () => {
  const input = [
    '{"n":1}',
    "",
    '{"data":{"n":2},"key":"k2","id":"line-2","time":"2026-01-02T03:04:05Z"}',
    '{"specversion":"1.0","id":"ce-3","source":"/elsewhere","type":"line.said","subject":"k3","data":{"n":3},"hops":7,"region":"eu","seq":9}',
    '{"data":{"n":4},"other":true}',
    "5",
  ].join("\n")
  const result = await lines(input, "line.said", "-", "--key", "standard", "--json")
  expect(result.code).toBe(0)
  const events = await stored("line.said")
  expect(jsonLines<Ack>(result)).toEqual(events.map(({ id, seq, type, key }) => ({ id, seq, type, key })))
  expect(events.map(({ key, data }) => [key, data])).toEqual([
    ["standard", { n: 1 }],
    ["k2", { n: 2 }],
    ["k3", { n: 3 }],
    ["standard", { data: { n: 4 }, other: true }],
    ["standard", 5],
  ])
  expect(events[1]).toMatchObject({ id: "line-2", time: "2026-01-02T03:04:05Z" })
  expect(events[2]).toMatchObject({
    id: "ce-3",
    source: "/elsewhere",
    hops: 0,
    extensions: { region: "eu" },
    producer: "cli",
  })
})

test("With --as-data every line is data", async () => {
  await lines('{"data":1}\n{"specversion":"1.0"}\n', "raw.said", "-", "--as-data")
  expect((await stored("raw.said")).map(({ data }) => data)).toEqual([{ data: 1 }, { specversion: "1.0" }])
})

test.each([
  ["no JSON", "nope", "it is not JSON"],
  ["a CloudEvent of another type", '{"specversion":"1.0","id":"x","source":"/","type":"a.b"}', 'its type is "a.b"'],
  ["an id that is none", '{"data":1,"id":5}', '"id" must be a string'],
  ["a time that is none", '{"data":1,"time":"noon"}', "RFC 3339"],
])("A line with %s stops it there: what came before is stored and printed", async (name, bad, reason) => {
  const type = `stop.${name.replace(/\W+/g, "-").toLowerCase()}`
  const result = await lines(`{"n":1}\n{"n":2}\n${bad}\n{"n":4}\n`, type, "-", "--json")
  expect(result.code).toBe(1)
  expect(jsonLines<Ack>(result)).toHaveLength(2)
  expect((await stored(type)).map(({ data }) => data)).toEqual([{ n: 1 }, { n: 2 }])
  expect(errorOf(result)).toMatchObject({ code: "INPUT_LINE", message: expect.stringContaining("line 3") })
  expect(errorOf(result).message).toContain(reason)
})

test("An event that is refused is named by its line, and all that is stored is printed", async () => {
  const large = JSON.stringify("x".repeat(1_100_000))
  const result = await lines(`1\n2\n${large}\n`, "large.said", "-", "--json")
  expect(result.code).toBe(1)
  expect(errorOf(result)).toMatchObject({ code: "EVENT_TOO_LARGE", message: expect.stringMatching(/^line 3: /) })
  expect(jsonLines<Ack>(result)).toHaveLength((await stored("large.said")).length)
})

test("Five thousand lines go through in order", async () => {
  const input = Array.from({ length: 5_000 }, (_, n) => `{"n":${n}}`).join("\n")
  const result = await lines(input, "many.said", "-")
  expect(result.code).toBe(0)
  const seqs = result.stdout
    .trimEnd()
    .split("\n")
    .map((line) => Number(line.split(" ")[1]))
  expect(seqs).toHaveLength(5_000)
  expect(seqs).toEqual([...seqs].sort((a, b) => a - b))
})

test("A reader that leaves is no error, and does not leave half of the input unpublished", async () => {
  const script = `seq 1 2000 | "${process.execPath}" "${MAIN}" publish piped.said - | head -n 1; echo "\${PIPESTATUS[1]}"`
  const { stdout, stderr } = await run("bash", ["-c", script], { env: cliEnv({ NATS_URL: server.url }) })
  expect(stderr).toBe("")
  expect(stdout.trimEnd().split("\n").at(-1)).toBe("0")
  expect(await stored("piped.said")).toHaveLength(2_000)
})

test("A mesh that is not there is said at once, with those that are", async () => {
  const result = await cli("publish", "a.b", "--mesh", "other", "--json")
  expect(result.code).toBe(1)
  expect(errorOf(result)).toMatchObject({ code: "MESH_NOT_FOUND", message: expect.stringContaining('"murmur"') })
})

test("A server that does not answer makes it fail, not hang", async () => {
  const other = await startTestServer()
  onTestFinished(() => other.stop())
  other.pause()
  onTestFinished(() => other.resume())
  const result = await murmur(["publish", "a.b", "--json"], { env: { NATS_URL: other.url }, timeoutMs: 15_000 })
  expect(result).toMatchObject({ code: 1, timedOut: false })
  expect(errorOf(result).code).toBe("BUS_CONNECT")
})

test("With OTEL_* set a span of the publish is the root of the trace, and is sent before the end", async () => {
  const receiver = await startOtlpReceiver()
  onTestFinished(() => receiver.close())
  const env = { NATS_URL: server.url, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url }
  expect((await murmur(["publish", "traced.said"], { env })).code).toBe(0)
  const [event] = await stored("traced.said")
  expect(receiver.spans).toHaveLength(1)
  const [span] = receiver.spans
  expect(span).toMatchObject({ name: "send traced.said", parentSpanId: undefined })
  expect(event?.trace?.traceparent).toContain(`-${span?.traceId}-${span?.spanId}-`)
})
