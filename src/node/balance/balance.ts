import { type Clock, every } from "../../agents/clock.js"
import type { AgentHost } from "../../agents/host.js"
import { ensureError } from "../../errors.js"
import type { Log } from "../../telemetry/ports.js"
import { type Place, placesOf } from "./assignment.js"
import type { Members } from "./members.js"

/** What the balance works with. */
export interface BalancePorts {
  readonly nodeId: string
  readonly members: Pick<Members, "hosting" | "owns" | "seenAfter">
  readonly clock: Clock
  readonly log: Log
  hosts(): Iterable<AgentHost>
}

/** How the partitions of one agent are to lie, for as long as the same nodes host it. */
interface Layout {
  readonly nodes: string
  readonly places: readonly Place[]
  readonly sinceMs: number
  /** Since when this node is known to own a partition that belongs elsewhere. */
  readonly guests: Map<number, number>
  /** Partitions that this node gave up or tried to, and when it may do so again. */
  readonly tried: Map<number, { readonly waitMs: number; readonly untilMs: number }>
}

const LOOK_MS = 1_000
/** Nodes often come and go several at a time: nothing is moved before their number has stood for so long. */
const CALM_MS = 3_000
/** What has begun in a partition may take so long to finish; if it takes longer, the partition stays for now. */
const HAND_OVER_MS = 25_000
const AGAIN_MS_MIN = 30_000
const AGAIN_MS_MAX = 600_000

/**
 * Spreads the partitions of agents over the nodes that host them.
 *
 * Each node looks at who is there, works out where each partition belongs, and acts for itself alone: it pulls the
 * partitions that belong to it, and those that would come to it when their owner died; it leaves the others alone; and
 * what it owns and belongs elsewhere it hands over. A preference, and no authority: the pin says who owns, the fence says
 * what counts, and whatever waits and is pulled by nobody is taken by any node.
 */
export class Balance {
  readonly #layouts = new Map<string, Layout>()
  readonly #moving = new Set<string>()
  #end = (): void => {}

  constructor(private readonly ports: BalancePorts) {}

  /** Looks once a second. */
  start(): void {
    this.#end = every(this.ports.clock, LOOK_MS, () => {
      for (const host of this.ports.hosts()) this.place(host)
    })
  }

  stop(): void {
    this.#end()
  }

  /** Sees to one agent. Before it is started as well, so that it pulls nothing that is not for this node. */
  place(host: AgentHost): void {
    const { nodeId, members } = this.ports
    const { agent, owned } = host
    if (agent.ordering === "none") return // any node takes any event
    const layout = this.#layoutOf(host)
    for (const [partition, { first, second }] of layout.places.entries()) {
      const mine = first === nodeId
      const next = second === nodeId && members.owns(first, agent.name, partition)
      host.leave(partition, !mine && !next)
      if (mine || !owned.includes(partition)) layout.guests.delete(partition)
      else if (this.#isWaitedFor(partition, layout)) this.#handOver(host, partition, layout)
    }
  }

  /** A partition that came here because its owner died is not handed to that owner: it must have been seen since. */
  #isWaitedFor(partition: number, { sinceMs, guests, places }: Layout): boolean {
    const { members, clock } = this.ports
    const now = clock.steady()
    const cameMs = guests.get(partition) ?? now
    guests.set(partition, cameMs)
    return now - sinceMs >= CALM_MS && members.seenAfter(places[partition]?.first ?? "", cameMs)
  }

  #layoutOf({ agent }: AgentHost): Layout {
    const { nodeId, members, clock } = this.ports
    const { name, partitions } = agent
    const ids = [nodeId, ...members.hosting(name, partitions, nodeId)].sort()
    const nodes = [partitions, ...ids].join(" ")
    const known = this.#layouts.get(name)
    if (known?.nodes === nodes) return known
    const places = placesOf(name, partitions, ids)
    const layout = { nodes, places, sinceMs: clock.steady(), guests: new Map(), tried: new Map() }
    this.#layouts.set(name, layout)
    return layout
  }

  /** Not again for a while: the other node may not take it, or what runs may take long. */
  #handOver(host: AgentHost, partition: number, { places, tried }: Layout): void {
    const { clock, log } = this.ports
    const { name } = host.agent
    const moving = `${name} ${partition}`
    const before = tried.get(partition)
    if (this.#moving.has(moving) || clock.steady() < (before?.untilMs ?? 0)) return
    const waitMs = Math.min(AGAIN_MS_MAX, before === undefined ? AGAIN_MS_MIN : before.waitMs * 2)
    const about = { agent: name, partition, to: places[partition]?.first }
    this.#moving.add(moving)
    host
      .handOver(partition, HAND_OVER_MS)
      .then((done) => log.info(about, done ? "handed a partition over" : "cannot hand a partition over yet"))
      .catch((error) => log.warn({ ...about, error: ensureError(error) }, "cannot hand a partition over"))
      .finally(() => {
        tried.set(partition, { waitMs, untilMs: clock.steady() + waitMs })
        this.#moving.delete(moving)
      })
  }
}
