import type { LanePort } from "../../../src/agents/ports.js"
import type { PartitionHandler } from "../../../src/bus/partition.js"
import type { RecordLog } from "../../../src/bus/record-log.js"
import type { Room } from "../../../src/bus/room.js"

/** One process of a test, on a connection of its own. */
export interface RigClient {
  /** The stream of the sessions. */
  readonly log: RecordLog
  /** Puts `work.given` on the bus, with its number as the data. */
  publish(n: number, more?: { id?: string; key?: string }): Promise<{ seq: number; duplicate: boolean }>
  /** Pulls the deployed consumer. */
  lane(handler: PartitionHandler): LanePort & { restart(): void }
  /** Pulls the deployed consumer, which is shared, as much as there is room for. */
  sharedLane(handler: PartitionHandler, room: Room): LanePort
  /** Its connection breaks, and comes back by itself. */
  breakConnection(): Promise<void>
  /** It is gone without a word. */
  kill(): Promise<void>
}

/** What a consumer of `work.>` is to be. */
export interface RigConsumer {
  readonly ackPendingMax?: number
  readonly ackWaitMs?: number
  /** All nodes pull it side by side. Default: it is pinned to one. */
  readonly shared?: boolean
}

/** A server, the real one or the model: the same tests run on both. */
export interface Rig {
  readonly names: { sessionSubject(agent: string, key: string): string }
  client(name: string): Promise<RigClient>
  deploy(options?: RigConsumer): Promise<void>
  /** The subjects under which the events are stored, in order. */
  storedSubjects(): Promise<string[]>
  /** SIGKILL, and a new start. */
  killServer(): Promise<void>
  /** Waits, in the time of the server. */
  delay(ms: number): Promise<void>
  until(what: string, holds: () => boolean): Promise<void>
}

/** The ack wait of the rigs' shared consumers, and of those that pull them. */
export const SHARED_WAIT_MS = 1_000

/** For how long the rigs' streams store an id once only. */
export const DEDUP_WINDOW_MS = 1_000
