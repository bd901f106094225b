import { type Bus, openBus } from "../../src/bus/bus.js"
import type { MurmurEvent } from "../../src/bus/event.js"
import type { Hosted } from "../../src/node/hosted.js"
import { MurmurNode } from "../../src/node/node.js"
import { noTelemetry, type Telemetry } from "../../src/telemetry/ports.js"
import { startTestServer, type TestServer } from "./nats-server.js"

/** A server, a connection and one node in this process. */
export interface TestMesh {
  readonly server: TestServer
  /** The tester's own connection. */
  readonly bus: Bus
  readonly node: MurmurNode
  /** Another node of the same mesh, on a connection of its own. */
  addNode(hosted: Partial<Hosted>): Promise<MurmurNode>
  stop(): Promise<void>
}

/** Starts a mesh for a test. */
export async function startMesh(
  hosted: Partial<Hosted>,
  options: { sync?: "always" | "default"; telemetry?: Telemetry; mesh?: string } = {},
): Promise<TestMesh> {
  const server = await startTestServer({ sync: options.sync ?? "default" })
  const closing: (() => Promise<void>)[] = []
  const connect = async (name: string): Promise<Bus> => {
    const bus = await openBus({ url: server.url, name, mesh: options.mesh ?? "test" })
    closing.push(() => bus.close())
    return bus
  }
  const addNode = async (what: Partial<Hosted>): Promise<MurmurNode> => {
    const bus = await connect("node")
    const telemetry = options.telemetry ?? noTelemetry
    const { agents = [], sources = [], models } = what
    const node = await MurmurNode.start({ bus, telemetry, agents, sources, ...(models && { models }) })
    closing.unshift(() => node.stop(2_000))
    return node
  }
  const stop = async (): Promise<void> => {
    try {
      for (const close of closing.splice(0)) await close()
    } finally {
      await server.stop() // also when a node cannot stop: no server may outlive its test
    }
  }
  try {
    const node = await addNode(hosted)
    const bus = await connect("tester")
    return { server, bus, node, addNode, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Reads events until enough are there. */
export async function take(bus: Bus, pattern: string, count: number, timeoutMs = 20_000): Promise<MurmurEvent[]> {
  const events: MurmurEvent[] = []
  const signal = AbortSignal.timeout(timeoutMs)
  for await (const event of bus.observe(pattern, { from: "start", signal })) {
    events.push(event)
    if (events.length === count) return events
  }
  throw new Error(`Waited ${timeoutMs} ms for ${count} events of ${pattern}, saw ${events.length}`)
}

/** Waits until a condition holds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`Waited ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
