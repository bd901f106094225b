import { fileURLToPath } from "node:url"
import { afterEach, beforeAll, expect, test } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import { buildCli } from "./cli/support/cli.js"
import { take } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "./support/node-process.js"

const FIXTURE = fileURLToPath(new URL("./fixtures/delegating-isolated.ts", import.meta.url))

let server: TestServer | undefined
let bus: Bus | undefined
let node: NodeProcess | undefined

beforeAll(buildCli, 120_000)
afterEach(async () => {
  if (node !== undefined && node.child.exitCode === null) await node.kill9()
  await bus?.close()
  await server?.stop()
})

test("Agents in workers give tasks, reply, hand on, branch and try again as others do", async () => {
  server = await startTestServer()
  bus = await openBus({ url: server.url, name: "tester" })
  node = await startNodeProcess([FIXTURE, "--nats", server.url, "--no-http"])
  await bus.publish({ type: "lab.asked", key: "k7", data: { n: 7 } }, { producer: "cli" })
  const [told] = await take(bus, "lab.told", 1, 40_000)
  expect(told?.data).toEqual({
    saw: {
      one: { by: "hand", n: 7 },
      results: [7, "ERROR"],
      tried: 3,
      none: "nothing",
      triedNow: [3], // what failed before is not tried again
    },
  })
}, 90_000)
