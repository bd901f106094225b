import { afterAll, beforeAll, expect, test, vi } from "vitest"
import { durableInfo } from "../../src/bus/consumers.js"
import { buildCli, errorOf, jsonOf } from "./support/cli.js"
import { startMesh, type TestMesh } from "./support/mesh.js"

let mesh: TestMesh
beforeAll(async () => {
  await buildCli()
  mesh = await startMesh()
}, 120_000)
afterAll(() => mesh?.stop())

interface Route {
  id: string
  pattern: string
  agent: string
  filter: unknown
  origin: string
}

const routes = async (): Promise<Route[]> => jsonOf<Route[]>(await mesh.murmur("routes", "--json"))
const filterOf = async (consumer: string) => {
  const info = await durableInfo(mesh.bus.link, mesh.bus.names.events, consumer)
  return info && (info.config.filter_subjects ?? [info.config.filter_subject])
}
const hostOf = (name: string) => mesh.node.hosts.find(({ agent }) => agent.name === name)

test("What is published after add has returned reaches the agent, and after rm no more", async () => {
  const added = await mesh.murmur("route", "add", "side.*", "--to", "watcher")
  expect(added).toMatchObject({ code: 0, stdout: expect.stringMatching(/^r[0-9a-f]+\n$/) })
  const id = added.stdout.trim()
  expect(await routes()).toContainEqual(
    expect.objectContaining({ id, pattern: "side.*", agent: "watcher", filter: null, origin: "live" }),
  )
  const before = hostOf("watcher")?.stats.steps ?? 0
  await mesh.bus.publish({ type: "side.one", data: { words: 1 } }, { producer: "test" })
  await vi.waitFor(() => expect(hostOf("watcher")?.stats.steps).toBe(before + 1), { timeout: 10_000 })

  expect(await mesh.murmur("route", "rm", id)).toMatchObject({ code: 0, stdout: `${id}\n` })
  expect((await routes()).map((route) => route.id)).not.toContain(id)
  expect(await filterOf("watcher")).toEqual(["murmur.ev.*.*.*.*.note.counted"])
})

test("A filter and the rest of a route come back as they were given", async () => {
  const filter = { prefix: { subject: "acme/" } }
  const args = [
    "route",
    "add",
    "side.>",
    "--to",
    "watcher",
    "--filter",
    JSON.stringify(filter),
    "--exclusive",
    "--priority",
    "5",
  ]
  const added = jsonOf<Route>(await mesh.murmur(...args, "--json"))
  expect(added).toEqual({
    id: added.id,
    pattern: "side.>",
    agent: "watcher",
    filter,
    origin: "live",
    exclusive: true,
    priority: 5,
  })
  expect((await routes()).filter(({ id }) => id === added.id)).toEqual([added])
  expect(jsonOf(await mesh.murmur("route", "rm", added.id, "--json"))).toMatchObject({ id: added.id })
})

test("A route of code is switched off, its consumer with it, and add switches it on again", async () => {
  expect((await mesh.murmur("route", "rm", "counter/note.added")).code).toBe(0)
  expect((await routes()).map(({ id }) => id)).not.toContain("counter/note.added")
  expect(await filterOf("counter")).toBeUndefined()
  expect((await mesh.murmur("route", "add", "note.added", "--to", "counter")).stdout).toBe("counter/note.added\n")
  expect(await filterOf("counter")).toEqual(["murmur.ev.*.*.*.*.note.added"])
})

test("What is allowed and probably a mistake is a warning on standard error", async () => {
  const result = await mesh.murmur("route", "add", "nobody.sends", "--to", "watcher")
  expect(result.code).toBe(0)
  expect(result.stderr).toContain('warning: No known event type fits "nobody.sends"')
  await mesh.murmur("route", "rm", result.stdout.trim())
})

test.each([
  ["an unknown agent", ["side.*", "--to", "watchr"], "ROUTE_AGENT", '"watcher"'],
  ["a route that exists", ["note.added", "--to", "counter"], "ROUTE_DUPLICATE", "exists already"],
  ["no pattern", ["a..b", "--to", "counter"], "ROUTE_PATTERN", "a dot too many"],
  ["an unknown filter", ["a.b", "--to", "counter", "--filter", '{"like":"x"}'], "ROUTE_FILTER", "unknown dialect"],
  [
    "nothing that can match",
    ["a.b", "--to", "counter", "--filter", '{"exact":{"type":"c.d"}}'],
    "ROUTE_DEAD",
    "no event can ever",
  ],
])("Refused with a reason: %s", async (_, args, code, reason) => {
  const before = await routes()
  const result = await mesh.murmur("route", "add", ...args, "--json")
  expect(result.code).toBe(1)
  expect(errorOf(result)).toMatchObject({ code, message: expect.stringContaining(reason) })
  expect(await routes()).toEqual(before)
})

test("An exclusive route that ties with another is refused", async () => {
  const args = ["--filter", '{"prefix":{"subject":"a"}}', "--exclusive"]
  const first = await mesh.murmur("route", "add", "tie.*", "--to", "counter", ...args)
  const second = await mesh.murmur("route", "add", "tie.*", "--to", "watcher", ...args, "--json")
  expect(second.code).toBe(1)
  expect(errorOf(second)).toMatchObject({ code: "ROUTE_CONFLICT" })
  await mesh.murmur("route", "rm", first.stdout.trim())
})

test("An id that the table does not have is an error with those that are close", async () => {
  const result = await mesh.murmur("route", "rm", "counter/note.add", "--json")
  expect(result.code).toBe(1)
  expect(errorOf(result)).toMatchObject({
    code: "ROUTE_UNKNOWN",
    message: expect.stringContaining('"counter/note.added"'),
  })
})

test("A node that does not follow in time is warned about, and the route is added all the same", async () => {
  const presence = await mesh.bus.bucket("presence")
  const [node] = jsonOf<object[]>(await mesh.murmur("nodes", "--json"))
  const dead = { ...node, id: "gone", sources: [], agents: [], routesRevision: 0 }
  const beats = setInterval(() => void presence.put("gone", dead), 500)
  await presence.put("gone", dead)
  const result = await mesh.murmur("route", "add", "late.*", "--to", "watcher")
  clearInterval(beats)
  await presence.delete("gone")
  expect(result.code).toBe(0)
  expect(result.stderr).toContain('Node "gone" has not followed')
  expect(await filterOf("watcher")).toContain("murmur.ev.*.*.*.*.late.*")
})
