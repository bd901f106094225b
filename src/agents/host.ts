import type { Bus } from "../bus/bus.js"
import type { MeshNames } from "../bus/subjects.js"
import type { Log, Telemetry } from "../telemetry/ports.js"
import { type Clock, every } from "./clock.js"
import type { DeadLetterWriter } from "./dead-letters.js"
import type { AgentDefinition } from "./define-agent.js"
import type { Guards } from "./guards/guards.js"
import type { Routing } from "./intake.js"
import type { MindPorts } from "./llm/ports.js"
import type { EventPort } from "./ports.js"
import type { ToolServices } from "./tools/node-services.js"

/** What every host of an agent needs of its node. */
export interface AgentPorts {
  readonly names: MeshNames
  readonly events: EventPort
  readonly telemetry: Telemetry
  readonly clock: Clock
  readonly deadLetters: DeadLetterWriter
  readonly routing: Routing
  readonly guards: Guards
  /** What its agents think with; `undefined` where the node has no models. */
  readonly minds?: MindPorts | undefined
  /** For the tools that the node runs itself; `undefined` where it has nothing to offer them. */
  readonly toolServices?: ToolServices | undefined
  /** Jitter, 0 to 1. */
  readonly random: () => number
  /** Of the node that hosts the agent. */
  readonly nodeId: string
  /** Told when the agent's quarantine begins or ends. */
  readonly onQuarantine: () => void
}

/** What a host of a pipeline needs besides: it reads the bus's history itself. */
export interface HostPorts extends AgentPorts {
  readonly bus: Bus
}

/** Numbers of one agent on one node, since the node started. Plain fields: counting costs nothing. */
export class AgentStats {
  steps = 0
  failures = 0
  retries = 0
  deadLetters = 0
  skipped = 0
  lateDropped = 0
  emitted = 0
}

/** One agent on one node. */
export interface AgentHost {
  readonly agent: AgentDefinition
  readonly stats: AgentStats
  /** How many sessions (keys) it has seen since it began here, counted up to 100,000. */
  readonly sessions: number
  /** How many events it holds unfinished. */
  readonly inflight: number
  /** Whether it gets events: it owns at least one of the agent's partitions, or takes its share where nobody owns any. */
  readonly active: boolean
  /** The partitions that it owns. */
  readonly owned: readonly number[]
  /** What holds it up, if anything does: `window` when open windows hold as many events as they may. */
  readonly blocked: string | undefined
  /** Whether it is kept from its events since it failed again and again. */
  readonly quarantined: boolean
  start(): void
  /** Pulls nothing more; what has begun goes on. */
  pause(): Promise<void>
  /** Says whether a partition is left to other nodes. It is taken all the same when it waits and nobody takes it. */
  leave(partition: number, left: boolean): void
  /**
   * Gives a partition that it owns to another node: begins nothing more of it, finishes what has begun, and lets go.
   *
   * @param graceMs how long what has begun may take
   * @returns whether it was given up; if not, it goes on here
   */
  handOver(partition: number, graceMs: number): Promise<boolean>
  /**
   * Stops: begins nothing more, waits for what runs at most `graceMs`, then aborts it. What is not finished stays
   * unacked and goes to whoever takes over.
   */
  stop(graceMs: number): Promise<void>
}

/** How long the server waits for an ack before it hands a message out again. Steps heartbeat, so it need not cover them. */
export const ACK_WAIT_MS = 30_000

/** The same for a consumer that all nodes share: what a dead node held comes back only then. */
export const SHARED_ACK_WAIT_MS = 10_000

/** What the names of an agent's consumers follow from. */
export interface Consumed {
  readonly name: string
  readonly partitions: number
  readonly ordering: "key" | "none"
}

/** The durable consumers of an agent's events: one a partition, or one that all nodes share. */
export function eventDurables({ name, partitions, ordering }: Consumed): string[] {
  if (ordering === "none") return [sharedDurableName(name)]
  return Array.from({ length: partitions }, (_, partition) => durableName(name, partitions, partition))
}

/** The durable consumer of an agent whose events come in no order. */
export function sharedDurableName(agent: string): string {
  return `${agent}=any`
}

/** The durable consumer of one partition of an agent. No name of an agent has a `=`, so no two can meet. */
export function durableName(agent: string, partitions: number, partition: number): string {
  return partitions === 1 ? agent : `${agent}=${partition}`
}

/**
 * The durable consumer of what is sent to this agent alone, for one of its partitions: dead letters that are tried again,
 * answers, timers that are due.
 */
export function inboxDurableName(agent: string, partitions: number, partition: number): string {
  return partitions === 1 ? `${agent}=inbox` : `${agent}=inbox=${partition}`
}

/** The event type of what is sent to one agent alone. */
export function inboxType(agent: string): string {
  return `murmur.inbox.${agent}`
}

/** Says working for what is unfinished, three times in an ack wait, so that slow work is no redelivery. @returns ends it */
export function heartbeat(
  clock: Clock,
  items: () => Iterable<{ readonly delivery: { working(): void }; readonly since: number }>,
  ackWaitMs = ACK_WAIT_MS,
): () => void {
  const everyMs = ackWaitMs / 3
  return every(clock, everyMs, () => {
    const old = clock.now() - everyMs / 2
    for (const item of items()) if (item.since <= old) item.delivery.working()
  })
}

/** The log of one agent. */
export function agentLog(log: Log, agent: string): Log {
  const bind = (level: keyof Log) => (fields: object, message: string) => log[level]({ agent, ...fields }, message)
  return { debug: bind("debug"), info: bind("info"), warn: bind("warn"), error: bind("error") }
}
