import { Partition } from "../bus/partition.js"
import { within } from "../bus/within.js"
import { isMurmurError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import { EmitGate } from "./context.js"
import type { AgentDefinition } from "./define-agent.js"
import { type AgentStats, type HostPorts, heartbeat } from "./host.js"
import { IntakeGate } from "./intake.js"
import { KeyCount } from "./key-count.js"
import { Outputs } from "./outputs.js"
import type { ReactPlace } from "./react-history.js"
import { ReactTenure, type TenureParts } from "./react-tenure.js"

const IDLE_CHECK_MS = 500

/**
 * One partition of a `react` agent.
 *
 * Events are acked once they are in their window. A closing window is committed, by fence, with its outputs and with
 * the sequence from which the windows still open must be rebuilt; then the outputs are published. A node that takes the
 * partition over publishes what the last commit promised and is not there yet, reads that range of history again, and
 * goes on with the durable: nothing is lost, and a window built twice is published once.
 */
export class ReactPartition {
  readonly #partition: Partition
  readonly #parts: TenureParts
  #tenure: ReactTenure | undefined
  #idleTimer: NodeJS.Timeout | undefined
  #endHeartbeat: (() => void) | undefined
  #started = false

  constructor(
    agent: AgentDefinition & { behaviour: { kind: "react" } },
    ports: HostPorts,
    stats: AgentStats,
    private readonly log: Log,
    private readonly place: ReactPlace,
  ) {
    const { names, link } = ports.bus
    this.#parts = {
      ...{ agent, ports, place, stats, log },
      intake: new IntakeGate(agent, names, ports.routing),
      gate: new EmitGate(agent.name, agent.emits),
      guards: ports.guards.of(agent),
      outputs: new Outputs(agent.name, ports, stats),
      keys: new KeyCount(),
    }
    const batchMax = Math.min(500, agent.inflightMax)
    const options = { stream: names.events, durable: place.durable, batchMax, log }
    this.#partition = new Partition(link, options, {
      onOwned: (floor, ended) => this.#takeOver(floor, ended),
      onLost: () => {
        this.#tenure = undefined
      },
      onDelivery: (delivery) => this.#tenure?.receive(delivery),
    })
  }

  get owned(): boolean {
    return this.#partition.owned
  }

  /** How many keys it has seen, counted up to 100,000. */
  get sessions(): number {
    return this.#parts.keys.size
  }

  get inflight(): number {
    return this.#tenure?.waiting.length ?? 0
  }

  /** Open windows hold as many events as they may: nothing more is taken in until one closes. */
  get blocked(): boolean {
    return this.#tenure?.blocked === true
  }

  start(): void {
    this.#started = true
    this.#partition.start()
    this.#idleTimer ??= setInterval(() => this.#tenure?.closeQuiet(), IDLE_CHECK_MS)
    this.#endHeartbeat ??= heartbeat(this.#parts.ports.clock, () => this.#tenure?.waiting ?? [])
  }

  /** Says whether it is left to other nodes. */
  leave(left: boolean): void {
    this.#partition.leave(left)
  }

  /** Commits and publishes what it has, then lets another node have it. What it does not get done the next owner does. */
  async handOver(graceMs: number): Promise<void> {
    await this.#letGo(graceMs)
    if (this.#started) this.start()
  }

  /** Stops; waits at most `graceMs` for what is being committed and published. */
  async stop(graceMs: number): Promise<void> {
    this.#started = false
    await this.#letGo(graceMs)
  }

  async #letGo(graceMs: number): Promise<void> {
    clearInterval(this.#idleTimer)
    this.#endHeartbeat?.()
    this.#idleTimer = undefined
    this.#endHeartbeat = undefined
    if (this.#tenure !== undefined) await within(graceMs, this.#tenure.settle())
    await this.#partition.stop()
    await this.#partition.release()
  }

  async #takeOver(floor: number, ended: AbortSignal): Promise<void> {
    const tenure = await ReactTenure.begin(this.#parts, floor, ended, (error) => {
      if (!ended.aborted) this.#abandon(error)
    })
    if (!ended.aborted) this.#tenure = tenure
  }

  /** Something that cannot be repaired in place: give the partition back and take it over again from what is stored. */
  #abandon(error: Error): void {
    const fenced = isMurmurError(error) && error.code === "FENCE_CONFLICT"
    this.log.warn(
      { partition: this.place.partition, error },
      fenced ? "another node has this partition" : "giving a partition back after a fault",
    )
    this.#partition.restart()
  }
}
