import { afterAll, beforeAll, expect, test, vi } from "vitest"
import type { MurmurEvent } from "../../src/bus/event.js"
import { buildCli, errorOf, jsonOf, murmur } from "./support/cli.js"
import { NoteAdded, startMesh, type TestMesh, trouble } from "./support/mesh.js"

interface Tree {
  id: string
  type: string
  producer: string
  key: string | null
  time: string
  effects: Tree[]
  traceId: string | null
  deadLetters: { agent: string; reason: string }[]
  afterMs: number | null
  complete?: boolean
  jaeger?: string
}

let mesh: TestMesh
beforeAll(async () => {
  await buildCli()
  mesh = await startMesh()
}, 120_000)
afterAll(() => mesh?.stop())

const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
const publish = (text: string, trace?: { traceparent: string }) =>
  mesh.bus.publish(NoteAdded({ text }, { key: "k" }), { producer: "feed", trace })
const trace = async (id: string): Promise<Tree> => jsonOf<Tree>(await mesh.murmur("trace", id, "--json"))

/** The tree of an event once it has so many effects below it, one in the other. */
async function treeOfDepth(id: string, depth: number): Promise<Tree> {
  return vi.waitFor(
    async () => {
      const tree = await trace(id)
      let at: Tree | undefined = tree
      for (let level = 0; level < depth; level++) at = at?.effects[0]
      expect(at).toBeDefined()
      return tree
    },
    { timeout: 10_000, interval: 200 },
  )
}

test("The tree goes from the root down, two hops, whichever of its events is named", async () => {
  await publish("noise")
  const { id } = await publish("two words", { traceparent: TRACEPARENT })
  await publish("more noise")
  const tree = await treeOfDepth(id, 2)
  expect(tree).toEqual({
    id,
    type: "note.added",
    producer: "feed",
    key: "k",
    time: expect.stringMatching(/^\d{4}-/),
    traceId: "0af7651916cd43dd8448eb211c80319c",
    deadLetters: [],
    reactions: [],
    tokens: 0,
    costUsd: null,
    seq: expect.any(Number),
    causationid: null,
    afterMs: null,
    sinceRootMs: 0,
    complete: true,
    effects: [
      expect.objectContaining({
        type: "note.counted",
        producer: "counter",
        causationid: id,
        afterMs: expect.any(Number),
        effects: [expect.objectContaining({ type: "count.seen", producer: "watcher", effects: [] })],
      }),
    ],
  })
  const leaf = tree.effects[0]?.effects[0]?.id ?? ""
  expect(await trace(leaf)).toEqual(tree)
  const { stdout } = await mesh.murmur("trace", leaf)
  expect(stdout).toMatch(
    /^note\.added {2}k {2}by feed .*\n└─ note\.counted .*\n {3}└─ count\.seen .*<- this one\n3 events, /,
  )
})

test("An event without an envelope is traced by its sequence, and one without headers by its id", async () => {
  const { client } = mesh.bus.link
  const { seq } = await client.publish("murmur.ev.hand.k.note.added", '{"text":"by hand"}')
  const tree = await treeOfDepth(`murmur_EVENTS:${seq}`, 1)
  expect(tree).toMatchObject({ id: `murmur_EVENTS:${seq}`, producer: "hand", effects: [{ producer: "counter" }] })
  const event = { specversion: "1.0", id: "by-hand-1", source: "/hand", type: "note.added", data: { text: "x" } }
  const stored = await client.publish("murmur.ev.hand._.note.added", JSON.stringify(event))
  expect(await treeOfDepth("by-hand-1", 1)).toMatchObject({ id: "by-hand-1", key: null })
  expect(await trace(`murmur_EVENTS:${stored.seq}`)).toMatchObject({ id: "by-hand-1", complete: true })
})

test("Dead letters stand at the event that was given up", async () => {
  trouble.on = true
  const { id } = await publish("boom")
  await vi.waitFor(async () => expect((await trace(id)).deadLetters).toHaveLength(1), {
    timeout: 10_000,
    interval: 200,
  })
  expect((await trace(id)).deadLetters).toMatchObject([
    { agent: "counter", reason: "failed", attempts: 2, error: { message: "it went boom" } },
  ])
  expect((await mesh.murmur("trace", id)).stdout).toContain("dead letter of counter, failed: ERROR: it went boom")
})

test("When the root is gone, what is left of the tree is shown and the rest is said", async () => {
  const { id, seq } = await publish("soon gone")
  const { effects } = await treeOfDepth(id, 2)
  await mesh.bus.link.manager.streams.deleteMessage(mesh.bus.names.events, seq)
  const result = await mesh.murmur("trace", effects[0]?.id ?? "", "--json")
  expect(jsonOf<Tree>(result)).toMatchObject({
    id,
    type: "unknown",
    complete: false,
    effects: [{ id: effects[0]?.id, effects: [{}] }],
  })
  expect(result.stderr).toContain(`root event ${id} is not in the stream any more`)
})

test("An unknown event is an error; --since bounds where it is looked for", async () => {
  const { id } = await publish("findable")
  const unknown = await mesh.murmur("trace", "no-such-event", "--json")
  expect(unknown.code).toBe(1)
  expect(errorOf(unknown).code).toBe("EVENT_UNKNOWN")
  expect(jsonOf<Tree>(await mesh.murmur("trace", id, "--since", "1m", "--json")).id).toBe(id)
  const later = new Date(Date.now() + 60_000).toISOString()
  expect((await mesh.murmur("trace", id, "--since", later)).code).toBe(1)
})

test("The trace's page is named when it is known where", async () => {
  const { id } = await publish("x", { traceparent: TRACEPARENT })
  const args = ["trace", id, "--json", "--nats", mesh.server.url]
  const at = async (env: NodeJS.ProcessEnv): Promise<string | undefined> =>
    jsonOf<Tree>(await murmur(args, { env })).jaeger
  const path = "/trace/0af7651916cd43dd8448eb211c80319c"
  expect(await at({})).toBeUndefined()
  expect(await at({ JAEGER_UI_URL: "https://jaeger.example/ui/" })).toBe(`https://jaeger.example/ui${path}`)
  expect(await at({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://localhost:4318" })).toBe(`http://localhost:16686${path}`)
})

test("Where nobody traced what was published, the page of the trace that begins below it is named", async () => {
  const { id, seq } = await publish("x")
  await treeOfDepth(id, 1)
  const cause = await take(mesh.bus, seq)
  const below = { producer: "feed", cause, trace: { traceparent: TRACEPARENT } }
  await mesh.bus.publish({ type: "note.traced", data: {}, key: "k" }, below)
  const { stdout } = await murmur(["trace", id, "--nats", mesh.server.url], {
    env: { JAEGER_UI_URL: "https://jaeger.example" },
  })
  expect(stdout).toContain("Jaeger: https://jaeger.example/trace/0af7651916cd43dd8448eb211c80319c")
})

/** The event at a sequence. */
async function take(bus: TestMesh["bus"], seq: number): Promise<MurmurEvent> {
  for await (const event of bus.observe(">", { from: seq })) return event
  throw new Error(`there is no event ${seq}`)
}
