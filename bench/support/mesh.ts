import { type Bus, openBus } from "../../src/bus/bus.js"
import type { LoginOptions } from "../../src/bus/login.js"
import type { StreamOptions } from "../../src/bus/stream-configs.js"
import type { StreamLayout } from "../../src/bus/subjects.js"
import { orders } from "./job.js"

/** How many customers the orders are of: the keys. */
export const KEYS = 100

let meshes = 0

/** A mesh of its own for one run, on a server that several runs share: streams, and orders that wait in them. */
export interface BenchMesh {
  readonly bus: Bus
  readonly name: string
  /** How many results lie in the stream. */
  results(): Promise<number>
  /** Removes what the run has left on the server. */
  remove(): Promise<void>
}

/** How a mesh differs from the ordinary. */
export interface MeshOptions extends LoginOptions, StreamOptions {
  /** Default: one that no other run has. */
  readonly name?: string
  readonly layout?: StreamLayout
}

export async function createMesh(url: string, events = 0, keys = KEYS, options: MeshOptions = {}): Promise<BenchMesh> {
  meshes += 1
  const { name = `bench-${meshes}`, replicas, agents, ...connection } = options
  const bus = await openBus({ ...connection, url, name: "bench", mesh: name })
  const { manager } = bus.link
  await bus.ensureStreams({ ...(replicas && { replicas }), ...(agents && { agents }) })
  const results = async (): Promise<number> => {
    const { state } = await manager.streams.info(bus.names.events, { subjects_filter: `${name}.ev.>` })
    const counts = Object.entries(state.subjects ?? {})
    return counts.reduce((sum, [subject, count]) => (subject.endsWith(".bench.confirmation") ? sum + count : sum), 0)
  }
  const remove = async (): Promise<void> => {
    for await (const stream of manager.streams.names()) {
      if (stream.startsWith(`${name}_`) || stream.startsWith(`KV_${name}_`)) await manager.streams.delete(stream)
    }
    await bus.close()
  }
  await preload(bus, events, keys)
  return { bus, name, results, remove }
}

/**
 * Publishes orders, pipelined, and waits until all are stored.
 *
 * @param time of all of them; default now
 */
export async function preload(bus: Bus, events: number, keys: number, time?: string): Promise<void> {
  for await (const _ of bus.publishMany(orders(events, keys, time), { producer: "feed", inflightMax: 1_000 }));
}
