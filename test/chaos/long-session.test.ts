import { afterEach, expect, test } from "vitest"
import { busLogs } from "../../src/agents/bus-ports.js"
import { systemClock } from "../../src/agents/clock.js"
import { openSessions, type SessionStore } from "../../src/agents/sessions/session-store.js"
import { type Bus, openBus } from "../../src/bus/bus.js"
import { startTestServer, type TestServer } from "../support/nats-server.js"
import { sized } from "./support/scale.js"

let server: TestServer
let bus: Bus
afterEach(async () => {
  await bus?.close()
  await server?.stop()
})

const COMMITS = sized(5_000, 100_000)
const KEY = "the only one"

/** The sessions of an agent that counts, with nothing in memory. */
function open(agent: string, snapshotEvery: number, keepCommits = Number.POSITIVE_INFINITY): SessionStore {
  const evolve = { Counted: (count: number, _: unknown): number => count + 1 }
  const bounds = { snapshotEvery, keepCommits, warmBytesMax: 64 * 2 ** 20 }
  const ports = { names: bus.names, clock: systemClock, log: busLogs(bus, agent).sessions }
  return openSessions(ports, agent, { initial: 0, evolve, version: 1, ...bounds })
}

async function write(store: SessionStore): Promise<void> {
  const session = await store.load(KEY)
  for (let seq = 1; seq <= COMMITS; seq++) {
    const at = new Date().toISOString()
    const stored = await store.commit(session, {
      kind: "commit",
      cause: { id: `event-${seq}`, type: "test.counted", seq, at },
      entries: [{ name: "Counted", data: null }],
      changes: [[[], seq]],
      outputs: [],
      attempt: 1,
      code: "test",
      stateVersion: 1,
      snapshot: 0,
      at,
    })
    expect(stored).toBe("stored")
  }
}

/** The least of several foldings: whatever disturbs one makes it longer. */
async function leastFold(agent: string, snapshotEvery: number): Promise<number> {
  const times: number[] = []
  for (let run = 0; run < 5; run++) times.push(await fold(agent, snapshotEvery))
  return Math.min(...times)
}

/** How long it takes to have the session in memory when nothing of it is, in milliseconds. */
async function fold(agent: string, snapshotEvery: number): Promise<number> {
  const began = performance.now()
  const session = await open(agent, snapshotEvery).load(KEY)
  const ms = performance.now() - began
  expect(session.state).toBe(COMMITS)
  expect(session.causes.has({ id: "event-1", seq: 0, storedAtMs: 0 }), "its first cause is remembered").toBe(true)
  return ms
}

test(`a session of ${COMMITS} commits is written on, and read in time and within bounds`, {
  timeout: 600_000,
}, async () => {
  server = await startTestServer()
  bus = await openBus({ url: server.url, name: "tester" })
  await bus.ensureStreams()
  await write(open("plain", Number.MAX_SAFE_INTEGER))
  await write(open("snapshots", 200))
  const before = process.memoryUsage().rss
  expect(await leastFold("plain", Number.MAX_SAFE_INTEGER)).toBeLessThan(3_000)
  expect(await leastFold("snapshots", 200)).toBeLessThan(100)
  expect(process.memoryUsage().rss - before).toBeLessThan(200 * 2 ** 20)
})

test("a session that keeps few of its commits remembers the causes of all", { timeout: 600_000 }, async () => {
  server = await startTestServer()
  bus = await openBus({ url: server.url, name: "tester" })
  await bus.ensureStreams()
  await write(open("trimmed", 500, 1_000))
  const { state } = await bus.link.manager.streams.info(bus.names.sessionsOf("any"))
  expect(state.messages).toBeLessThan(1_000 + 2 * 500 + COMMITS / 1_000 + 10)
  await fold("trimmed", 500)
})
