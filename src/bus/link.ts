import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/transport-node"
import type { ConnectionState } from "./connection-state.js"
import type { Rights } from "./rights.js"

/** One connection and its JetStream faces, as the files of the bus hand them around. */
export interface Link {
  readonly connection: NatsConnection
  readonly client: JetStreamClient
  readonly manager: JetStreamManager
  readonly state: ConnectionState
  /** Under which replies come to this client: its own, where the server lets each read its own replies only. */
  readonly inboxPrefix: string | undefined
  readonly rights: Rights
}
