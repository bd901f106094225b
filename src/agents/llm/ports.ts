import type { EventDraft, MurmurEvent } from "../../bus/event.js"
import type { Broker } from "../../gateways/broker/broker.js"
import type { AgentOverrides } from "../../gateways/define-models.js"

/** What thinking needs of a node. */
export interface MindPorts {
  readonly broker: Broker
  /** For agents that name no model. */
  readonly defaultModel: string | readonly string[] | undefined
  overridesOf(agent: string): AgentOverrides | undefined
  /** Tells the mesh how a run goes on. Nobody waits for it. */
  tell(draft: EventDraft, from: { readonly agent: string; readonly cause: MurmurEvent }): void
  /** Whether what models say is told as well. */
  readonly tellContent: boolean
}
