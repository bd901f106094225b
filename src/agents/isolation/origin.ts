import type { AgentDefinition } from "../define-agent.js"

/** Where an agent's code lies, so that a worker can load it once more. */
export interface AgentOrigin {
  /** The module that exports it, absolute. */
  readonly file: string
  /** A hash of that file when it was loaded: a worker must not run other code than the node. */
  readonly fingerprint: string
  /** The program that a worker runs: it loads modules as the node does. */
  readonly program: string
}

/** By behaviour: a definition is copied on its way to its host, its behaviour is not. */
const origins = new WeakMap<AgentDefinition["behaviour"], AgentOrigin>()

/** Notes where an agent was loaded from. An agent that several modules export keeps the first. */
export function setOrigin(agent: AgentDefinition, origin: AgentOrigin): void {
  if (!origins.has(agent.behaviour)) origins.set(agent.behaviour, origin)
}

/** Where an agent was loaded from; `undefined` for one that was made in code. */
export function originOf(agent: Pick<AgentDefinition, "behaviour">): AgentOrigin | undefined {
  return origins.get(agent.behaviour)
}
