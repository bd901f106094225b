import { readFileSync } from "node:fs"
import { connect, type NatsConnection, nkeyAuthenticator, type Status } from "@nats-io/transport-node"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { z } from "zod"
import { type AgentDefinition, defineAgent } from "../src/agents/define-agent.js"
import { defineEvent } from "../src/bus/define-event.js"
import { importedName } from "../src/bus/rights.js"
import { DeadLetters } from "../src/node/dead-letter-store.js"
import { take, until } from "./support/mesh.js"
import { type SecuredMesh, startSecuredMesh } from "./support/secured-mesh.js"

const Order = defineEvent("shop.order", z.object({ n: z.number() }), { key: () => "k" })
const Done = defineEvent("shop.done", z.object({ n: z.number() }), { key: () => "k" })
const Payout = defineEvent("shop.payout", z.object({ n: z.number() }), { key: () => "k" })

const agent = (name: string): AgentDefinition =>
  defineAgent(name, {
    on: [Order],
    emits: [Done],
    state: { initial: 0, evolve: { Did: (n: number) => n + 1 } },
    handle(event, ctx) {
      ctx.record("Did", null as never)
      ctx.emit(Done({ n: event.data.n }))
    },
  }) as AgentDefinition

let mesh: SecuredMesh
/** A thief with the credentials of the node that hosts "a". */
let thief: NatsConnection
let user: string
const refused: string[] = []

beforeAll(async () => {
  mesh = await startSecuredMesh({ a: { hosted: { agents: [agent("a")] } }, b: { hosted: { agents: [agent("b")] } } })
  await mesh.start("b")
  await mesh.start("a")
  await mesh.admin.publish(Order({ n: 1 }, { id: "o1" }), { producer: "cli" })
  await take(mesh.admin, "shop.done", 2)
  user = mesh.identities.nodes[0]?.keys[0] ?? ""
  thief = await connect({
    servers: mesh.server.url,
    inboxPrefix: `_INBOX_${user}`,
    authenticator: nkeyAuthenticator(Buffer.from(readFileSync(mesh.seedFile("a"), "utf8").trim())),
  })
  void noteRefusals(thief)
})
afterAll(async () => {
  await thief?.close()
  await mesh?.stop()
})

async function noteRefusals(connection: NatsConnection): Promise<void> {
  for await (const status of connection.status() as AsyncIterable<Status & { error?: { message: string } }>) {
    if (status.type === "error") refused.push(status.error?.message ?? "")
  }
}

/** All that the mesh has stored: by stream, how many messages and which last one; and its consumers. */
async function everything(): Promise<string> {
  const { manager } = mesh.admin.link
  const found: string[] = []
  for await (const { config, state } of manager.streams.list()) {
    if (/presence/.test(config.name)) continue // nodes tell that they live
    found.push(`${config.name} ${state.messages} ${state.last_seq}`)
    for await (const { name, config: consumer } of manager.consumers.list(config.name)) {
      found.push(`${config.name} ${name} ${JSON.stringify(consumer.filter_subject ?? consumer.filter_subjects)}`)
    }
  }
  return found.sort().join("\n")
}

const PUSH = JSON.stringify({
  stream_name: "test_EVENTS",
  config: { durable_name: "evil", deliver_subject: "test.ev.b.k.shop.payout", ack_policy: "none" },
})

describe("with a node's credentials the server refuses", () => {
  test.each([
    ["to publish as another agent", "test.ev.b.k.shop.done", "{}"],
    ["to publish as an operator", "test.ev.cli.k.shop.order", "{}"],
    ["to publish what its agent does not declare", "test.ev.a.k.shop.payout", "{}"],
    ["to write another's sessions", "test.ses.b.k", "{}"],
    ["to write another's journals", "test.step.b.o1", "{}"],
    ["to write another's dead letters", "test.dead.b.k", "{}"],
    ["to set another's timers", "test.timer.b.x.0", "{}"],
    ["to wake an agent", "test.wake.a.k", "{}"],
    ["to add to another's usage", "test.usage.agent.b.tokens", "{}"],
    ["to delete a stream", "$JS.API.STREAM.DELETE.test_EVENTS", ""],
    ["to make a stream", "$JS.API.STREAM.CREATE.evil", '{"name":"evil","subjects":["evil"]}'],
    ["to change a stream", "$JS.API.STREAM.UPDATE.test_EVENTS", '{"name":"test_EVENTS","subjects":["evil"]}'],
    ["to purge events", "$JS.API.STREAM.PURGE.test_EVENTS", ""],
    ["to purge another's sessions", "$JS.API.STREAM.PURGE.test_SESSIONS_b", ""],
    ["to delete a message", "$JS.API.STREAM.MSG.DELETE.test_EVENTS", '{"seq":1}'],
    ["to make a consumer that pushes", "$JS.API.CONSUMER.CREATE.test_EVENTS.evil", PUSH],
    ["to make a durable consumer", "$JS.API.CONSUMER.DURABLE.CREATE.test_EVENTS.evil", PUSH],
    ["to make a consumer of its own log", "$JS.API.CONSUMER.CREATE.test_SESSIONS_a.x.test.ses.a.>", "{}"],
    ["to delete a consumer", "$JS.API.CONSUMER.DELETE.test_EVENTS.b", ""],
    ["to list consumers", "$JS.API.CONSUMER.LIST.test_EVENTS", ""],
    ["to forge what the server tells", "$JS.EVENT.ADVISORY.API", "{}"],
    ["to acknowledge for another agent", "$JS.ACK.test_EVENTS.b.1.1.1.1.0", "+TERM"],
    ["to take another agent's events", "$JS.API.CONSUMER.MSG.NEXT.test_EVENTS.b", '{"batch":1}'],
    ["to read another's sessions", "$JS.API.STREAM.MSG.GET.test_SESSIONS_b", '{"seq":1}'],
    ["to read another's sessions directly", "$JS.API.DIRECT.GET.test_SESSIONS_b", '{"seq":1}'],
    ["to write routes", "$KV.test_routes.x", "{}"],
    ["to write settings", "$KV.test_settings.pause.b", "{}"],
    ["to write the catalogue", "$KV.test_catalogue.agent.b", "{}"],
    ["to ask the system account", "$SYS.REQ.SERVER.PING", ""],
    ["to write another's inbox", "_INBOX_ANY.x", "{}"],
  ])("%s", async (_, subject, payload) => {
    const before = await everything()
    for (const name of new Set([subject, importedName(subject)])) {
      const seen = refused.length
      thief.publish(name, payload, { reply: `_INBOX_${user}.x` })
      await thief.flush()
      await until(`${name} is refused`, () => refused.slice(seen).some((text) => text.includes(`"${name}"`)))
    }
    expect(await everything()).toBe(before)
  })

  test.each([">", "test.ev.>", "_INBOX.>", "_INBOX_UBSTRANGER.>", "$SYS.>", "test.ses.b.>", "$KV.>"])(
    "to listen to %s",
    async (subject) => {
      const seen = refused.length
      thief.subscribe(subject)
      await thief.flush()
      await until("it is refused", () => refused.slice(seen).some((text) => text.includes(`"${subject}"`)))
    },
  )

  // the server answers wherever a request says, without a look at what the client may publish to
  test("nor does it send its answers to where the node may not publish", async () => {
    const own = importedName("$JS.API.DIRECT.GET.test_EVENTS")
    thief.publish("test.ev.a.k.shop.done", PUSH)
    await thief.flush()
    const { manager } = mesh.admin.link
    await until("the payload lies there", async () => (await manager.streams.info("test_EVENTS")).state.messages >= 4)
    const { last_seq: seq } = (await manager.streams.info("test_EVENTS")).state
    const before = await everything()
    const replies = [
      "test.ev.b.k.shop.payout",
      "test.ses.b.k",
      "$KV.test_settings.pause.b",
      "$JS.API.CONSUMER.CREATE.test_EVENTS.evil",
      "$JS.API.STREAM.DELETE.test_DEAD",
      importedName("$JS.API.CONSUMER.CREATE.test_EVENTS.evil"),
    ]
    for (const reply of replies) thief.publish(own, JSON.stringify({ seq }), { reply })
    for (const reply of replies) thief.publish(importedName("$JS.API.STREAM.INFO.KV_test_routes"), "", { reply })
    for (const reply of replies) thief.publish("$SYS.REQ.USER.INFO", "", { reply })
    await thief.flush()
    // answers come in order: when this one is there, those before it went where they went
    await thief.request(own, JSON.stringify({ seq }))
    await mesh.admin.link.connection.flush()
    expect(await everything()).toBe(before)
  })
})

test("what an agent may not publish ends its step, and is told as an event that names agent and cause", async () => {
  const own = await startSecuredMesh({ c: { hosted: { agents: [agent("c")] } } })
  try {
    const newer = defineAgent("c", {
      on: [Order],
      emits: [Payout],
      handle: (event, ctx) => ctx.emit(Payout({ n: event.data.n })),
    })
    const node = await own.start("c", { hosted: { agents: [newer as AgentDefinition] } })
    await own.admin.publish(Order({ n: 1 }, { id: "o1" }), { producer: "cli" })
    const [told] = await take(own.admin, "murmur.rights.denied", 1)
    const subject = "test.ev.c.k.shop.payout"
    const who = { agent: "c", node: node.id, user: own.identities.nodes[0]?.keys[0] }
    expect(told).toMatchObject({ producer: "c", data: { ...who, operation: "publish", subject, cause: "o1" } })
    const letters: unknown[] = []
    await until("its event is in the dead letters", async () => {
      for await (const { letter } of new DeadLetters(own.admin).list({})) letters.push(letter)
      return letters.length > 0
    })
    expect(letters[0]).toMatchObject({ agent: "c", reason: "terminal", error: { code: "PUBLISH_DENIED" } })
  } finally {
    await own.stop()
  }
})
