import { fileURLToPath } from "node:url"
import { afterEach, expect, test } from "vitest"
import { type Bus, openBus } from "../../src/bus/bus.js"
import { buildCli, murmurAt } from "../cli/support/cli.js"
import { checkMesh } from "../support/checker.js"
import { until } from "../support/mesh.js"
import { startTestServer, type TestServer } from "../support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "../support/node-process.js"
import { type OtlpReceiver, startOtlpReceiver } from "../support/otlp-receiver.js"
import { expectNoSecretStored, holders } from "./support/secret-hunt.js"

const FIXTURE = fileURLToPath(new URL("./fixtures/canary.ts", import.meta.url))
const SECRET = "sk-canary/7+Q2w9$Zr4t6Yb1Nm8Kp3"
const WAYS = ["message", "url", "base64", "cause", "name", "code", "object", "run", "none"]

let server: TestServer | undefined
let bus: Bus | undefined
let node: NodeProcess | undefined
let collector: OtlpReceiver | undefined
afterEach(async () => {
  if (node?.child.exitCode === null) await node.kill9()
  await collector?.close()
  await bus?.close()
  await server?.stop()
})

test("a secret of the environment that handlers let slip is in no stream, log, trace or answer of the command line", {
  timeout: 120_000,
}, async () => {
  await buildCli()
  server = await startTestServer()
  bus = await openBus({ url: server.url, name: "tester" })
  await bus.ensureStreams()
  collector = await startOtlpReceiver()
  const env = { CANARY_API_KEY: SECRET, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: "50" }
  node = await startNodeProcess([FIXTURE, "--nats", server.url, "--port", "0"], { env })
  let stdout = ""
  node.child.stdout?.on("data", (chunk) => {
    stdout += String(chunk)
  })
  for (const how of WAYS) {
    await bus.publish({ type: "canary.told", key: how, data: { how }, id: `told-${how}` }, { producer: "cli" })
  }
  const { dead } = await checkMesh(bus, { agent: "canary", on: ["canary.told"] })
  expect([...dead].toSorted()).toEqual(
    WAYS.filter((how) => how !== "none")
      .map((how) => `told-${how}`)
      .toSorted(),
  )

  await expectNoSecretStored(bus, SECRET)
  const metrics = await (await fetch(`${node.ready.http}/metrics`)).text()
  const murmur = murmurAt(server.url)
  const answers = [
    await murmur("dead", "ls", "--json"),
    await murmur("agents", "--json"),
    await murmur("session", "canary", "none"),
  ]
  expect(await node.terminate()).toBe(0)
  await until("traces came", () => (collector?.spans.length ?? 0) >= 2 * WAYS.length)
  expect(node.stderr(), "the secret was logged, and taken out").toContain("[redacted]")
  const texts: [string, string][] = [
    ["log", node.stderr()],
    ["output", stdout],
    ["metrics", metrics],
    ["exported metrics", JSON.stringify(collector.metrics)],
    ...collector.spans.map((span): [string, string] => [`span ${span.name}`, JSON.stringify(span)]),
    ...answers.map(({ stdout: said, stderr }, n): [string, string] => [`answer ${n}`, said + stderr]),
  ]
  expect(holders(SECRET, texts)).toEqual([])
})

test("the hunt for a secret finds it in every form", () => {
  const forms: [string, string][] = [
    ["plain", `x ${SECRET} y`],
    ["url", `?key=${encodeURIComponent(SECRET)}`],
    ...["", "m", "me", "me:"].map((before): [string, string] => [
      `base64 ${before}`,
      Buffer.from(`${before}${SECRET}!`).toString("base64"),
    ]),
  ]
  expect(holders(SECRET, forms)).toEqual(forms.map(([name]) => name))
  expect(holders(SECRET, [["other", "sk-canary/7"]])).toEqual([])
})
