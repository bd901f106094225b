import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest"
import { buildCli, errorOf, jsonOf, murmur } from "./support/cli.js"
import { handled, NoteAdded, startMesh, type TestMesh, trouble } from "./support/mesh.js"

interface Letter {
  id: string
  agent: string
  type: string
  key: string | null
  reason: string
  attempts: number
  error: { code: string; message: string }
  at: string
  event: string
}

let mesh: TestMesh
beforeAll(async () => {
  await buildCli()
  mesh = await startMesh()
}, 120_000)
afterAll(() => mesh?.stop())
beforeEach(async () => {
  trouble.on = true
  await mesh.bus.link.manager.streams.purge(mesh.bus.names.dead)
})

const letters = async (...args: string[]): Promise<Letter[]> =>
  jsonOf<Letter[]>(await mesh.murmur("dead", "ls", "--json", ...args))

/** Waits until so many letters are there. */
async function lettersWhen(count: number): Promise<Letter[]> {
  const { manager } = mesh.bus.link
  const stored = async (): Promise<number> => (await manager.streams.info(mesh.bus.names.dead)).state.messages
  await vi.waitFor(async () => expect(await stored()).toBe(count), { timeout: 10_000 })
  return letters()
}

const boom = (key: string) =>
  mesh.bus.publish(NoteAdded({ text: "boom" }, { key }), { producer: "feed", trust: "external" })

test("A letter is listed with reason, attempts and error, and shown whole", async () => {
  const { id: event } = await boom("a")
  const [letter] = await lettersWhen(1)
  expect(letter).toEqual({
    id: expect.any(String),
    agent: "counter",
    type: "note.added",
    key: "a",
    reason: "failed",
    attempts: 2,
    error: { code: "ERROR", message: "it went boom" },
    at: expect.stringMatching(/^\d{4}-/),
    event,
  })
  const id = letter?.id ?? ""
  expect(jsonOf(await mesh.murmur("dead", "show", id, "--json"))).toMatchObject({
    id,
    event: { id: event, data: { text: "boom" }, producer: "feed" },
    attempts: [{ message: "it went boom" }, { message: "it went boom" }],
    traceId: null,
  })
  const { stdout } = await mesh.murmur("dead", "show", id.slice(0, 10))
  for (const part of [id, "it went boom", "attempt 2", event]) expect(stdout).toContain(part)
})

test("The page of the letter's trace is named when it is known where", async () => {
  const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`
  const trace = { traceparent }
  await mesh.bus.publish(NoteAdded({ text: "boom" }, { key: "t" }), { producer: "feed", trace })
  const [letter] = await lettersWhen(1)
  const args = ["dead", "show", letter?.id ?? "", "--nats", mesh.server.url]
  const env = { JAEGER_UI_URL: "https://jaeger.example/ui/" }
  const page = `https://jaeger.example/ui/trace/${"a".repeat(32)}`
  expect(jsonOf(await murmur([...args, "--json"], { env }))).toMatchObject({ traceId: "a".repeat(32), jaeger: page })
  expect((await murmur(args, { env })).stdout).toContain(page)
  expect(jsonOf(await murmur([...args, "--json"]))).not.toHaveProperty("jaeger")
})

test("dead alone lists, and an agent or a type narrows the list", async () => {
  await boom("a")
  await mesh.bus.publish({ type: "note.counted", data: { words: "many" } }, { producer: "test" })
  await lettersWhen(2)
  expect(jsonOf<Letter[]>(await mesh.murmur("dead", "--json"))).toHaveLength(2)
  expect(await letters("--agent", "watcher")).toMatchObject([
    { agent: "watcher", reason: "schema", key: null, attempts: 0 },
  ])
  expect(await letters("--type", "note.added")).toMatchObject([{ agent: "counter" }])
})

test("A retried event reaches its agent alone, as it was, and its letter is gone", async () => {
  const { id: event, seq } = await boom("a b")
  const [letter] = await lettersWhen(1)
  trouble.on = false
  expect(await mesh.murmur("dead", "retry", letter?.id ?? "")).toMatchObject({ code: 0, stdout: `${letter?.id}\n` })
  await vi.waitFor(() => expect(handled).toContain(event), { timeout: 10_000 })
  expect(await letters()).toEqual([])
  const outputs = await mesh.murmur("tail", "note.counted", "--from-seq", String(seq), "--count", "1", "--json")
  expect(JSON.parse(outputs.stdout)).toMatchObject({
    causationid: event,
    correlationid: event,
    subject: "a b",
    trust: "external",
    hops: 1,
  })
})

test("What fails again is a letter again, under the same id", async () => {
  await boom("again")
  const [letter] = await lettersWhen(1)
  const id = letter?.id ?? ""
  expect(jsonOf(await mesh.murmur("dead", "retry", id, "--json"))).toMatchObject({
    retried: [{ id, agent: "counter" }],
    failed: [],
  })
  await vi.waitFor(async () => expect(await letters()).toMatchObject([{ id, attempts: 2 }]), {
    timeout: 10_000,
    interval: 200,
  })
})

test("All of an agent are retried in one go; what cannot be retried is told and stays", async () => {
  const ids = [(await boom("x")).id, (await boom("y")).id, (await boom("z")).id]
  await mesh.bus.link.client.publish("murmur.ev.raw.k.note.added", "{nope")
  await lettersWhen(4)
  trouble.on = false
  const result = await mesh.murmur("dead", "retry", "--all", "--json")
  expect(result.code).toBe(1)
  const said = JSON.parse(result.stdout) as { retried: { event: string }[]; failed: { error: { code: string } }[] }
  expect(said.retried.map(({ event }) => event).sort()).toEqual(ids.sort())
  expect(said.failed).toMatchObject([{ error: { code: "DEAD_MALFORMED" } }])
  expect(errorOf(result).code).toBe("DEAD_RETRY")
  await vi.waitFor(() => expect(handled).toEqual(expect.arrayContaining(ids)), { timeout: 10_000 })
  expect(await letters()).toMatchObject([{ reason: "malformed" }])
})

test("A malformed message is shown as it came, and cannot be retried", async () => {
  await mesh.bus.link.client.publish("murmur.ev.raw.k.note.added", "{nope")
  const [letter] = await lettersWhen(1)
  expect(letter).toMatchObject({ reason: "malformed", attempts: 0, error: { code: "EVENT_JSON" }, key: "k" })
  expect((await mesh.murmur("dead", "show", letter?.id ?? "")).stdout).toContain("payload as it came:\n{nope")
  const result = await mesh.murmur("dead", "retry", letter?.id ?? "", "--json")
  expect(result.code).toBe(1)
  expect(errorOf(result)).toMatchObject({ code: "DEAD_MALFORMED", message: expect.stringContaining("drop the letter") })
})

test("A letter of an agent that reacts to a stream is refused with what to do instead", async () => {
  await mesh.bus.publish({ type: "pipe.fed", data: { n: "one" } }, { producer: "test" })
  const [letter] = await lettersWhen(1)
  expect(letter).toMatchObject({ agent: "stream", reason: "schema" })
  const result = await mesh.murmur("dead", "retry", letter?.id ?? "", "--json")
  expect(result.code).toBe(1)
  expect(errorOf(result)).toMatchObject({
    code: "DEAD_REACT",
    message: expect.stringContaining("Publish the event again"),
  })
  expect(await letters()).toHaveLength(1)
})

test("Dropped letters are gone; an id that none has is an error", async () => {
  await boom("a")
  await boom("b")
  const [first] = await lettersWhen(2)
  const one = await mesh.murmur("dead", "drop", first?.id ?? "", "nothing-like-it", "--yes")
  expect(one).toMatchObject({ code: 1, stdout: `${first?.id}\n`, stderr: expect.stringContaining("nothing-like-it") })
  expect(await letters()).toHaveLength(1)
  expect(
    jsonOf<{ dropped: string[] }>(await mesh.murmur("dead", "drop", "--all", "--yes", "--json")).dropped,
  ).toHaveLength(1)
  expect(await letters()).toEqual([])
})

test("Without --yes nothing is dropped where nobody can be asked", async () => {
  await boom("a")
  const [letter] = await lettersWhen(1)
  expect((await mesh.murmur("dead", "drop", letter?.id ?? "")).code).toBe(2)
  expect(await letters()).toHaveLength(1)
})

test.each(["show", "retry"])("dead %s of an unknown id is an error", async (command) => {
  const result = await mesh.murmur("dead", command, "unknown-id", "--json")
  expect(result.code).toBe(1)
  expect(errorOf(result).code).toBe("DEAD_UNKNOWN")
})
