import { afterEach, expect, test } from "vitest"
import { z } from "zod"
import { defineAgent } from "../../src/agents/define-agent.js"
import { defineEvent } from "../../src/bus/define-event.js"
import { readHistory } from "../../src/bus/reader.js"
import { checkMesh } from "../support/checker.js"
import { startMesh, type TestMesh, until } from "../support/mesh.js"

const KEYS = 100
const EVENTS = 1_000
const DUPLICATES = 10_000

const Paid = defineEvent("bank.paid", z.object({ account: z.string(), n: z.number() }), { key: (d) => d.account })
const Booked = defineEvent("bank.booked", z.object({ n: z.number(), count: z.number() }))

let calls = 0
const clerk = () =>
  defineAgent("clerk", {
    on: [Paid],
    emits: [Booked],
    from: "start",
    state: { initial: 0, evolve: { Booked: (count: number, _: { n: number }) => count + 1 }, snapshotEvery: 4 },
    async handle(event, ctx) {
      await ctx.run("charge", () => ++calls)
      ctx.record("Booked", { n: event.data.n })
      ctx.emit(Booked({ n: event.data.n, count: ctx.state }, { key: event.data.account }))
    },
  })

let mesh: TestMesh | undefined
afterEach(async () => {
  await mesh?.stop()
  mesh = undefined
})

async function storedEvents(of: TestMesh): Promise<number> {
  const query = { subjects_filter: of.bus.names.storedFilter(Paid.type) }
  const { state } = await of.bus.link.manager.streams.info(of.bus.names.events, query)
  return Object.values(state.subjects ?? {}).reduce((sum, n) => sum + n, 0)
}

/** Stores the same events again and again, as is possible outside the dedup window: their ids are in the body alone. */
async function repeat(of: TestMesh, times: number): Promise<void> {
  const { names, link } = of.bus
  const payloads: { subject: string; data: Uint8Array }[] = []
  for await (const message of readHistory(link, {
    stream: names.events,
    filter: names.storedFilter(Paid.type),
    from: { seq: 1 },
  })) {
    const { producer, key, type } = names.parseStored(message.subject)
    payloads.push({ subject: names.publishSubject(producer, key, type), data: message.data })
  }
  for (let sent = 0; sent < times; sent++) {
    const again = payloads[(sent * 7) % payloads.length]
    if (again !== undefined) link.connection.publish(again.subject, again.data)
    if (sent % 500 === 0) await link.connection.flush()
  }
  await link.connection.flush()
}

test("10,000 repeats of committed events make no commit, no output and no call", { timeout: 60_000 }, async () => {
  const warnings: Error[] = []
  process.on("warning", (warning) => warnings.push(warning))
  mesh = await startMesh({ agents: [clerk()] })
  const of = mesh
  const drafts = Array.from({ length: EVENTS }, (_, n) => Paid({ account: `account ${n % KEYS}`, n }))
  for await (const _ of of.bus.publishMany(drafts, { producer: "cli" }));
  await until("all events are handled", () => of.node.hosts[0]?.stats.steps === EVENTS)
  await repeat(of, DUPLICATES / 2)
  // the other half meets a node that has to read its sessions
  await until("half of the repeats are stored", async () => (await storedEvents(of)) === EVENTS + DUPLICATES / 2)
  await of.node.stop()
  await repeat(of, DUPLICATES / 2)
  await until("all repeats are stored", async () => (await storedEvents(of)) === EVENTS + DUPLICATES)
  await of.addNode({ agents: [clerk()] })
  const { events, sessions, outputs, dead } = await checkMesh(of.bus, { agent: "clerk", on: [Paid.type] })
  expect([events.size, sessions.size, outputs.length, dead.size]).toEqual([EVENTS, KEYS, EVENTS, 0])
  expect(calls).toBe(EVENTS)
  expect(warnings, "of leaks, for one").toEqual([])
})
