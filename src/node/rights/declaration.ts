import type { AgentDefinition } from "../../agents/define-agent.js"
import type { SourceDefinition } from "../../sources/source.js"
import type { CatalogueRecord } from "../buckets.js"

/** What is declared of an agent, as far as its rights follow from it. */
export interface AgentNeeds {
  readonly name: string
  readonly emits: readonly string[]
  readonly partitions: 1 | 8 | 64
  readonly ordering: "key" | "none"
  readonly behaviour: "handle" | "react"
  /** Whether it deletes what is old of its own sessions. */
  readonly trims: boolean
  /** Whether it has tools: they may keep artifacts and memos. */
  readonly tools: boolean
}

/** What is declared of a source. */
export interface SourceNeeds {
  readonly name: string
  readonly emits: readonly string[]
}

/** What a node is to host. */
export interface NodeDeclaration {
  readonly agents: readonly AgentNeeds[]
  readonly sources: readonly SourceNeeds[]
  /** Whether it takes events by `POST /events`: they have the producer `http`. Default false. */
  readonly intake?: boolean
}

/** What code declares. */
export function declarationOf({
  agents,
  sources,
}: {
  readonly agents: readonly AgentDefinition[]
  readonly sources: readonly SourceDefinition[]
}): NodeDeclaration {
  return {
    agents: agents.map(({ name, emits, partitions, ordering, behaviour: { kind }, state, tools }) => ({
      ...{ name, partitions, ordering, behaviour: kind },
      emits: emits.map(({ type }) => type),
      trims: kind === "react" || (state !== undefined && Number.isFinite(state.keepCommits)),
      tools: tools.length > 0,
    })),
    sources: sources.map(({ name, emits }) => ({ name, emits: emits.map(({ type }) => type) })),
  }
}

/** What the catalogue of a mesh knows. It does not tell of tools and of what sessions keep: taken as there. */
export function declarationFromCatalogue(records: readonly CatalogueRecord[]): NodeDeclaration {
  const agents = records.flatMap(({ kind, name, emits, partitions, ordering, behaviour }) =>
    kind !== "agent" || behaviour === "source"
      ? []
      : [{ name, emits, partitions, ordering, behaviour, trims: true, tools: behaviour === "handle" }],
  )
  const sources = records.flatMap(({ kind, name, emits }) => (kind === "source" ? [{ name, emits }] : []))
  return { agents, sources }
}
