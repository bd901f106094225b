import type { AgentDefinition } from "../agents/define-agent.js"
import type { AgentHost } from "../agents/host.js"
import { MurmurError } from "../errors.js"
import type { ModelsDefinition } from "../gateways/define-models.js"
import type { SourceDefinition } from "../sources/source.js"
import type { PresenceRecord } from "./buckets.js"

/** What a node hosts. */
export interface Hosted {
  readonly agents: readonly AgentDefinition[]
  readonly sources: readonly SourceDefinition[]
  /** What the agents think with. Default: the providers that the environment names. */
  readonly models?: ModelsDefinition
}

/** How one check of a node's readiness went. */
export interface ReadinessCheck {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
}

/** Whether an agent can work. */
export function agentCheck({ agent, blocked, quarantined }: AgentHost): ReadinessCheck {
  const against = blocked !== undefined ? `blocked: ${blocked}` : quarantined ? "quarantined" : undefined
  return { name: `agent ${agent.name}`, ok: against === undefined, detail: against ?? "runs" }
}

/** An agent as its node tells the mesh of it. */
export function presentAgent(
  host: AgentHost,
  { paused, models }: { readonly paused: boolean; readonly models: readonly string[] },
): PresenceRecord["agents"][number] {
  const { agent, stats, active, owned, blocked, quarantined, sessions, inflight } = host
  return {
    name: agent.name,
    state: paused ? "paused" : quarantined ? "quarantined" : "running",
    active,
    partitions: agent.partitions,
    owned: [...owned],
    code: agent.code,
    blocked: blocked ?? null,
    steps: stats.steps,
    failures: stats.failures,
    retries: stats.retries,
    deadLetters: stats.deadLetters,
    lateDropped: stats.lateDropped,
    sessions,
    inflight,
    models: [...models],
  }
}

/** @throws MurmurError `NODE_TWICE` */
export function checkNames({ agents, sources }: Hosted): void {
  const seen = new Map<string, string>()
  for (const [kind, { name }] of [
    ...agents.map((agent) => ["agent", agent] as const),
    ...sources.map((source) => ["source", source] as const),
  ]) {
    const other = seen.get(name)
    if (other !== undefined) {
      throw new MurmurError(
        `Cannot host two of one name: "${name}" is ${other === kind ? `the name of two ${kind}s` : `an ${other} and a ${kind}`}. A name is the producer of events, so it stands for one of them`,
        { code: "NODE_TWICE", details: { name } },
      )
    }
    seen.set(name, kind)
  }
}
