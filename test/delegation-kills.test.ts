import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, expect, test } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import { DeadLetters } from "../src/node/dead-letter-store.js"
import { take } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "./support/node-process.js"

const FIXTURE = fileURLToPath(new URL("./fixtures/delegating.ts", import.meta.url))
const TASKS = 120
const KILLS = 4

let server: TestServer | undefined
let bus: Bus | undefined
const nodes: NodeProcess[] = []
const folder = mkdtempSync(join(tmpdir(), "murmur-delegation-"))
afterEach(async () => {
  for (const node of nodes.splice(0)) if (node.child.exitCode === null) await node.kill9()
  await bus?.close()
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
})

async function start(side: "desk" | "helpers", url: string, charges: string): Promise<NodeProcess> {
  const env = { SIDE: side, CHARGES_FILE: charges }
  const node = await startNodeProcess([FIXTURE, "--nats", url, "--mesh", "test", "--no-http"], { env })
  nodes.push(node)
  return node
}

test("Nodes are killed in turn, those that wait and those that work: each task has one result, each answered call is paid once", async () => {
  server = await startTestServer()
  bus = await openBus({ url: server.url, name: "tester", mesh: "test" })
  const charges = join(folder, "charges")
  writeFileSync(charges, "")
  const { url } = server
  const sides = { desk: await start("desk", url, charges), helpers: await start("helpers", url, charges) }
  const drafts = Array.from({ length: TASKS }, (_, n) => {
    return { type: "desk.asked", key: `k${n % 7}`, data: { n }, id: `asked-${n}` }
  })
  for await (const _ of bus.publishMany(drafts, { producer: "cli" }));
  for (let kill = 0; kill < KILLS; kill++) {
    const side = kill % 2 === 0 ? "helpers" : "desk"
    const seen = Math.floor((TASKS * (kill + 1)) / (KILLS + 2))
    await take(bus, side === "desk" ? "murmur.inbox.desk" : "murmur.task.*", seen, 60_000)
    await sides[side].kill9()
    sides[side] = await start(side, url, charges)
  }
  const told = await take(bus, "desk.told", TASKS, 90_000)
  expect(new Set(told.map(({ id }) => id)).size).toBe(TASKS)
  for (const { data } of told) {
    const { n, answers } = data as { n: number; answers: unknown[] }
    expect(answers).toEqual([`last ${n}`, `counter ${n} 1`])
  }
  const lines = readFileSync(charges, "utf8").trim().split("\n")
  expect(new Set(lines).size).toBe(TASKS * 4)
  // what was in a call when its process died is made again: of four agents four steps at most, each in two of the kills
  expect(lines.length).toBeLessThanOrEqual(TASKS * 4 + KILLS * 8)
  const letters: unknown[] = []
  for await (const { letter } of new DeadLetters(bus).list()) letters.push(letter)
  expect(letters).toEqual([])
}, 180_000)
