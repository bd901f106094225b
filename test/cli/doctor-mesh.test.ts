import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { openBuckets } from "../../src/node/buckets.js"
import { MESH_FORMAT, STAMP_KEY } from "../../src/node/deployment/stamp.js"
import { testBinary } from "../support/binary.js"
import { buildCli, murmur } from "./support/cli.js"
import { NoteAdded, startMesh, type TestMesh } from "./support/mesh.js"

interface Check {
  check: string
  ok: boolean
  detail: string
  fix: string | null
}

let mesh: TestMesh
beforeAll(buildCli, 120_000)
beforeEach(async () => {
  await mesh?.stop()
  mesh = await startMesh()
})
afterAll(() => mesh?.stop())

/** What fails, and what is said of it. */
async function doctor() {
  const env = { NATS_SERVER_BIN: testBinary(), NATS_URL: mesh.server.url }
  const checks = JSON.parse((await murmur(["doctor", "--json"], { env })).stdout) as Check[]
  return {
    failed: checks.filter(({ ok }) => !ok).map(({ check }) => check),
    of: (name: string) => checks.find(({ check }) => check === name),
  }
}

test("streams near their limits are told: a finding where new entries would be refused", async () => {
  const { manager } = mesh.bus.link
  const { names, publisher } = mesh.bus
  await manager.streams.update(names.events, { max_msgs: 10 })
  for (let n = 0; n < 9; n++) await mesh.bus.publish({ type: "some.thing", data: {} }, { producer: "cli" })
  const turning = await doctor()
  expect(turning.failed).toEqual([])
  expect(turning.of("room")).toMatchObject({
    ok: true,
    detail: expect.stringMatching(/murmur_EVENTS: \d+ % of its messages/),
  })
  await manager.streams.update(names.sessionsOf("any"), { max_msgs: 10 })
  for (let n = 0; n < 9; n++) await publisher.append(`murmur.ses.any.k${n}`, Buffer.from("{}"), 0)
  const full = await doctor()
  expect(full.failed).toEqual(["room"])
  expect(full.of("room")).toMatchObject({
    detail: "murmur_SESSIONS: 90 % of its messages",
    fix: expect.stringContaining("nats stream edit"),
  })
})

test("dead letters that pile up are a finding, a few are none", async () => {
  const { publisher, names } = mesh.bus
  const add = (n: number) => publisher.append(names.deadSubject("counter", `k${n}`), Buffer.from("{}"), 0)
  for (let n = 0; n < 9; n++) await add(n)
  expect((await doctor()).of("dead letters")).toMatchObject({ ok: true, detail: "9 dead letters, 9 of the last hour" })
  await add(9)
  const { failed, of } = await doctor()
  expect(failed).toEqual(["dead letters"])
  expect(of("dead letters")).toMatchObject({
    detail: expect.stringContaining("they pile up"),
    fix: expect.stringContaining("murmur dead"),
  })
})

test("agents that no node hosts are told with what waits for them", async () => {
  await mesh.node.stop(1_000)
  await mesh.bus.publish(NoteAdded({ text: "one" }), { producer: "cli" })
  const { of } = await doctor()
  expect(of("agents")).toMatchObject({ ok: false, detail: expect.stringContaining("counter (1 event waiting)") })
  expect(of("agents")?.fix).toContain("--prune")
})

test("an agent that is quarantined, and nodes of several versions of code, are told", async () => {
  const { presence } = await openBuckets(mesh.bus)
  const self = (await presence.get("node-1"))?.value as { agents: { name: string }[] }
  const agents = self.agents.map((agent) => ({ ...agent, state: agent.name === "counter" ? "quarantined" : "running" }))
  await presence.put("node-2", { ...self, id: "node-2", agents, codeVersion: "b" })
  await presence.put("node-3", { ...self, id: "node-3", codeVersion: "c" })
  const { of, failed } = await doctor()
  expect(failed).toEqual(["agents"])
  expect(of("agents")?.detail).toBe("counter is quarantined: it fails again and again")
  expect(of("nodes")).toMatchObject({ ok: true, detail: expect.stringContaining("code b, c") })
})

test("consumers of other partitions are told with the command that removes them; others by their name", async () => {
  const { manager } = mesh.bus.link
  await manager.consumers.add(mesh.bus.names.events, { durable_name: "counter=3", ack_policy: "explicit" })
  expect((await doctor()).of("consumers")).toMatchObject({ ok: false, fix: expect.stringContaining("murmur deploy") })
  await manager.consumers.delete(mesh.bus.names.events, "counter=3")
  await manager.consumers.add(mesh.bus.names.events, { durable_name: "stray", ack_policy: "explicit" })
  expect((await doctor()).of("consumers")?.fix).toBe("remove what nobody needs: nats consumer rm murmur_EVENTS stray")
})

test("a mesh of a newer form says which murmur to run", async () => {
  const { settings } = await openBuckets(mesh.bus)
  await settings.put(STAMP_KEY, { format: MESH_FORMAT + 1, version: "9.9.9", at: new Date().toISOString() })
  const { failed, of } = await doctor()
  expect(failed).toEqual(["version"])
  expect(of("version")?.fix).toContain("murmur 9.9.9")
})
