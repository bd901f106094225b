import { afterEach, beforeEach, expect, test } from "vitest"
import { Artifacts } from "../src/bus/artifacts.js"
import { type Bus, openBus } from "../src/bus/bus.js"
import { openLink, withLayout } from "../src/bus/bus-core.js"
import type { Link } from "../src/bus/link.js"
import type { Rights } from "../src/bus/rights.js"
import { readSession } from "../src/node/session-view.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"

let server: TestServer
let bus: Bus
beforeEach(async () => {
  server = await startTestServer()
})
afterEach(async () => {
  await bus.close()
  await server.stop()
})

/** What a server says of a stream whose servers elect their leader. */
const NO_LEADER = Object.assign(new Error("JetStream system temporarily unavailable"), { code: 10008 })

/** A link whose server leads one of the mesh's streams only after it was asked a few times. */
async function electing(stream: string): Promise<Link> {
  const link = await openLink({ url: server.url, name: "test", mesh: "test" })
  let asked = 0
  const info = async (name: string): Promise<unknown> => {
    if (name !== stream) return bus.link.manager.streams.info(name)
    asked += 1
    if (asked < 4) throw NO_LEADER
    return bus.link.manager.streams.info(name)
  }
  const streams = Object.create(link.manager.streams, { info: { value: info } })
  const manager = Object.create(link.manager, { streams: { value: streams } })
  const client = Object.create(link.client, { jetstreamManager: { value: async () => manager } })
  return { ...link, manager, client }
}

test.each([
  ["mesh", "test_SESSIONS"],
  ["mesh", "test_EVENTS"],
  ["agent", "test_EVENTS"],
] as const)("the layout %s is found while %s has no leader", async (layout, stream) => {
  bus = await openBus({ url: server.url, name: "test", mesh: "test", layout })
  await bus.ensureStreams({ agents: ["one"] })
  const link = await electing(stream)
  expect(await withLayout(link, { url: server.url, name: "test", mesh: "test" })).toMatchObject({ layout })
  await link.connection.close()
})

test("an agent without streams of its own has no session to show, and that is told at once", async () => {
  bus = await openBus({ url: server.url, name: "test", mesh: "test", layout: "agent" })
  await bus.ensureStreams({ agents: ["one"] })
  const signal = AbortSignal.timeout(10_000) // aborted, it would show that nothing is there
  await expect(readSession(bus, "nobody", "k", "end", signal)).rejects.toMatchObject({ code: "SESSION_NOT_FOUND" })
  expect(signal.aborted).toBe(false)
})

test("an object store that elects its leader is not one that was never deployed", async () => {
  bus = await openBus({ url: server.url, name: "test", mesh: "test", layout: "agent" })
  await bus.ensureStreams()
  await Artifacts.open(bus)
  const link = { ...(await electing("OBJ_test_ARTIFACTS")), rights: { ...bus.link.rights, restricted: true } as Rights }
  const kept = await (await Artifacts.open({ link, names: bus.names })).put(Buffer.from("kept"))
  expect(kept.size).toBe(4)
  await link.connection.close()
})
