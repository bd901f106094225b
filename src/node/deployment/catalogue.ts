import type { Bus } from "../../bus/bus.js"
import type { Difference } from "../../bus/streams.js"
import { openBucket } from "../buckets.js"
import type { Found } from "./found.js"
import { isChange, type PlannedChange, type Stage, toCreate, toUpdate } from "./plan.js"
import type { Wanted } from "./wanted.js"

/** What the mesh knows of the agents and sources. */
export function planCatalogue(bus: Bus, wanted: Wanted, { catalogue }: Found): Stage {
  const records = [...wanted.agents.map(({ record }) => record), ...wanted.sources]
  const planned = records.map((record) => {
    const key = `${record.kind}.${record.name}`
    return { key, record, change: compare(key, record, catalogue.get(key)) }
  })
  const apply = async (): Promise<string[]> => {
    const bucket = await openBucket(bus, "catalogue")
    for (const { key, record, change } of planned) if (isChange(change)) await bucket.put(key, record)
    return []
  }
  return { changes: planned.map(({ change }) => change), apply }
}

function compare(key: string, record: object, found: unknown): PlannedChange {
  if (found === undefined) return toCreate("record", key)
  const before = found as Readonly<Record<string, unknown>>
  const after = record as Readonly<Record<string, unknown>>
  const differences = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((setting) => JSON.stringify(before[setting]) !== JSON.stringify(after[setting]))
    .map((setting): Difference => ({ setting, found: before[setting], wanted: after[setting] }))
  return toUpdate("record", key, differences)
}
