import type { StoredMessage } from "../bus/decode.js"
import type { SealedEvent } from "../bus/encode.js"
import type { EventDraft } from "../bus/event.js"
import type { PublishOptions } from "../bus/publisher.js"
import type { RecordLog } from "../bus/record-log.js"
import type { Room } from "../bus/room.js"
import type { PartitionHandler } from "../bus/tenure.js"
import type { Alone } from "./alone.js"
import type { AgentPorts } from "./host.js"
import type { SuspensionPort } from "./suspension.js"

/** The events of the mesh, as the runtime of an agent uses them. */
export interface EventPort {
  /** Publishes an event that is sealed already; resolves when it is stored. */
  store(event: SealedEvent): Promise<unknown>
  /** Publishes what the runtime itself has to tell. */
  publish(draft: EventDraft, options: PublishOptions): Promise<unknown>
  /** The message at a sequence, unless it is gone. */
  read(seq: number): Promise<StoredMessage | undefined>
  /** Ids of the events of a producer, since a time: of one key when one is given. */
  ids(producer: string, key: string | undefined, since: Date): AsyncIterable<string>
}

/** A durable consumer that this node pulls. */
export interface LanePort {
  /** Whether this node is the one that gets the messages. */
  readonly owned: boolean
  start(): void
  /** Pulls nothing more; what was delivered stays with the caller. */
  stop(): Promise<void>
  /** After `stop`, when nothing is unfinished: lets another node have it at once. */
  release(): Promise<void>
  /** Says whether it is left to other nodes: then it is pulled only while it is owned, or when none of them does. */
  leave?(left: boolean): void
  /**
   * Hands out nothing more, and goes on owning it until `resume` or `stop`. Not there, as `leave` and `resume`, where all
   * nodes pull side by side: nobody owns anything then.
   */
  hold?(): void
  resume?(): void
}

/** How a durable consumer is pulled. */
export interface LaneOptions {
  /** How many messages are asked for at a time. */
  readonly batchMax: number
  /** Whether it brings events in stream order. */
  readonly ordered: boolean
  /** Given when all nodes pull it side by side: each takes only what it has room for. Else one node at a time owns it. */
  readonly room?: Room
}

/** What a host of a handler needs of its node. Nothing of it says NATS: the same host runs over a model of the mesh. */
export interface HandlerPorts extends AgentPorts {
  readonly logs: { readonly sessions: RecordLog; readonly steps: RecordLog }
  readonly suspension: SuspensionPort
  /** One for all agents of the node. */
  readonly alone: Alone
  openLane(durable: string, handler: PartitionHandler, options: LaneOptions): LanePort
}
