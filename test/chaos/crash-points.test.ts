import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { CrashPoint } from "../../src/agents/crash-points.js"
import { parseRecord } from "../../src/agents/journal/records.js"
import { type Bus, openBus } from "../../src/bus/bus.js"
import { readHistory } from "../../src/bus/reader.js"
import { readSession } from "../../src/node/session-view.js"
import { buildCli } from "../cli/support/cli.js"
import { checkMesh } from "../support/checker.js"
import { until } from "../support/mesh.js"
import { startTestServer, type TestServer } from "../support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "../support/node-process.js"

/** How often the struck step's paid call is made in all: again only where its answer was not in the journal yet. */
const CALLS: Record<CrashPoint, 1 | 2> = { P0: 1, P1: 1, P2: 2, P3: 2, P4: 1, P5: 1, P6: 1, P7: 1, P8: 1, P9: 1 }
const POINTS = Object.keys(CALLS) as CrashPoint[]
/** Whose orders come in turn. Those before the crash have one key, so that it is known which step is struck. */
const CUSTOMERS = ["ada", "ada", "ada", "ada", "bob", "ada", "bob"]
const BEFORE = 4
const FIXTURE = fileURLToPath(new URL("../fixtures/charging.ts", import.meta.url))

let folder: string
const scenes = new Set<Scene>()

beforeAll(async () => {
  await buildCli()
  folder = mkdtempSync(join(tmpdir(), "murmur-chaos-"))
})
afterAll(async () => {
  for (const scene of scenes) await scene.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Which time a point is passed by the second step; by the last one before the crash where more would follow it. */
function nth(point: CrashPoint): number {
  if (point === "P0") return 1
  return point === "P9" ? BEFORE : 2
}

/** A server and a mesh of its own for one crash. */
class Scene {
  readonly #charges: string
  readonly #nodes: NodeProcess[] = []

  private constructor(
    name: string,
    readonly server: TestServer,
    readonly bus: Bus,
  ) {
    this.#charges = join(folder, `${name}.txt`)
    writeFileSync(this.#charges, "")
  }

  static async open(name: string): Promise<Scene> {
    const server = await startTestServer()
    const bus = await openBus({ url: server.url, name: "tester" })
    await bus.ensureStreams()
    const scene = new Scene(name, server, bus)
    scenes.add(scene)
    return scene
  }

  async close(): Promise<void> {
    scenes.delete(this)
    for (const { child, kill9 } of this.#nodes) if (child.exitCode === null && child.signalCode === null) await kill9()
    await this.bus.close()
    await this.server.stop()
  }

  async startNode(crashPoint?: string): Promise<NodeProcess> {
    const env = { CHARGES_FILE: this.#charges, ...(crashPoint !== undefined && { MURMUR_CRASH_POINT: crashPoint }) }
    const node = await startNodeProcess([FIXTURE, "--nats", this.server.url, "--no-http"], { env })
    this.#nodes.push(node)
    return node
  }

  /** Publishes the orders from one number to the one before another. */
  async order(from: number, to: number): Promise<void> {
    for (let n = from; n < to; n++) {
      const customer = CUSTOMERS[n] ?? ""
      const draft = { type: "shop.ordered", key: customer, data: { customer, n }, id: `order-${n}` }
      await this.bus.publish(draft, { producer: "cli" })
    }
  }

  async untilShipped(count: number): Promise<void> {
    const query = { subjects_filter: this.bus.names.storedFilter("shop.shipped") }
    await until(`${count} orders are shipped`, async () => {
      const { state } = await this.bus.link.manager.streams.info(this.bus.names.events, query)
      return Object.values(state.subjects ?? {}).reduce((sum, n) => sum + n, 0) >= count
    })
  }

  /** How many answers are in the journals. */
  async journaled(): Promise<number> {
    let answers = 0
    const read = { stream: this.bus.names.stepsOf("any"), filter: `${this.bus.names.mesh}.step.*.*`, from: { seq: 1 } }
    for await (const { data, subject } of readHistory(this.bus.link, read)) {
      if (parseRecord(data, subject).kind === "answer") answers += 1
    }
    return answers
  }

  charges(): string[] {
    return readFileSync(this.#charges, "utf8").trim().split("\n")
  }

  /** All promises hold, each order is in the state once, and nothing was paid twice but what had to be. */
  async check(orders: number, struck: string, calls: number): Promise<void> {
    const { sessions, outputs, dead } = await checkMesh(this.bus, { agent: "cashier", on: ["shop.ordered"] })
    expect(dead.size).toBe(0)
    expect([...sessions.values()].flat()).toHaveLength(orders)
    expect(outputs).toHaveLength(2 * orders)
    for (const customer of ["ada", "bob"]) {
      const { state } = await readSession(this.bus, "cashier", customer, "end")
      expect(state).toEqual(CUSTOMERS.slice(0, orders).flatMap((name, n) => (name === customer ? [n] : [])))
    }
    const expected = Array.from({ length: orders }, (_, n) => `order-${n}`)
    if (calls === 2) expected.push(struck)
    expect(this.charges().toSorted()).toEqual(expected.toSorted())
  }
}

const struckBy = (point: CrashPoint): string => `order-${nth(point) - 1}`

describe.concurrent("a step is once in effect", () => {
  test.each(POINTS)("when its node dies at %s and is started again", { timeout: 60_000 }, async (point) => {
    const scene = await Scene.open(`${point.toLowerCase()}-kill`)
    const first = await scene.startNode(`${point}:kill:${nth(point)}`)
    await scene.order(0, BEFORE)
    await until("it is dead", () => first.child.signalCode === "SIGKILL")
    const second = await scene.startNode()
    await scene.order(BEFORE, BEFORE + 2)
    await scene.untilShipped(BEFORE + 2)
    expect(await second.terminate()).toBe(0)
    await scene.check(BEFORE + 2, struckBy(point), CALLS[point])
    await scene.close()
  })

  test.each(POINTS)(
    "when its node stands still at %s, another takes over, and the first wakes up",
    { timeout: 60_000 },
    async (point) => {
      const scene = await Scene.open(`${point.toLowerCase()}-stop`)
      const zombie = await scene.startNode(`${point}:stop:${nth(point)}`)
      await scene.order(0, BEFORE)
      await until("it stands still", () => zombie.stderr().includes("SIGSTOP"))
      const second = await scene.startNode()
      await scene.order(BEFORE, BEFORE + 2)
      await scene.untilShipped(BEFORE + 2)
      zombie.child.kill("SIGCONT")
      await until("it goes on", () => zombie.stderr().includes("goes on"))
      await scene.order(BEFORE + 2, BEFORE + 3)
      await scene.untilShipped(BEFORE + 3)
      expect(await zombie.terminate()).toBe(0)
      expect(await second.terminate()).toBe(0)
      await scene.check(BEFORE + 3, struckBy(point), CALLS[point])
      await scene.close()
    },
  )
})

test("a step that two nodes are in at the same time is committed, not given up", { timeout: 60_000 }, async () => {
  const scene = await Scene.open("both")
  const zombie = await scene.startNode("P3:stop:3")
  const draft = { type: "shop.haggled", key: "ada", data: { customer: "ada" }, id: "long" }
  await scene.bus.publish(draft, { producer: "cli" })
  await until("it stands still", () => zombie.stderr().includes("SIGSTOP"))
  const second = await scene.startNode()
  await until("the other is in the step", async () => (await scene.journaled()) > 4)
  zombie.child.kill("SIGCONT")
  const { dead, outputs } = await checkMesh(scene.bus, { agent: "haggler", on: ["shop.haggled"] })
  expect([dead.size, outputs.length]).toEqual([0, 1])
  expect(outputs[0]?.data).toEqual({ price: 25 })
  expect(scene.charges(), "only what was under way at the stop is paid again").toHaveLength(25 + 1)
  expect(await zombie.terminate()).toBe(0)
  expect(await second.terminate()).toBe(0)
  await scene.close()
})
