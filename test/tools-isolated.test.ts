import { fileURLToPath } from "node:url"
import { afterEach, beforeEach, expect, test } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import { answerQuestion, openQuestions } from "../src/node/questions.js"
import { buildCli } from "./cli/support/cli.js"
import { Opened } from "./fixtures/toolbox.js"
import { take, until } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "./support/node-process.js"

const FIXTURE = fileURLToPath(new URL("./fixtures/toolbox.ts", import.meta.url))

let server: TestServer
let bus: Bus
let node: NodeProcess | undefined

beforeEach(async () => {
  await buildCli()
  server = await startTestServer()
  bus = await openBus({ url: server.url, name: "tester" })
  await bus.ensureStreams()
  node = await startNodeProcess([FIXTURE, "--nats", server.url, "--no-http"])
})
afterEach(async () => {
  await node?.kill9()
  await bus?.close()
  await server?.stop()
})

test("A handler in a worker uses the node's tools, and stands before the same gate", async () => {
  await bus.publish(Opened({ to: "eve" }), { producer: "cli", trust: "external" })
  await until("a question is open", async () => (await openQuestions(bus)).length === 1)
  const [asked] = await openQuestions(bus)
  expect(asked?.question).toContain('"toolbox" wants to call pay({"to":"eve"})')
  await answerQuestion(bus, asked?.id ?? "", "yes", { by: "ada" })
  const [done] = await take(bus, "box.done", 1)
  const value = (done?.data as { value: { pid: number } } | undefined)?.value
  expect(value).toEqual({
    ...{
      tasks: ["eve"],
      local: "2026-11-27T09:00:00+01:00",
      paid: `paid eve by ${value?.pid}`,
      pid: expect.any(Number),
    },
  })
  expect(value?.pid).not.toBe(node?.child.pid)
  expect(done?.trust).toBe("external")
})
