import { durableInfo } from "../bus/consumers.js"
import { type ReadMessage, readHistory } from "../bus/reader.js"
import type { AgentDefinition } from "./define-agent.js"
import type { HostPorts } from "./host.js"

/** Which partition of an agent, and the consumer that hands it out. */
export interface ReactPlace {
  readonly partition: number
  readonly durable: string
}

/** Tokens of a stored subject before the type. */
const TOKENS_BEFORE_TYPE = 6

/** Reads a partition's past again: what its consumer would have handed out. */
export class ReactHistory {
  private constructor(
    private readonly agent: AgentDefinition,
    private readonly ports: HostPorts,
    private readonly place: ReactPlace,
    private readonly pattern: string,
  ) {}

  /** Asks the server what the consumer's filter is: routes may have been added and removed since the agent was written. */
  static async open(agent: AgentDefinition, ports: HostPorts, place: ReactPlace): Promise<ReactHistory> {
    const info = await durableInfo(ports.bus.link, ports.bus.names.events, place.durable)
    const filter = info?.config.filter_subject
    const pattern = filter === undefined ? ">" : filter.split(".").slice(TOKENS_BEFORE_TYPE).join(".")
    return new ReactHistory(agent, ports, place, pattern)
  }

  /** What was stored from `from` to `to`, both included; of one key when one is given. Ends early when `ended` is aborted. */
  read(from: number, to: number, ended: AbortSignal, key?: string): AsyncIterable<ReadMessage> {
    return readHistory(this.ports.bus.link, { ...this.#where(key), from: { seq: from }, toSeq: to, signal: ended })
  }

  /**
   * Where a rebuild begins. With a horizon the recent past is fed again too, so that operators that are not windows are
   * warm.
   */
  async start(rebuildFrom: number, ended: AbortSignal): Promise<number> {
    if (this.agent.horizonMs === 0) return rebuildFrom
    const time = new Date(Date.now() - this.agent.horizonMs)
    const read = { ...this.#where(), from: { time }, headersOnly: true, batchMax: 1, signal: ended }
    for await (const { seq } of readHistory(this.ports.bus.link, read)) return Math.min(rebuildFrom, seq)
    return rebuildFrom
  }

  #where(key?: string): { stream: string; filter: string } {
    const { names } = this.ports.bus
    const { partitions } = this.agent
    const only = { partitions, partition: this.place.partition, ...(key !== undefined && { key }) }
    return { stream: names.events, filter: names.storedFilter(this.pattern, only) }
  }
}
