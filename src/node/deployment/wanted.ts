import type { AgentDefinition } from "../../agents/define-agent.js"
import { codeRoutes } from "../../agents/routes.js"
import type { RetentionOptions } from "../../bus/stream-configs.js"
import type { LocalRoute } from "../../router/route.js"
import type { SourceDefinition } from "../../sources/source.js"
import type { CatalogueRecord } from "../buckets.js"
import { agentRecord, sourceRecord } from "../catalogue.js"

/** What is to be deployed, and how. */
export interface DeployOptions {
  readonly agents: readonly AgentDefinition[]
  readonly sources: readonly SourceDefinition[]
  /** What is given is applied also to streams, buckets and artifacts that exist. */
  readonly retention?: RetentionOptions | undefined
  /**
   * Whether everything is made that these agents may come to need: inboxes, timers, buckets, artifacts. Nodes without the right
   * to make them rely on it; others make them when they are needed. Default true.
   */
  readonly ahead?: boolean
  /** Agents whose routes go since their code is gone. Default: none. */
  readonly gone?: readonly string[]
  /** Removes what other agents and sources have been given. Default false. */
  readonly prune?: boolean
  /** Removes their sessions and journals as well. Default false. */
  readonly pruneSessions?: boolean
  /** Names that are not pruned although they are not deployed now. Default: none. */
  readonly keep?: readonly string[]
}

/** An agent with what a deployment needs to know of it. */
export interface WantedAgent {
  readonly agent: AgentDefinition
  readonly record: CatalogueRecord
}

/** What a mesh has to have. */
export interface Wanted {
  readonly agents: readonly WantedAgent[]
  readonly sources: readonly CatalogueRecord[]
  readonly routes: readonly LocalRoute[]
  readonly options: DeployOptions & { readonly ahead: boolean }
}

/** What agents and sources need of a mesh. */
export function wantedOf(options: DeployOptions): Wanted {
  return {
    agents: options.agents.map((agent) => ({ agent, record: agentRecord(agent) })),
    sources: options.sources.map(sourceRecord),
    routes: codeRoutes(options.agents),
    options: { ...options, ahead: options.ahead ?? true },
  }
}
