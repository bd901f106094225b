import { statSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { afterAll, beforeAll, expect, it, vi } from "vitest"
import { NoteFiled, NoteSorted } from "../../examples/notes/events.js"
import { type Bus, openBus } from "../../src/bus/bus.js"
import type { MurmurEvent } from "../../src/bus/event.js"
import { unfinished } from "../../src/node/audit/left.js"
import { readAgentHistory, readAllMessages } from "../../src/node/audit/read.js"
import { checkHistory } from "../../src/node/audit/rules.js"
import { buildCli } from "../cli/support/cli.js"
import { until } from "../support/mesh.js"
import { Stack } from "./compose/stack.js"
import { describeWithContainers } from "./support/engine.js"

interface Tree {
  readonly id: string
  readonly type: string
  readonly effects: readonly Tree[]
}

const SOON = { timeout: 60_000, interval: 500 }

describeWithContainers("the mesh of deploy/compose.yaml", () => {
  let stack: Stack
  let operator: Bus
  beforeAll(async () => {
    await buildCli()
    stack = await Stack.open()
    await stack.up()
    operator = await connectAs("operator")
  }, 960_000)
  afterAll(async () => {
    await operator?.close()
    await stack?.close()
  }, 120_000)

  async function connectAs(user: string): Promise<Bus> {
    const folder = await stack.copyOut(user)
    const login = { nkeyFile: join(folder, "user.nk"), caFile: join(folder, "ca.pem") }
    return openBus({ url: stack.natsUrl, name: `tester as ${user}`, mesh: "murmur", ...login })
  }

  it("shows an event, its reactions in two containers, and one trace", { timeout: 180_000 }, async () => {
    const printed = await stack.murmur("publish", "note.added", "--data", '{"text":"milk #shopping"}', "--json")
    const { id } = JSON.parse(printed)
    const tree = await treeOf(id, 3)
    expect(typesOf(tree)).toEqual(["note.added", "note.sorted", "note.filed"])

    const names = ["send note.added", "process sorter", "send note.sorted", "process librarian", "send note.filed"]
    const traceId = /trace ([0-9a-f]{32})/.exec(await stack.murmur("trace", id))?.[1]
    const chain = await vi.waitFor(async () => {
      const own = (await stack.spans()).filter((span) => span.traceId === traceId)
      return names.map((name) => {
        const found = own.find((span) => span.name === name)
        expect(found, name).toBeDefined()
        return found
      })
    }, SOON)
    for (const [at, span] of chain.entries()) {
      if (at > 0) expect(span?.parentSpanId, span?.name).toBe(chain[at - 1]?.spanId)
    }
    const [, sorting, , filing] = chain
    expect(sorting?.node).not.toBe(filing?.node)
    expect(await stack.murmur("trace", id)).toContain(`Jaeger: ${stack.jaegerUrl}/trace/${traceId}`)
  })

  it("takes events from this machine, by the command line and over HTTP", { timeout: 180_000 }, async () => {
    const folder = await stack.copyOut("operator")
    expect(statSync(join(folder, "user.nk")).mode & 0o077, "others cannot read the key").toBe(0)
    const { stdout, stderr, code } = await stack.onHost(folder, "publish", "note.added", "--data", '{"text":"a #plan"}')
    expect(code, stderr).toBe(0)
    expect(typesOf(await treeOf(stdout.split(" ")[0] ?? "", 3))).toEqual(["note.added", "note.sorted", "note.filed"])

    const token = (await readFile(join(await stack.copyOut("gateway"), "token"), "utf8")).trim()
    const body = { specversion: "1.0", id: "http-1", source: "/web", type: "note.added", data: { text: "an #idea" } }
    const post = (headers: Record<string, string>): Promise<Response> =>
      fetch(`${stack.gatewayUrl}/events`, {
        method: "POST",
        headers: { "content-type": "application/cloudevents+json", ...headers },
        body: JSON.stringify(body),
      })
    expect((await post({})).status).toBe(401)
    expect((await post({ authorization: `Bearer ${token}` })).status).toBe(202)
    expect(typesOf(await treeOf("http-1", 3))).toEqual(["note.added", "note.sorted", "note.filed"])
  })

  it("lets nodes do what their agents declare, and no more", { timeout: 30_000 }, async () => {
    const node = await connectAs("node")
    try {
      expect(node.link.rights.restricted).toBe(true)
      expect(node.link.rights.mayPublish("murmur.ev.librarian.k.note.filed")).toBe(true)
      expect(node.link.rights.mayPublish("murmur.ev.sorter.k.note.sorted")).toBe(false)
    } finally {
      await node.close()
    }
  })

  it("keeps its keys and its work when it is started again", { timeout: 180_000 }, async () => {
    const before = await keys()
    await stack.up()
    expect(await keys()).toEqual(before)
    const { id } = await operator.publish({ type: "note.added", data: { text: "again #plan" } }, { producer: "tester" })
    await treeOf(id, 3)
  })

  it("loses and doubles nothing while it grows from one node to four and a server is killed", {
    timeout: 600_000,
  }, async () => {
    const topics = 40
    let published = 0
    let flowing = true
    const flow = (async () => {
      while (flowing) {
        const text = `note ${published} #load-${published % topics}`
        await operator.publish({ type: "note.added", data: { text } }, { producer: "load" })
        published += 1
        await delay(10) // some 50 a second: more than comes to notes, and less than a busy machine can do
      }
    })()
    try {
      await until("events flow", () => published > 200, 120_000)
      await stack.up("--scale", "node=4")
      await until("all four nodes have partitions", async () => (await owners()).length === 4, 120_000)
      await stack.compose("kill", "nats-2")
      const before = published
      await until("events go on with two servers", () => published > before + 200, 120_000)
      await stack.up("--scale", "node=4")
    } finally {
      flowing = false
      await flow
    }
    await until(
      "all is done",
      async () => {
        const left = await Promise.all(["sorter", "librarian"].map((agent) => unfinished(operator, agent)))
        return left.every((consumers) => consumers?.length === 0)
      },
      120_000,
    )

    const sorted = await readAgentHistory(operator, "sorter", ["note.added"])
    expect(new Set(sorted.outputs.map(({ id }) => id)).size).toBe(sorted.events.size)
    expect(sorted.events.size).toBeGreaterThanOrEqual(published)
    const filed = await readAgentHistory(operator, "librarian", [NoteSorted.type])
    expect(checkHistory(filed, { storedOnce: false })).toEqual([])
    for (let topic = 0; topic < topics; topic++) {
      const numbers = numbersOf(filed.outputs, `load-${topic}`)
      expect(numbers.length).toBeGreaterThan(0)
      expect(numbers, `load-${topic}`).toEqual(numbers.map((_, at) => at + 1))
    }
  })

  it("denied nobody anything in all of that", { timeout: 30_000 }, async () => {
    const { names } = operator
    expect(await readAllMessages(operator, names.events, names.storedFilter("murmur.rights.denied"))).toEqual([])
    const logs = await stack.compose("logs", "--no-color", "nats-1", "nats-2", "nats-3")
    expect(logs.split("\n").filter((line) => /violation|authorization error/i.test(line))).toEqual([])
  })

  /** The nodes that own partitions of the librarian. */
  async function owners(): Promise<string[]> {
    const nodes: { id: string; partitions: Record<string, { owned?: number[] }> }[] = JSON.parse(
      await stack.murmur("nodes", "--json"),
    )
    return nodes.filter(({ partitions }) => (partitions.librarian?.owned ?? []).length > 0).map(({ id }) => id)
  }

  /** The causal tree of an event, once it is so many events deep. */
  async function treeOf(id: string, depth: number): Promise<Tree> {
    return vi.waitFor(async () => {
      const tree: Tree = JSON.parse(await stack.murmur("trace", id, "--json"))
      expect(typesOf(tree).length).toBeGreaterThanOrEqual(depth)
      return tree
    }, SOON)
  }

  async function keys(): Promise<string[]> {
    const folders = await Promise.all(["operator", "node"].map((user) => stack.copyOut(user)))
    return Promise.all(
      folders.flatMap((folder) => ["ca.pem", "user.nk"].map((file) => readFile(join(folder, file), "utf8"))),
    )
  }
})

/** From the root down, the first effect of each. */
function typesOf({ type, effects }: Tree): string[] {
  const [first] = effects
  return [type, ...(first === undefined ? [] : typesOf(first))]
}

/** The numbers that the notes of a topic were given, in stream order; an event that is stored again counts once. */
function numbersOf(outputs: readonly MurmurEvent[], topic: string): number[] {
  const seen = new Set<string>()
  const once = outputs.filter(({ id }) => seen.size < seen.add(id).size)
  const notes = once.map(({ data }) => NoteFiled.schema.parse(data))
  return notes.filter((note) => note.topic === topic).map(({ number }) => number)
}
