import { spawn } from "node:child_process"
import { once } from "node:events"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { type Bus, openBus } from "../../src/bus/bus.js"
import { startTestServer, type TestServer } from "../support/nats-server.js"
import { run } from "../support/run.js"
import { buildCli, cliEnv, errorOf, jsonLines, MAIN, murmurAt } from "./support/cli.js"

let server: TestServer
let bus: Bus
let cli: ReturnType<typeof murmurAt>
beforeAll(async () => {
  await buildCli()
  server = await startTestServer()
  bus = await openBus({ url: server.url, name: "test" })
  await bus.ensureStreams()
  cli = murmurAt(server.url)
  for (const [n, type] of ["a.one", "b.one", "a.two"].entries()) {
    await bus.publish(
      { type, data: { n }, key: `k${n}`, extensions: { region: "eu" } },
      { producer: "feed", trust: "external" },
    )
  }
}, 120_000)
afterAll(async () => {
  await bus?.close()
  await server?.stop()
})

test("An event is a CloudEvent in JSON, with producer and sequence", async () => {
  const [event] = jsonLines<Record<string, unknown>>(await cli("tail", "--from-seq", "1", "--count", "1", "--json"))
  expect(event).toEqual({
    specversion: "1.0",
    id: expect.any(String),
    source: "/murmur/murmur/feed",
    type: "a.one",
    subject: "k0",
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    datacontenttype: "application/json",
    data: { n: 0 },
    correlationid: event?.id,
    hops: 0,
    trust: "external",
    region: "eu",
    producer: "feed",
    seq: 1,
  })
})

test("A pattern chooses types; --since and --from-seq choose where it begins", async () => {
  const types = async (...args: string[]): Promise<unknown[]> =>
    jsonLines<{ type: string }>(await cli("tail", ...args, "--json")).map(({ type }) => type)
  expect(await types("a.*", "--since", "10m", "--count", "2")).toEqual(["a.one", "a.two"])
  expect(await types("--from-seq", "2", "--count", "2")).toEqual(["b.one", "a.two"])
  expect(await types("--since", new Date(Date.now() - 60_000).toISOString(), "--count", "1")).toEqual(["a.one"])
})

test("For a pipe the columns are separated by tabs, and controls in the data are written out", async () => {
  const { seq } = await bus.publish({ type: "c.one", data: "\u001b[31m\tred", key: "x\ty" }, { producer: "feed" })
  const { stdout } = await cli("tail", "--from-seq", String(seq), "--count", "1")
  const columns = stdout.trimEnd().split("\t")
  expect(columns.slice(1)).toEqual(["c.one", "x\\u0009y", "feed", '"\\u001b[31m\\tred"'])
})

test("It goes on live, and ends well when it is interrupted", async () => {
  const child = spawn(process.execPath, [MAIN, "tail", "live.>", "--json"], { env: cliEnv({ NATS_URL: server.url }) })
  let out = ""
  child.stdout.on("data", (chunk: Buffer) => {
    out += chunk.toString()
  })
  const exited = once(child, "exit")
  await vi.waitFor(
    async () => {
      await bus.publish({ type: "live.one", data: 1 }, { producer: "feed" })
      expect(out).toContain('"live.one"')
    },
    { timeout: 15_000, interval: 100 },
  )
  child.kill("SIGINT")
  expect(await exited).toEqual([0, null])
})

test("A reader that leaves is no error", async () => {
  const script = `"${process.execPath}" "${MAIN}" tail --from-seq 1 | head -n 1; echo "\${PIPESTATUS[0]}"`
  const child = run("bash", ["-c", script], { env: cliEnv({ NATS_URL: server.url }) })
  const busy = setInterval(() => void bus.publish({ type: "busy.one", data: 1 }, { producer: "feed" }), 50)
  const { stdout, stderr, timedOut } = await child
  clearInterval(busy)
  expect({ stderr, timedOut, status: stdout.trimEnd().split("\n").at(-1) }).toEqual({
    stderr: "",
    timedOut: false,
    status: "0",
  })
})

test("What is no event is left out and said so", async () => {
  const { seq } = await bus.link.client.publish("murmur.ev.raw.k.d.one", "{nope")
  await bus.publish({ type: "d.two", data: 1 }, { producer: "feed" })
  const result = await cli("tail", "d.*", "--from-seq", String(seq), "--count", "1", "--json")
  expect(jsonLines<{ type: string }>(result)).toMatchObject([{ type: "d.two" }])
  expect(result.stderr).toContain(`left out message ${seq}`)
})

test("A mesh that is not there is an error", async () => {
  const result = await cli("tail", "--mesh", "other", "--json")
  expect(result.code).toBe(1)
  expect(errorOf(result).code).toBe("MESH_NOT_FOUND")
})
