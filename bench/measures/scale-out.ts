import { setTimeout as delay } from "node:timers/promises"
import type { Bus } from "../../src/bus/bus.js"
import { readHistory } from "../../src/bus/reader.js"
import type { ShardCount, ShardTask } from "../children/shard.js"
import type { LoopResult } from "../loops/loop.js"
import { type Child, startChild } from "../support/child.js"
import { orderOf } from "../support/job.js"
import { type BenchMesh, createMesh, KEYS } from "../support/mesh.js"
import { ORDERS, WORKS, type Work } from "../support/shards.js"
import { startVariant } from "./variants.js"

export interface ScaleOutOptions {
  readonly url: string
  /** How often each number of nodes is measured with each kind of work. */
  readonly rounds: number
  /** Events of a measurement. */
  readonly events: Readonly<Record<Work, number>>
  readonly say: (line: string) => void
}

/** Events a second of one agent with eight partitions, by the number of nodes that host it. */
export interface ScaleOut {
  readonly events: Readonly<Record<Work, number>>
  /** The bare client (a) on the same server, in one process. */
  readonly bare: number
  readonly rates: Readonly<Record<Work, Readonly<Record<number, number>>>>
}

export const NODE_COUNTS = [1, 2, 4] as const
/** A share of the fair share: the partitions of a node are as many, but not all have as many keys. */
const FAIR = 0.4
const SPREAD_MS_MAX = 60_000
const LOOK_MS = 500
/** What flows until the partitions are spread: an owner is told by what it gets. */
const TRICKLE = 40

export async function measureScaleOut(options: ScaleOutOptions): Promise<ScaleOut> {
  const { url, events, say } = options
  const bare = await bareRate(url, events.stateless)
  say(`  bare client: ${Math.round(bare)} events/s`)
  const scene = new Scene(await createMesh(url), url)
  const rates: Record<Work, Record<number, number>> = { stateless: {}, stateful: {}, waiting: {} }
  try {
    for (const nodes of NODE_COUNTS) {
      await scene.growTo(nodes)
      for (const work of WORKS) {
        let best = 0
        for (let round = 0; round < options.rounds; round++) best = Math.max(best, await scene.rate(work, events[work]))
        rates[work][nodes] = best
        say(`  ${nodes} nodes, ${work}: ${Math.round(best)} events/s`)
      }
    }
    return { events, bare, rates }
  } finally {
    await scene.stop()
  }
}

/** The bare client's rate, warmed up by a third of the events. */
async function bareRate(url: string, events: number): Promise<number> {
  const mesh = await createMesh(url, events)
  const child = startVariant("a", { url, mesh: mesh.name, events, warmup: Math.floor(events / 3) })
  try {
    await child.next() // ready
    const { events: counted, ms } = await child.next<LoopResult>()
    return (counted * 1_000) / ms
  } finally {
    await child.stop()
    await mesh.remove()
  }
}

/** Some nodes that share the partitions of the agents. */
class Scene {
  readonly #nodes: Child[] = []

  constructor(
    private readonly mesh: BenchMesh,
    private readonly url: string,
  ) {}

  /** Adds nodes, and waits until each has its share of the partitions. */
  async growTo(count: number): Promise<void> {
    const task: ShardTask = { url: this.url, mesh: this.mesh.name }
    const added = Array.from({ length: count - this.#nodes.length }, () => startChild("shard", task))
    this.#nodes.push(...added)
    await Promise.all(added.map((node) => node.next())) // ready
    const deadline = Date.now() + SPREAD_MS_MAX
    for (let even = false; !even; ) {
      if (Date.now() > deadline) throw new Error(`the partitions were not spread over ${count} nodes`)
      even = await this.#isSpread()
    }
  }

  /** Each node gets some of what trickles, of each agent. */
  async #isSpread(): Promise<boolean> {
    const shares: number[][] = []
    for (const work of WORKS) {
      const before = await this.#taken()
      await publish(this.mesh.bus, work, TRICKLE * this.#nodes.length)
      await delay(LOOK_MS)
      const after = await this.#taken()
      shares.push(after.map((taken, node) => (taken - (before[node] ?? 0)) / TRICKLE))
    }
    return shares.flat().every((share) => share >= FAIR)
  }

  async #taken(): Promise<number[]> {
    for (const node of this.#nodes) node.send({ count: true })
    const counts = await Promise.all(this.#nodes.map((node) => node.next<ShardCount>()))
    return counts.map(({ taken }) => taken)
  }

  /** Results a second, from the moment on at which the last order is stored. */
  async rate(work: Work, events: number): Promise<number> {
    const { bus } = this.mesh
    const from = (await bus.link.manager.streams.info(bus.names.events)).state.last_seq + 1
    await publish(bus, work, events)
    const began = Date.now()
    const times = await this.#resultTimes(work, from, events)
    const counted = times.filter((time) => time > began)
    if (counted.length < events / 4) throw new Error(`${events} orders are too few for ${this.#nodes.length} nodes`)
    return (counted.length * 1_000) / (Math.max(...counted) - began)
  }

  /** When the results were stored: one for each order, or the run is void. */
  async #resultTimes(work: Work, from: number, wanted: number): Promise<number[]> {
    const { bus } = this.mesh
    const filter = bus.names.storedFilter("bench.confirmation", { producer: work })
    const deadline = Date.now() + 60_000
    for (;;) {
      const times: number[] = []
      const read = { stream: bus.names.events, filter, from: { seq: from }, headersOnly: true }
      for await (const { time } of readHistory(bus.link, read)) times.push(time.getTime())
      if (times.length === wanted) return times
      if (times.length > wanted || Date.now() > deadline)
        throw new Error(`${wanted} orders have ${times.length} results`)
      await delay(LOOK_MS)
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.stop()))
    await this.mesh.remove()
  }
}

async function publish(bus: Bus, work: Work, count: number): Promise<void> {
  const order = ORDERS[work]
  const drafts = Array.from({ length: count }, (_, n) => order(orderOf(n, KEYS)))
  for await (const _ of bus.publishMany(drafts, { producer: "feed", inflightMax: 1_000 }));
}
