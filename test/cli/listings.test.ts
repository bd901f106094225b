import { afterAll, beforeAll, describe, expect, test, vi } from "vitest"
import { buildCli, errorOf, jsonOf } from "./support/cli.js"
import { NoteAdded, startMesh, type TestMesh } from "./support/mesh.js"

let mesh: TestMesh
beforeAll(async () => {
  await buildCli()
  mesh = await startMesh()
}, 120_000)
afterAll(() => mesh?.stop())

const publish = (text: string, key: string) => mesh.bus.publish(NoteAdded({ text }, { key }), { producer: "test" })
const json = async <T>(...args: string[]): Promise<T> => jsonOf<T>(await mesh.murmur(...args, "--json"))

interface Agent {
  name: string
  state: string
  nodes: string[]
  lag: number
  steps: number
}

test("Events are listed with schema, emitters and who a route brings them to", async () => {
  const events = await json<{ type: string }[]>("events")
  expect(events.map(({ type }) => type)).toEqual(["count.seen", "note.added", "note.counted", "pipe.fed"])
  expect(events[1]).toEqual({
    type: "note.added",
    schema: expect.objectContaining({ type: "object", properties: { text: { type: "string" } } }),
    emittedBy: [],
    reactedBy: ["counter"],
    description: "Somebody wrote",
  })
  expect(events[2]).toMatchObject({ emittedBy: ["counter"], reactedBy: ["watcher"] })
})

test("Nodes are listed with what they host", async () => {
  expect(await json("nodes")).toEqual([
    {
      id: "node-1",
      host: expect.any(String),
      version: expect.stringMatching(/^\d+\.\d+/),
      codeVersion: null,
      labels: {},
      partitions: {},
      agents: ["counter", "watcher", "stream"],
      since: expect.stringMatching(/^\d{4}-/),
      sources: [],
      http: null,
      pid: process.pid,
      draining: false,
      providers: [],
    },
  ])
})

test("Routes are listed with filter and origin", async () => {
  const routes = await json<object[]>("routes")
  expect(routes).toHaveLength(3)
  expect(routes[0]).toEqual({
    id: "counter/note.added",
    pattern: "note.added",
    agent: "counter",
    filter: null,
    origin: "code",
    exclusive: false,
    priority: 0,
  })
})

test("Agents are listed with state, nodes, counts and no lag when all is done", async () => {
  await publish("two words", "a")
  await vi.waitFor(
    async () => {
      const [counter] = await json<Agent[]>("agents")
      expect(counter).toMatchObject({
        name: "counter",
        state: "running",
        nodes: ["node-1"],
        lag: 0,
        steps: 1,
        failures: 0,
        sessions: 1,
      })
    },
    { timeout: 10_000, interval: 200 },
  )
})

test("One agent is shown in detail", async () => {
  expect(await json("agents", "counter")).toMatchObject({
    name: "counter",
    description: "Counts words",
    behaviour: "handle",
    on: ["note.added"],
    emits: ["note.counted"],
    partitions: 1,
    routes: [{ id: "counter/note.added" }],
    consumers: [{ name: "counter", pending: 0, unacked: 0 }],
    presence: [{ node: "node-1", state: "running" }],
  })
})

test("An agent that nobody knows is an error with the names that are close", async () => {
  for (const command of [
    ["agents", "countr"],
    ["pause", "countr"],
    ["resume", "countr"],
  ]) {
    const result = await mesh.murmur(...command, "--json")
    expect(result.code).toBe(1)
    expect(errorOf(result)).toMatchObject({ code: "AGENT_UNKNOWN", message: expect.stringContaining('"counter"') })
  }
})

test("For a pipe a listing has plain columns, separated by tabs, without a heading", async () => {
  const { stdout } = await mesh.murmur("routes")
  expect(stdout.split("\n")[0]).toBe("counter/note.added\tnote.added\tcounter\t-\tcode\t-\t0")
})

describe("A paused agent", () => {
  test("takes no event until it is resumed, and then goes on where it stopped", async () => {
    const counter = async (): Promise<Agent | undefined> =>
      (await json<Agent[]>("agents")).find(({ name }) => name === "counter")
    const before = (await counter())?.steps ?? 0
    expect((await mesh.murmur("pause", "counter")).stdout).toBe("counter paused\n")
    const host = mesh.node.hosts.find(({ agent }) => agent.name === "counter")
    await publish("while paused", "p")
    expect(await counter()).toMatchObject({ state: "paused", lag: 1 })
    expect(host?.stats.steps).toBe(before)
    expect(await json("pause", "counter")).toMatchObject({ agent: "counter", paused: true })
    expect(await json("resume", "counter")).toMatchObject({ agent: "counter", paused: false, behind: [] })
    await vi.waitFor(() => expect(host?.stats.steps).toBe(before + 1), { timeout: 10_000 })
    expect(await counter()).toMatchObject({ state: "running", lag: 0 })
  })
})

test("When its node has stopped, an agent is stopped and what comes waits", async () => {
  const other = await startMesh()
  try {
    await other.node.stop(1_000)
    await other.bus.publish(NoteAdded({ text: "later" }), { producer: "test" })
    const [counter] = jsonOf<Agent[]>(await other.murmur("agents", "--json"))
    expect(counter).toMatchObject({ state: "stopped", nodes: [], lag: 1 })
    expect(jsonOf(await other.murmur("nodes", "--json"))).toEqual([])
  } finally {
    await other.stop()
  }
})
