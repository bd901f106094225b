import type { EventDraft, MurmurEvent, Trust } from "../../bus/event.js"
import type { Broker } from "../../gateways/broker/broker.js"
import type { AgentOverrides } from "../../gateways/define-models.js"

/** Whose run is told about. */
export interface ToldBy {
  readonly agent: string
  readonly cause: MurmurEvent
  /** `external` where outsiders have a say in what is told, whatever the cause is. */
  readonly trust: Trust | undefined
}

/** What thinking needs of a node. */
export interface MindPorts {
  readonly broker: Broker
  /** For agents that name no model. */
  readonly defaultModel: string | readonly string[] | undefined
  overridesOf(agent: string): AgentOverrides | undefined
  /** Tells the mesh how a run goes on. Nobody waits for it. */
  tell(draft: EventDraft, from: ToldBy): void
  /** Whether what models say is told as well. */
  readonly tellContent: boolean
}
