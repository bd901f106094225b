import { setTimeout as delay } from "node:timers/promises"
import { Network, type StartedNetwork } from "testcontainers"
import { afterAll, beforeAll, expect, it } from "vitest"
import { type Bus, openBus } from "../../src/bus/bus.js"
import { FIXTURE, payment } from "../chaos/support/bank.js"
import { checkMesh } from "../support/checker.js"
import { until } from "../support/mesh.js"
import { type NodeContainer, startNode } from "./support/containers.js"
import { docker, mustDocker } from "./support/docker.js"
import { describeWithContainers } from "./support/engine.js"
import { buildImage } from "./support/image.js"
import { type NatsContainers, startNatsCluster } from "./support/nats-cluster.js"

const NODES = 4
const EVENTS = 10_000
const AGENTS = { teller: "bank.paid", auditor: "bank.paid", clerk: "bank.booked" }
/** Longer than a node holds a partition without a sign of life, and than servers wait for their leader. */
const STANDSTILL_MS = 12_000
const DRAINED_MS = 120_000

describeWithContainers("A mesh of four nodes on three servers", () => {
  let network: StartedNetwork
  let cluster: NatsContainers
  let bus: Bus
  const nodes: NodeContainer[] = []
  const closing: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    const image = await buildImage()
    network = await new Network().start()
    closing.push(() => network.stop())
    cluster = await startNatsCluster(network)
    closing.unshift(() => cluster.stop())
    await cluster.healthy()
    bus = await openBus({ url: cluster.url, name: "tester" })
    closing.unshift(() => bus.close())
    await bus.ensureStreams({ replicas: 3 })
    for (let n = 0; n < NODES; n++) {
      const env = { NATS_URL: cluster.innerUrl, CALL_MS: "5" }
      const node = await startNode({ image, network, mesh: "murmur", agents: FIXTURE, env })
      nodes.push(node)
      closing.unshift(() => node.remove())
    }
  })
  afterAll(async () => {
    for (const close of closing) await close()
  })

  it("loses and doubles nothing while containers are killed, paused, cut off and replaced under load", async () => {
    const [first, second, third] = cluster.names as [string, string, string]
    const [one, two, three] = nodes as [NodeContainer, NodeContainer, NodeContainer]
    const faults: (() => Promise<unknown>)[] = [
      () => killed(one.id),
      () => killed(first),
      () => paused(two.id),
      () => cutOff(three.id),
      () => paused(second),
      () => cutOff(third, third),
      ...nodes.map(
        ({ id }) =>
          () =>
            mustDocker(["restart", "--time", "30", id]),
      ),
    ]
    let struck = 0
    const striking = (async () => {
      for (const strike of faults) {
        await strike()
        struck += 1
        await cluster.healthy()
      }
    })()
    striking.catch(() => {}) // told below: until then it is nobody's business
    // as fast as the faults go on, so that each of them meets a mesh at work
    for (let paid = 0; paid < EVENTS; paid += 100) {
      const drafts = Array.from({ length: 100 }, (_, n) => payment(paid + n))
      for await (const _ of bus.publishMany(drafts, { producer: "cli" }));
      while (paid > (EVENTS / faults.length) * (struck + 1)) await Promise.race([delay(50), striking])
    }
    await striking

    for (const [agent, pattern] of Object.entries(AGENTS)) {
      const { events, dead } = await checkMesh(bus, { agent, on: [pattern], withinMs: DRAINED_MS })
      expect(events.size, `events of ${agent}`).toBe(EVENTS)
      expect(dead.size, `dead letters of ${agent}`).toBe(0)
    }
  }, 600_000)

  /** kill -9, and started again. */
  async function killed(container: string): Promise<void> {
    await mustDocker(["kill", container])
    await delay(1_000)
    await mustDocker(["start", container])
  }

  /** Stands still: connections stay open, and nobody answers. A process that is very busy is not always caught at once. */
  async function paused(container: string): Promise<void> {
    await until("the container stands still", async () => (await docker(["pause", container])).code === 0)
    await delay(STANDSTILL_MS)
    await mustDocker(["unpause", container])
  }

  /** Runs on, and reaches nobody. */
  async function cutOff(container: string, alias?: string): Promise<void> {
    await mustDocker(["network", "disconnect", network.getName(), container])
    await delay(STANDSTILL_MS)
    const named = alias === undefined ? [] : ["--alias", alias]
    await mustDocker(["network", "connect", ...named, network.getName(), container])
  }
})
