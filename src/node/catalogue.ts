import { z } from "zod"
import type { AgentDefinition } from "../agents/define-agent.js"
import type { Bucket } from "../bus/bucket.js"
import { notDeployed } from "../bus/consumers.js"
import type { AnyEventDefinition } from "../bus/define-event.js"
import type { Labels } from "../router/labels.js"
import type { SourceDefinition } from "../sources/source.js"
import type { Log } from "../telemetry/ports.js"
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
    ...selectorOf(agent.nodeSelector),
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
    ...selectorOf(source.nodeSelector),
    from: "now",
    behaviour: "source",
  }
}

/**
 * Looks whether a record was deployed. Where the code says otherwise, as for a while in a rolling update, the log says so.
 *
 * @throws MurmurError `NOT_DEPLOYED`
 */
export async function requireInCatalogue(bucket: Bucket, record: CatalogueRecord, log: Log): Promise<void> {
  const { kind, name } = record
  const known = await bucket.get(`${kind}.${name}`)
  if (known === undefined) throw notDeployed(`record of ${kind} "${name}"`)
  if (JSON.stringify(known.value) === JSON.stringify(record)) return
  log.warn({ [kind]: name }, 'the code declares something else than what was deployed; see "murmur deploy"')
}

/** Writes down what other nodes are to host, where nothing is known of it: its own nodes know better. */
export async function noteInCatalogue(bucket: Bucket, record: CatalogueRecord): Promise<void> {
  const key = `${record.kind}.${record.name}`
  if ((await bucket.get(key)) !== undefined) return
  await bucket.create(key, record).catch((error) => {
    if (error?.code !== "BUCKET_CONFLICT") throw error // somebody else was first
  })
}

function selectorOf(nodeSelector: Labels = {}): Pick<CatalogueRecord, "nodeSelector"> {
  return Object.keys(nodeSelector).length === 0 ? {} : { nodeSelector: { ...nodeSelector } }
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
