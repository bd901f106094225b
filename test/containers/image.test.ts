import { randomUUID } from "node:crypto"
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { Network, type StartedNetwork } from "testcontainers"
import { afterAll, beforeAll, expect, it } from "vitest"
import { type Bus, openBus } from "../../src/bus/bus.js"
import { take, until } from "../support/mesh.js"
import { type NatsContainer, type NodeContainer, startNats, startNode } from "./support/containers.js"
import { docker, mustDocker } from "./support/docker.js"
import { describeWithContainers } from "./support/engine.js"
import { buildImage } from "./support/image.js"

const AGENTS = resolve(import.meta.dirname, "fixtures/agents")
const HOME = "/app/node_modules/murmur"
const manifest = JSON.parse(readFileSync(resolve(import.meta.dirname, "../../package.json"), "utf8")) as {
  version: string
}

describeWithContainers("The image", () => {
  let image: string
  let network: StartedNetwork
  let nats: NatsContainer
  const closing: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    image = await buildImage()
    network = await new Network().start()
    closing.push(() => network.stop())
    nats = await startNats(network)
    closing.unshift(() => nats.container.stop())
  })
  afterAll(async () => {
    for (const close of closing) await close()
  })

  /** A node with the agents of the fixtures, and a connection to its mesh; both are gone after the test. */
  async function start(): Promise<{ node: NodeContainer; bus: Bus }> {
    const mesh = `m${randomUUID().slice(0, 8)}`
    const node = await startNode({ image, network, mesh, agents: AGENTS })
    closing.unshift(() => node.remove())
    const bus = await openBus({ url: nats.url, name: "tester", mesh })
    closing.unshift(() => bus.close())
    return { node, bus }
  }

  it("runs as a user without rights on a root that it cannot write to, and is healthy", async () => {
    const { node, bus } = await start()
    expect(await node.inspect("{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}")).toBe(
      "1000:1000 true [ALL]",
    )
    await until("it is healthy", async () => (await node.inspect("{{.State.Health.Status}}")) === "healthy", 60_000)
    await bus.publish({ type: "door.knocked", key: "front", data: { door: "front" } }, { producer: "tester" })
    const [answer] = await take(bus, "door.answered", 1)
    expect(answer?.data).toEqual({ door: "front", knocks: 1, by: node.id.slice(0, 12) })
  })

  it("takes no events over HTTP before somebody has set a token", async () => {
    const { node } = await start()
    const event = { specversion: "1.0", type: "door.knocked", source: "/t", id: "1", data: { door: "front" } }
    const response = await fetch(`${node.http}/events`, {
      method: "POST",
      headers: { "content-type": "application/cloudevents+json", authorization: "Bearer " },
      body: JSON.stringify(event),
    })
    expect(response.status).toBe(401)
    expect((await fetch(`${node.http}/metrics`)).status).toBe(200)
  })

  it("finishes its step on SIGTERM as the first process of its container, and ends with 0", async () => {
    const { node, bus } = await start()
    const task = { task: "long", ms: 4_000 }
    await bus.publish({ type: "task.given", key: "long", data: task }, { producer: "tester" })
    await until("the step has begun", async () => (await node.logs()).includes("slow begins long"))
    expect(await node.stop(30)).toBe(0)
    expect((await take(bus, "task.done", 1))[0]?.data).toEqual({ task: "long" })
    expect((await node.logs()).match(/slow begins/g)).toHaveLength(1)
  })

  it("stays healthy and says that it is not ready while its NATS server is away", async () => {
    const { node } = await start()
    await until("it is healthy", async () => (await node.inspect("{{.State.Health.Status}}")) === "healthy", 60_000)
    await mustDocker(["network", "disconnect", network.getName(), nats.container.getId()])
    try {
      const check = ["exec", node.id, "node", `${HOME}/dist/cli/healthcheck.js`]
      const readyz = async (): Promise<string> => (await docker(["exec", node.id, "node", "-e", ASK_READYZ])).stdout
      await until("it is not ready", async () => (await readyz()) === "503", 60_000)
      expect((await docker(check)).code).toBe(0)
    } finally {
      await mustDocker(["network", "connect", "--alias", "nats", network.getName(), nats.container.getId()])
    }
    await until("it is ready again", async () => (await fetch(`${node.http}/readyz`)).status === 200, 60_000)
  })

  it("says what is wrong without NATS_URL, and ends with 1", async () => {
    const { code, stderr } = await docker(["run", "--rm", "--network", "none", image])
    expect(code).toBe(1)
    expect(stderr).toContain("no server is named")
    expect(stderr).toContain("Set NATS_URL, such as NATS_URL=nats://nats:4222")
  })

  it("can import everything that murmur may import", async () => {
    const { code, stdout, stderr } = await docker([
      "run",
      "--rm",
      "--network",
      "none",
      "--entrypoint",
      "node",
      "--workdir",
      HOME,
      image,
      "-e",
      IMPORT_ALL,
    ])
    expect(`${stdout}${stderr}`).toMatch(/^imported [1-9]\d\d modules\n$/)
    expect(code).toBe(0)
  })

  it("is labelled, and brings the command", async () => {
    const labels = JSON.parse(await mustDocker(["inspect", "--format", "{{json .Config.Labels}}", image]))
    expect(labels).toMatchObject({
      "org.opencontainers.image.title": "murmur",
      "org.opencontainers.image.version": manifest.version,
      "org.opencontainers.image.licenses": "MIT",
    })
    const version = await mustDocker(["run", "--rm", "--network", "none", "--entrypoint", "murmur", image, "--version"])
    expect(version).toBe(manifest.version)
  })
})

const ASK_READYZ = `fetch("http://127.0.0.1:4300/readyz").then((answer) => process.stdout.write(String(answer.status)))`

/** Every module of murmur but those that are programs, and every package that one of them imports when it is needed. */
const IMPORT_ALL = `
const { readFileSync, readdirSync } = require("node:fs")
const { join } = require("node:path")
const { pathToFileURL } = require("node:url")
const home = "${HOME}"
const PROGRAMS = /(cli\\/main|cli\\/healthcheck|cli\\/load-agents|isolation-worker|node-process|guard-script)\\.js$/
const OPTIONAL = ["@anthropic-ai/sdk", "@google/genai"]
async function main() {
  const files = readdirSync(join(home, "dist"), { recursive: true }).filter((name) => name.endsWith(".js"))
  const lazy = new Set()
  let count = 0
  for (const name of files) {
    const file = join(home, "dist", name)
    for (const [, what] of readFileSync(file, "utf8").matchAll(/import\\("([^."][^"]*)"\\)/g)) lazy.add(what)
    if (PROGRAMS.test(file)) continue
    await import(pathToFileURL(file).href)
    count++
  }
  Object.assign(Reflect, { getMetadata() {}, getOwnMetadata() {}, defineMetadata() {} }) // as src/cli/auth/certificates.ts
  for (const what of lazy) if (!OPTIONAL.includes(what)) await import(what)
  process.stdout.write("imported " + count + " modules\\n")
  process.exit(0)
}
main().catch((error) => { process.stderr.write(error.stack + "\\n"); process.exit(1) })
`
