import { z } from "zod"
import type { AgentDefinition } from "../agents/define-agent.js"
import type { Bucket } from "../bus/bucket.js"
import type { AnyEventDefinition } from "../bus/define-event.js"
import type { SourceDefinition } from "../sources/source.js"
import type { CatalogueRecord } from "./buckets.js"

/** What the catalogue says of an agent. */
export function agentRecord(agent: AgentDefinition): CatalogueRecord {
  const reacts = agent.triggers.flatMap(({ definition }) => (definition === undefined ? [] : [definition]))
  return {
    kind: "agent",
    name: agent.name,
    ...(agent.description !== undefined && { description: agent.description }),
    on: agent.triggers.map(({ pattern }) => pattern),
    emits: agent.emits.map(({ type }) => type),
    events: describe([...reacts, ...agent.emits]),
    partitions: agent.partitions,
    ordering: agent.ordering,
    inflightMax: agent.inflightMax,
    from: agent.from instanceof Date ? agent.from.toISOString() : agent.from,
    behaviour: agent.behaviour.kind,
  }
}

/** What the catalogue says of a source. */
export function sourceRecord(source: SourceDefinition): CatalogueRecord {
  return {
    kind: "source",
    name: source.name,
    ...(source.description !== undefined && { description: source.description }),
    on: [],
    emits: source.emits.map(({ type }) => type),
    events: describe(source.emits),
    partitions: 1,
    ordering: "key",
    inflightMax: 0,
    from: "now",
    behaviour: "source",
  }
}

/** Writes a record down, if it says anything new. */
export async function recordInCatalogue(bucket: Bucket, record: CatalogueRecord): Promise<void> {
  const key = `${record.kind}.${record.name}`
  const known = await bucket.get(key)
  if (JSON.stringify(known?.value) !== JSON.stringify(record)) await bucket.put(key, record)
}

function describe(definitions: readonly AnyEventDefinition[]): CatalogueRecord["events"] {
  const byType = new Map(definitions.map((definition) => [definition.type, definition]))
  return [...byType.values()].map(({ type, description, schema }) => ({
    type,
    ...(description !== undefined && { description }),
    // what JSON Schema cannot say (a transform, a date) is shown as anything
    schema: z.toJSONSchema(schema, { unrepresentable: "any", io: "input" }),
  }))
}
