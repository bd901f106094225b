import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { Network, type StartedNetwork } from "testcontainers"
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest"
import { openBus } from "../../src/bus/bus.js"
import { buildCli, errorOf, jsonOf, murmur } from "../cli/support/cli.js"
import { take } from "../support/mesh.js"
import { type NatsContainer, startNats, startNode } from "./support/containers.js"
import { describeWithContainers, engine } from "./support/engine.js"
import { buildImage } from "./support/image.js"

const AGENTS = resolve(import.meta.dirname, "fixtures/agents")
const INSTALLED = resolve(import.meta.dirname, "../../node_modules/ms")

/** Says how long some text means, with a package that a node does not bring. */
const TIMER = `import { defineAgent, defineEvent } from "murmur"
import ms from "ms"
import { z } from "zod"
const Asked = defineEvent("time.asked", z.object({ text: z.string() }))
const Told = defineEvent("time.told", z.object({ ms: z.number() }))
export default defineAgent("timer", {
  on: [Asked],
  emits: [Told],
  from: "start",
  handle: ({ data }, ctx) => ctx.emit(Told({ ms: ms(data.text) })),
})
`

describeWithContainers("murmur build", () => {
  let base: string
  let network: StartedNetwork
  let nats: NatsContainer
  const closing: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    await buildCli()
    base = await buildImage()
    network = await new Network().start()
    closing.push(() => network.stop())
    nats = await startNats(network)
    closing.unshift(() => nats.container.stop())
  })
  afterAll(async () => {
    for (const close of closing) await close()
  })

  /** A project with the agents of the fixtures and one that needs a package, which is installed on this machine. */
  function project(dependencies: Record<string, string>): string {
    const folder = mkdtempSync(join(tmpdir(), "murmur-project-"))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    cpSync(AGENTS, join(folder, "agents"), { recursive: true })
    cpSync(INSTALLED, join(folder, "node_modules/ms"), { recursive: true })
    writeFileSync(join(folder, "agents/timer.ts"), TIMER)
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "shop", type: "module", dependencies }))
    writeFileSync(join(folder, ".env"), "SECRET=1\n")
    return folder
  }

  const build = (folder: string, tag: string) =>
    murmur(["build", folder, "-t", tag, "--base", base, "--network", engine().buildNetwork, "--json"], {
      timeoutMs: 110_000,
    })

  it("bakes agents and their packages into an image that runs on its own", async () => {
    const image = "murmur/baked:7.1"
    const result = await build(project({ ms: "2.1.3", murmur: "file:../somewhere" }), image)
    expect(result.stderr).not.toContain("murmur:")
    expect(jsonOf(result)).toEqual({ image, base, agents: ["porter", "slow", "timer"], sources: [] })

    const node = await startNode({ image, network, mesh: "baked" })
    closing.unshift(() => node.remove())
    const bus = await openBus({ url: nats.url, name: "tester", mesh: "baked" })
    closing.unshift(() => bus.close())
    await bus.publish({ type: "time.asked", data: { text: "2 minutes" } }, { producer: "tester" })
    expect((await take(bus, "time.told", 1))[0]?.data).toEqual({ ms: 120_000 })

    const [shown] = jsonOf(await murmur(["nodes", "--nats", nats.url, "--mesh", "baked", "--json"])) as unknown[]
    expect(shown).toMatchObject({ agents: ["porter", "slow", "timer"], codeVersion: "7.1" })
  })

  it("says which package is missing in the image when it is installed here only", async () => {
    const result = await build(project({}), "murmur/baked:broken")
    expect(result.code).toBe(1)
    expect(errorOf(result)).toMatchObject({ code: "BUILD_CHECK", message: expect.stringContaining("'ms'") })
  })
})
