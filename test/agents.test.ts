import { afterEach, expect, test } from "vitest"
import { z } from "zod"
import { DeadLetter } from "../src/agents/dead-letters.js"
import type { AgentDefinition } from "../src/agents/define-agent.js"
import { defineAgent } from "../src/agents/define-agent.js"
import { defineEvent } from "../src/bus/define-event.js"
import { readHistory } from "../src/bus/reader.js"
import { RetryableError, TerminalError } from "../src/errors.js"
import { startMesh, type TestMesh, take, until } from "./support/mesh.js"

const Order = defineEvent("shop.order", z.object({ n: z.number(), shop: z.string() }), { key: (d) => d.shop })
const Seen = defineEvent("shop.seen", z.object({ n: z.number() }))

let mesh: TestMesh | undefined
afterEach(async () => {
  await mesh?.stop()
  mesh = undefined
})

async function deadLetters(of: TestMesh): Promise<DeadLetter[]> {
  const { names, link } = of.bus
  const letters: DeadLetter[] = []
  for await (const message of readHistory(link, {
    stream: names.dead,
    filter: `${names.mesh}.dead.>`,
    from: { seq: 1 },
  })) {
    letters.push(DeadLetter.parse(JSON.parse(Buffer.from(message.data).toString())))
  }
  return letters
}

const echo = (more: Partial<Parameters<typeof defineAgent>[1]> = {}): AgentDefinition =>
  defineAgent("echo", {
    on: [Order],
    emits: [Seen],
    handle: (event, ctx) => ctx.emit(Seen({ n: event.data.n }, { key: event.key ?? "" })),
    ...(more as object),
  })

test("an agent reacts to an event without being asked, and what it emits carries the cause", async () => {
  mesh = await startMesh({ agents: [echo()] })
  const ack = await mesh.bus.publish(Order({ n: 1, shop: "a" }), { producer: "cli", trust: "external" })
  const [seen] = await take(mesh.bus, "shop.seen", 1)
  expect(seen).toMatchObject({
    type: "shop.seen",
    key: "a",
    data: { n: 1 },
    producer: "echo",
    causationid: ack.id,
    correlationid: ack.id,
    hops: 1,
    trust: "external",
  })
})

test("events of one key are handled one after the other, other keys run beside them", async () => {
  const running = new Set<string>()
  let overlaps = 0
  let together = 0
  const slow = defineAgent("slow", {
    on: [Order],
    emits: [Seen],
    async handle(event, ctx) {
      if (running.has(event.data.shop)) overlaps += 1
      running.add(event.data.shop)
      together = Math.max(together, running.size)
      await new Promise((resolve) => setTimeout(resolve, 2))
      running.delete(event.data.shop)
      ctx.emit(Seen({ n: event.data.n }, { key: event.data.shop }))
    },
  })
  mesh = await startMesh({ agents: [slow] })
  const orders = Array.from({ length: 300 }, (_, n) => Order({ n, shop: `shop ${n % 5}` }))
  for await (const _ of mesh.bus.publishMany(orders, { producer: "cli" }));
  const seen = await take(mesh.bus, "shop.seen", 300)
  expect(overlaps).toBe(0)
  expect(together).toBe(5)
  for (let shop = 0; shop < 5; shop++) {
    const order = seen.filter(({ key }) => key === `shop ${shop}`).map(({ data }) => (data as { n: number }).n)
    expect(order).toEqual([...order].sort((a, b) => a - b))
  }
})

test("a failing event holds back its own key and no other, and ends in the dead letters with its attempts", async () => {
  const failing = echo({
    retry: { attempts: 3, backoffMs: 5 },
    handle(event: { data: { n: number; shop: string } }, ctx: { emit(draft: unknown): void }) {
      if (event.data.n === 0) throw new Error("cannot digest 0")
      ctx.emit(Seen({ n: event.data.n }, { key: event.data.shop }))
    },
  } as never)
  mesh = await startMesh({ agents: [failing] })
  const orders = [0, 1, 2].map((n) => Order({ n, shop: n === 2 ? "other" : "poisoned" }))
  const acks = []
  for await (const ack of mesh.bus.publishMany(orders, { producer: "cli" })) acks.push(ack)
  const seen = await take(mesh.bus, "shop.seen", 2)
  expect(seen.map(({ data }) => (data as { n: number }).n).sort()).toEqual([1, 2])
  const letters = await deadLetters(mesh)
  expect(letters).toHaveLength(1)
  expect(letters[0]).toMatchObject({ agent: "echo", reason: "failed", error: { message: "cannot digest 0" } })
  expect(letters[0]?.event.id).toBe(acks[0]?.id)
  expect(letters[0]?.attempts.map(({ message }) => message)).toEqual(Array(3).fill("cannot digest 0"))
})

test("the class of an error decides: terminal is not repeated, retryable waits as long as it says", async () => {
  const attempts = new Map<number, number>()
  const judged = defineAgent("judged", {
    on: [Order],
    retry: { attempts: 4, backoffMs: 60_000 },
    handle(event) {
      const attempt = (attempts.get(event.data.n) ?? 0) + 1
      attempts.set(event.data.n, attempt)
      if (event.data.n === 1) throw new TerminalError("never", { code: "NEVER" })
      if (attempt < 3) throw new RetryableError("soon", { code: "SOON", retryAfterMs: 1 })
    },
  })
  mesh = await startMesh({ agents: [judged] })
  for (const n of [1, 2]) await mesh.bus.publish(Order({ n, shop: `s${n}` }), { producer: "cli" })
  const host = mesh.node.hosts[0]
  await until("both events are done", () => host?.stats.deadLetters === 1 && host.stats.steps === 1)
  expect([...attempts]).toEqual(
    expect.arrayContaining([
      [1, 1],
      [2, 3],
    ]),
  )
  expect((await deadLetters(mesh))[0]).toMatchObject({ reason: "terminal", error: { code: "NEVER" } })
})

test("what cannot be read and what does not fit its schema goes to the dead letters, never to the handler", async () => {
  mesh = await startMesh({ agents: [echo()] })
  const { connection } = mesh.bus.link
  connection.publish("test.ev.nats.a.shop.order", "{ not json")
  connection.publish("test.ev.nats.a.shop.order", JSON.stringify({ n: "seven", shop: "a" }))
  connection.publish("test.ev.nats.a.shop.order", JSON.stringify({ n: 7, shop: "a" }))
  const [seen] = await take(mesh.bus, "shop.seen", 1)
  expect(seen).toMatchObject({ data: { n: 7 }, causationid: "test_EVENTS:3", key: "a", trust: "external" })
  await until("both are laid aside", () => mesh?.node.hosts[0]?.stats.deadLetters === 2)
  const letters = await deadLetters(mesh)
  expect(letters.map(({ reason }) => reason)).toEqual(["malformed", "schema"])
  expect(Buffer.from(letters[0]?.raw ?? "", "base64").toString()).toBe("{ not json")
  expect(letters[1]?.error.issues?.[0]?.path).toBe("n")
})

test("agents that trigger one another are stopped by depth", async () => {
  const Ping = defineEvent("loop.ping", z.object({}))
  const Pong = defineEvent("loop.pong", z.object({}))
  const a = defineAgent("a", { on: [Ping], emits: [Pong], handle: (_, ctx) => ctx.emit(Pong({})) })
  const b = defineAgent("b", { on: [Pong], emits: [Ping], handle: (_, ctx) => ctx.emit(Ping({})) })
  mesh = await startMesh({ agents: [a, b] })
  await mesh.bus.publish(Ping({}), { producer: "cli" })
  await until("the loop is cut", async () => (mesh === undefined ? 0 : (await deadLetters(mesh)).length) === 1)
  const [letter] = await deadLetters(mesh)
  expect(letter).toMatchObject({ reason: "loop", error: { code: "HOPS_EXCEEDED" } })
  expect(letter?.event.hops).toBe(17)
})

test("emitting what was not declared, or what does not fit, is the agent's error and publishes nothing", async () => {
  const liar = defineAgent("liar", {
    on: [Order],
    emits: [Seen],
    handle(event, ctx) {
      ctx.emit(Seen({ n: 1 }))
      ctx.emit(event.data.n === 1 ? Order({ n: 2, shop: "x" }) : Seen({ n: "no" as unknown as number }))
    },
  })
  mesh = await startMesh({ agents: [liar] })
  for (const n of [1, 2]) await mesh.bus.publish(Order({ n, shop: `s${n}` }), { producer: "cli" })
  await until("both are laid aside", () => mesh?.node.hosts[0]?.stats.deadLetters === 2)
  const codes = (await deadLetters(mesh)).map(({ error }) => error.code)
  expect(codes.sort()).toEqual(["EMIT_UNDECLARED", "EVENT_DATA"])
  const published = await take(mesh.bus, "shop.>", 2)
  expect(published.every(({ producer }) => producer === "cli")).toBe(true)
})

test("an agent that comes later gets the whole history when it asks for it", async () => {
  mesh = await startMesh({})
  const orders = Array.from({ length: 50 }, (_, n) => Order({ n, shop: "a" }))
  for await (const _ of mesh.bus.publishMany(orders, { producer: "cli" }));
  await mesh.addNode({ agents: [echo({ from: "start" })] })
  const seen = await take(mesh.bus, "shop.seen", 50)
  expect(seen.map(({ data }) => (data as { n: number }).n)).toEqual(orders.map(({ data }) => data.n))
})

test("a stopped agent resumes where it was, on another node", async () => {
  mesh = await startMesh({ agents: [echo()] })
  const orders = (from: number) => Array.from({ length: 20 }, (_, i) => Order({ n: from + i, shop: "a" }))
  for await (const _ of mesh.bus.publishMany(orders(0), { producer: "cli" }));
  await take(mesh.bus, "shop.seen", 20)
  await mesh.node.stop()
  for await (const _ of mesh.bus.publishMany(orders(20), { producer: "cli" }));
  await mesh.addNode({ agents: [echo()] })
  const seen = await take(mesh.bus, "shop.seen", 40)
  expect(seen.map(({ data }) => (data as { n: number }).n)).toEqual(Array.from({ length: 40 }, (_, n) => n))
})
