import type { AgentDefinition } from "./define-agent.js"
import { type AgentHost, AgentStats, agentLog, durableName, type HostPorts } from "./host.js"
import { ReactPartition } from "./react-partition.js"

/** Runs an agent with a `react` on one node: one pipeline per key, windows that survive a crash. */
export class ReactHost implements AgentHost {
  readonly stats = new AgentStats()
  readonly quarantined = false
  readonly #partitions: ReactPartition[]

  constructor(
    readonly agent: AgentDefinition & { behaviour: { kind: "react" } },
    ports: HostPorts,
  ) {
    const log = agentLog(ports.telemetry.log, agent.name)
    this.#partitions = Array.from(
      { length: agent.partitions },
      (_, partition) =>
        new ReactPartition(agent, ports, this.stats, log, {
          partition,
          durable: durableName(agent.name, agent.partitions, partition),
        }),
    )
  }

  get sessions(): number {
    return this.#sum((partition) => partition.sessions)
  }

  get inflight(): number {
    return this.#sum((partition) => partition.inflight)
  }

  get active(): boolean {
    return this.#partitions.some((partition) => partition.owned)
  }

  get owned(): readonly number[] {
    return [...this.#partitions.keys()].filter((partition) => this.#partitions[partition]?.owned)
  }

  get blocked(): string | undefined {
    return this.#partitions.some((partition) => partition.blocked) ? "window" : undefined
  }

  start(): void {
    for (const partition of this.#partitions) partition.start()
  }

  async pause(): Promise<void> {
    await Promise.all(this.#partitions.map((partition) => partition.stop(0)))
  }

  leave(partition: number, left: boolean): void {
    this.#partitions[partition]?.leave(left)
  }

  async handOver(partition: number, graceMs: number): Promise<boolean> {
    if (!this.owned.includes(partition)) return false
    await this.#partitions[partition]?.handOver(graceMs)
    return true
  }

  async stop(graceMs: number): Promise<void> {
    await Promise.all(this.#partitions.map((partition) => partition.stop(graceMs)))
  }

  #sum(count: (partition: ReactPartition) => number): number {
    return this.#partitions.reduce((sum, partition) => sum + count(partition), 0)
  }
}
