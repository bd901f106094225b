import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { type Bus, openBus } from "../src/bus/bus.js"
import { buildCli } from "./cli/support/cli.js"
import { take } from "./support/mesh.js"
import { startTestServer, type TestServer } from "./support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "./support/node-process.js"

const FIXTURE = fileURLToPath(new URL("./fixtures/thinking.ts", import.meta.url))

/** A server, and nodes that die on it one after the other. */
class Scene {
  readonly #nodes: NodeProcess[] = []

  private constructor(
    private readonly server: TestServer,
    readonly bus: Bus,
    private readonly marker: string,
  ) {}

  static async open(marker: string): Promise<Scene> {
    const server = await startTestServer()
    const bus = await openBus({ url: server.url, name: "tester" })
    await bus.ensureStreams()
    return new Scene(server, bus, marker)
  }

  /** Starts nodes, one after the other, until the model has said what it thinks. @returns that, and how many nodes died */
  async thought(): Promise<{ deaths: number; data: { system: string; tool: string } }> {
    const thought = take(this.bus, "thinking.thought", 1, 60_000)
    let done = false
    thought.then(
      () => (done = true),
      () => (done = true),
    )
    for (let deaths = 0; ; deaths++) {
      const node = await this.start()
      const died = new Promise<void>((resolve) => node.child.once("exit", () => resolve()))
      await Promise.race([died, thought])
      if (done) return { deaths, data: (await thought)[0]?.data as { system: string; tool: string } }
    }
  }

  async start(): Promise<NodeProcess> {
    const env = { RUNS_FILE: this.marker }
    const node = await startNodeProcess([FIXTURE, "--nats", this.server.url, "--no-http"], { env })
    this.#nodes.push(node)
    return node
  }

  async close(): Promise<void> {
    for (const { child, kill9 } of this.#nodes) if (child.exitCode === null && child.signalCode === null) await kill9()
    await this.bus.close()
    await this.server.stop()
  }
}

describe.concurrent("an agent with instructions, in processes that die", () => {
  let folder: string
  const scenes: Scene[] = []
  beforeAll(async () => {
    await buildCli()
    folder = mkdtempSync(join(tmpdir(), "murmur-thinking-"))
  }, 120_000)
  afterAll(async () => {
    for (const scene of scenes) await scene.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const think = async (dies: "once" | "always") => {
    const scene = await Scene.open(join(folder, dies))
    scenes.push(scene)
    await scene.bus.publish({ type: "thinking.task", key: dies, data: { dies } }, { producer: "cli" })
    return scene.thought()
  }

  test("runs in a worker of its own as well, with its history and what its deployment says", {
    timeout: 60_000,
  }, async () => {
    const scene = await Scene.open(join(folder, "isolated"))
    scenes.push(scene)
    for (let n = 0; n < 6; n++) {
      await scene.bus.publish({ type: "thinking.errand", key: "k", data: { n } }, { producer: "cli" })
    }
    await scene.start()
    const thoughts = await take(scene.bus, "thinking.thought", 6, 30_000)
    const systems = thoughts.map(({ data }) => (data as { system: string }).system.split("\n")[0])
    expect(systems).toEqual([0, 1, 2, 3, 4, 5].map((n) => `You have had ${n} errands.`))
  })

  test("is told that its process died in a tool, as an instruction, and goes on", { timeout: 90_000 }, async () => {
    const { deaths, data } = await think("once")
    expect(deaths).toBe(1)
    expect(data.tool).toBe("survived")
    expect(data.system).toContain("Attempt 1 did not end: its process died. Under way at that moment was: tool deadly.")
  })

  test("whose tool ends it again and again is told so, and does not die a third time", {
    timeout: 90_000,
  }, async () => {
    const { deaths, data } = await think("always")
    expect(deaths).toBe(2)
    expect(data.tool).toContain("the process ended 2 times while this ran")
  })
})
