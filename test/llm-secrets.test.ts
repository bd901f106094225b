import { fileURLToPath } from "node:url"
import { afterEach, expect, test } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import { expectNoSecretStored, holders } from "./chaos/support/secret-hunt.js"
import { buildCli, murmurAt } from "./cli/support/cli.js"
import type { FakeReply, ReceivedCall, SeenRequest } from "./support/llm/fake-protocol.js"
import type { FakeServer } from "./support/llm/fake-server.js"
import { lettersOf } from "./support/llm/lab.js"
import { startOpenAiServer } from "./support/llm/openai-server.js"
import { take, until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "./support/node-process.js"
import { type OtlpReceiver, startOtlpReceiver } from "./support/otlp-receiver.js"

const FIXTURE = fileURLToPath(new URL("./fixtures/leaking.ts", import.meta.url))
const SECRET = "sk-canary/7+Q2w9$Zr4t6Yb1Nm8Kp3"
const FORMS = ["plain", "url", "base64"]
/** How an agent comes by the secret, and what becomes of its step. */
const ANSWERED = ["text", "stream", "object", "arguments", "malformed", "tool", "toolError", "dump", "direct", "large"]
const KEPT = ["run", "outcome"]
/** Of an agent in a process of its own. */
const APART = ["stream", "tool", "toolError", "direct", "run"]
const DEAD = ["unfit", "refusal", "failure", "thrown"]

let server: TestServer | undefined
let bus: Bus | undefined
let models: FakeServer | undefined
let node: NodeProcess | undefined
let collector: OtlpReceiver | undefined
afterEach(async () => {
  if (node?.child.exitCode === null) await node.kill9()
  await collector?.close()
  await models?.close()
  await bus?.close()
  await server?.stop()
})

/** The key that a request came with, as a provider might repeat it. */
function repeated({ headers }: ReceivedCall, form: string): string {
  const key = String(headers.authorization).replace("Bearer ", "")
  const forms: Readonly<Record<string, string>> = {
    plain: key,
    url: `https://api.example.test/?key=${encodeURIComponent(key)}`,
    base64: Buffer.from(`user:${key}`).toString("base64"),
  }
  return forms[form] ?? ""
}

/** A provider that puts the key into all that it says. */
function answer(seen: SeenRequest, call: ReceivedCall): FakeReply {
  const instructed = seen.system.match(/musing (\w+)/)
  const [what = "", form = ""] = instructed ? ["musing", instructed[1]] : (seen.messages[0]?.text.split(" ") ?? [])
  const key = repeated(call, form)
  const text = `your key is ${key} and I know it`
  const said = { text, reasoning: `thinking of ${key} all the time`, pieceDelayMs: 120 }
  if (seen.messages.at(-1)?.role === "tool") return said
  const calls = (name: string, given: Readonly<Record<string, unknown>> | string): FakeReply => ({
    ...said,
    toolCalls: [{ name, arguments: given }],
  })
  const ways: Readonly<Record<string, FakeReply>> = {
    text: said,
    object: { text: JSON.stringify({ text, [key]: key }) },
    refusal: { fault: { status: 400, message: `Incorrect key: ${key}` } },
    failure: { fault: { status: 500, message: `No such key: ${key}`, headers: { "x-key": key } } },
    arguments: calls("echo", { text }),
    malformed: calls("echo", `{"text": ${key}`),
    tool: calls("reveal", { form }),
    toolError: calls("reveal", { form, fails: true }),
    dump: calls("dump", { form }),
    musing: {
      ...said,
      toolCalls: [
        { name: "reveal", arguments: { form } },
        { name: "emit_leak_told", arguments: { how: "musing", what: text } },
      ],
    },
  }
  return ways[what] ?? said
}

test("the key of a provider that models, tools and errors repeat is in no stream, log, trace or answer of the command line", {
  timeout: 120_000,
}, async () => {
  await buildCli()
  server = await startTestServer()
  bus = await openBus({ url: server.url, name: "tester" })
  await bus.ensureStreams()
  models = await startOpenAiServer()
  models.reply(answer)
  collector = await startOtlpReceiver()
  const env = {
    ...{ OPENAI_API_KEY: SECRET, OPENAI_BASE_URL: `${models.url}/v1`, MURMUR_LOG_LEVEL: "debug" },
    ...{ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: "50" },
    OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: "true",
  }
  node = await startNodeProcess([FIXTURE, "--nats", server.url, "--port", "0"], { env })
  let stdout = ""
  node.child.stdout?.on("data", (chunk) => {
    stdout += String(chunk)
  })
  for (const form of FORMS) {
    for (const how of [...ANSWERED, ...KEPT, ...DEAD]) {
      await bus.publish(
        { type: "leak.asked", key: `${how}-${form}`, data: { how, form }, id: `asked-${how}-${form}` },
        { producer: "cli" },
      )
    }
    for (const how of APART) {
      await bus.publish(
        { type: "leak.apart", key: `${how}-${form}`, data: { how, form }, id: `apart-${how}-${form}` },
        { producer: "cli" },
      )
    }
    await bus.publish({ type: "leak.mused", key: form, data: { form }, id: `mused-${form}` }, { producer: "cli" })
  }
  const told = await take(bus, "leak.told", FORMS.length * (ANSWERED.length + KEPT.length + APART.length + 1), 60_000)
  expect(told.filter(({ producer }) => producer === "musing")).toHaveLength(FORMS.length)
  for (const { data } of told) expect((data as { what: string }).what).toMatch(/redacted|hidden/)
  const mesh = bus
  await until("all others are given up", async () => (await lettersOf(mesh)).length === FORMS.length * DEAD.length)
  expect((await lettersOf(mesh)).map(({ event }) => event.id).toSorted()).toEqual(
    FORMS.flatMap((form) => DEAD.map((how) => `asked-${how}-${form}`)).toSorted(),
  )
  expect(models.calls[0]?.headers.authorization, "it is this key that was sent").toBe(`Bearer ${SECRET}`)
  await until("the runs have told all", () => models?.calls.every(({ brokenOff }) => !brokenOff) === true)

  await expectNoSecretStored(bus, SECRET)
  const metrics = await (await fetch(`${node.ready.http}/metrics`)).text()
  const murmur = murmurAt(server.url)
  const [letter] = await lettersOf(bus)
  const answers = await Promise.all([
    murmur("dead", "ls", "--json"),
    murmur("dead", "show", letter?.id ?? ""),
    murmur("session", "musing", "plain"),
    murmur("session", "leaky", "tool-plain", "--json"),
    murmur("trace", "asked-tool-plain"),
    murmur("tail", ">", "--from-seq", "1", "--count", "200", "--json"),
  ])
  expect(answers.map(({ code }) => code)).toEqual(answers.map(() => 0))
  expect(answers.every(({ stdout: said }) => said.length > 50)).toBe(true)
  expect(await node.terminate()).toBe(0)
  const [received, sent] = [collector, models.calls.length]
  const spansOf = (name: string): number => received.spans.filter((span) => span.name.startsWith(name)).length
  await until("traces came", () => spansOf("chat ") >= sent / 4)
  expect(node.stderr(), "the secret was logged, and taken out").toContain("[redacted]")
  const texts: [string, string][] = [
    ...node
      .stderr()
      .split("\n")
      .map((line): [string, string] => [`log ${line.slice(0, 300)}`, line]),
    ["output", stdout],
    ["metrics", metrics],
    ["exported metrics", JSON.stringify(collector.metrics)],
    ...collector.spans.map((span): [string, string] => [`span ${span.name}`, JSON.stringify(span)]),
    ...answers.map(({ stdout: said, stderr }, n): [string, string] => [`answer ${n}`, said + stderr]),
    // what was said to the agents is not said again to the provider either
    ...models.calls.map(({ body }, n): [string, string] => [`request ${n}`, JSON.stringify(body)]),
  ]
  expect(texts.length).toBeGreaterThan(200)
  expect(holders(SECRET, texts)).toEqual([])
})
