import type { AgentDefinition } from "../../../src/agents/define-agent.js"
import { inboxType, SHARED_ACK_WAIT_MS } from "../../../src/agents/host.js"
import type { HandlerPorts } from "../../../src/agents/ports.js"
import { MeshNames } from "../../../src/bus/subjects.js"
import type { SimConsumer } from "../model/consumer.js"
import type { LinkOptions } from "../model/link.js"
import { SimServer } from "../model/server.js"
import type { SimSharedConsumer } from "../model/shared-consumer.js"
import type { SimStream } from "../model/stream.js"
import { storedSubject } from "../model/subject.js"
import type { World } from "../world/world.js"
import { Bill, type BillOptions } from "./bill.js"
import { SimNode } from "./node.js"
import { Operator } from "./operator.js"
import type { PlanOptions } from "./plan.js"
import { SimTimers } from "./timers.js"

type Ports = Omit<HandlerPorts, "routing">

export interface SimMeshOptions {
  readonly seed: string
  readonly plans: PlanOptions
  readonly links: LinkOptions
  readonly dedupWindowMs: number
  readonly bill: BillOptions
  /** Breaks the runtime on purpose, to see that it is found. */
  readonly tamper?: ((ports: Ports, mesh: SimMesh) => Ports) | undefined
}

/** What the server does by default. */
const LETTERS_DEDUP_MS = 120_000

/** A simulated mesh: a modelled server, and nodes that run the real hosts. */
export class SimMesh {
  readonly names = new MeshNames("sim")
  readonly server: SimServer
  readonly streams: Readonly<Record<"events" | "sessions" | "steps" | "dead", SimStream>>
  readonly timers: SimTimers
  readonly operator: Operator
  readonly bill: Bill
  readonly nodes: SimNode[] = []
  /** Agents whose inbox is there. */
  readonly inboxes = new Set<string>()
  /** Steps whose handler has returned at least once: agent and event. */
  readonly returned = new Set<string>()
  #numbers = 0

  constructor(
    readonly world: World,
    readonly agents: readonly AgentDefinition[],
    readonly options: SimMeshOptions,
  ) {
    const { names } = this
    this.server = new SimServer(world)
    this.streams = {
      events: this.server.addStream(names.events, { dedupWindowMs: options.dedupWindowMs, transform: storedSubject }),
      sessions: this.server.addStream(names.sessionsOf("any")),
      steps: this.server.addStream(names.stepsOf("any")),
      dead: this.server.addStream(names.dead, { dedupWindowMs: LETTERS_DEDUP_MS }),
    }
    this.timers = new SimTimers(world, () => this.nodes)
    this.operator = new Operator(this)
    this.bill = new Bill(this.streams.steps, options.bill)
  }

  /** One of the consumers of the agents: made when it is asked for, as a deployment would have made it. */
  consumer(durable: string): SimConsumer | SimSharedConsumer {
    const known = this.server.findConsumer(durable)
    if (known !== undefined) return known
    const [name = "", ...rest] = durable.split("=")
    const agent = this.agents.find((each) => each.name === name)
    if (agent === undefined) throw new Error(`The simulated mesh has no agent ${name}`)
    const inbox = rest[0] === "inbox"
    const { partitions, ordering, inflightMax } = agent
    const only = ordering === "none" ? {} : { partitions, partition: Number((inbox ? rest[1] : rest[0]) ?? 0) }
    const patterns = inbox ? [inboxType(name)] : agent.triggers.map(({ pattern }) => pattern)
    const filters = patterns.map((pattern) => this.names.storedFilter(pattern, only))
    const stream = this.names.events
    if (ordering === "none" && !inbox) {
      return this.server.addSharedConsumer(durable, { stream, filters, ackWaitMs: SHARED_ACK_WAIT_MS })
    }
    return this.server.addConsumer(durable, { stream, filters, ackPendingMax: inbox ? 100 : inflightMax })
  }

  /** The settings say so: each node sees it a moment later. */
  openInbox(agent: string): void {
    if (this.inboxes.has(agent)) return
    this.inboxes.add(agent)
    for (const node of this.nodes) node.inboxOpened(agent)
  }

  addNode(name: string): SimNode {
    const node = new SimNode(this, name, this.options.links)
    this.nodes.push(node)
    node.start()
    return node
  }

  /** Whether everything that was published has been worked off. */
  get settled(): boolean {
    if (!this.timers.idle || !this.operator.idle) return false
    for (const consumer of this.server.consumers) if (consumer.pending > 0 || consumer.waiting > 0) return false
    return true
  }

  /** What is left to do, in words. */
  get backlog(): string {
    const consumers = [...this.server.consumers].filter(({ pending, waiting }) => pending > 0 || waiting > 0)
    const left = consumers.map(({ name, pending, waiting }) => `${name} has ${pending} unacked and ${waiting} waiting`)
    return [...left, this.timers.idle ? "no timers" : "timers"].join(", ")
  }

  /** For ids that have to be new: the same in each run of a seed. */
  nextNumber(): number {
    this.#numbers += 1
    return this.#numbers
  }
}
