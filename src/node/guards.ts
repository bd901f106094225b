import { Guards } from "../agents/guards/guards.js"
import { BUDGET_DEFAULTS, BudgetLimits } from "../agents/guards/limits.js"
import type { BusCore } from "../bus/bus-core.js"
import { Counters } from "../bus/counters.js"
import { MurmurError } from "../errors.js"
import type { Telemetry } from "../telemetry/ports.js"
import { openBuckets } from "./buckets.js"
import { BucketGuardRecords } from "./guard-records.js"

/** The guards of a node, and the limits that they go by: the node's owner keeps these up to date. */
export interface NodeGuards {
  readonly guards: Guards
  readonly limits: BudgetLimits
}

/** Opens the guards of a node. @throws MurmurError `BUCKET_OPEN` */
export async function openGuards(bus: BusCore, telemetry: Telemetry): Promise<NodeGuards> {
  const records = await BucketGuardRecords.open(bus)
  const limits = new BudgetLimits()
  const guards = new Guards({
    counters: countersOf(bus),
    records,
    limits,
    publish: (draft) => bus.publish(draft, { producer: "murmur", trust: "internal" }),
    telemetry,
  })
  return { guards, limits }
}

/** The counters of a mesh. */
export function countersOf({ link, publisher, names }: BusCore): Counters {
  return new Counters(link, publisher, names)
}

/** The settings' key of a limit. */
export function budgetKey(kind: string): string {
  return `budget.${kind}`
}

/** The amount in a setting; `undefined` when it holds none, and the default applies. */
export function amountOf(setting: unknown): number | undefined {
  const amount = (setting as { amount?: unknown } | null | undefined)?.amount
  return typeof amount === "number" ? amount : undefined
}

/** What the tree of one root event may use, by kind, as the mesh has it now. */
export async function readLimits(bus: BusCore): Promise<Record<string, number>> {
  const { settings } = await openBuckets(bus)
  const limits = new BudgetLimits()
  for await (const { key, value } of settings.entries(budgetKey("*"))) {
    limits.set(key.slice(budgetKey("").length), amountOf(value))
  }
  return Object.fromEntries(Object.keys(BUDGET_DEFAULTS).map((kind) => [kind, limits.of(kind)]))
}

/**
 * Sets limits of the whole mesh; running nodes follow at once. `undefined` restores a default.
 *
 * @throws MurmurError `BUDGET_LIMIT` for a kind that does not exist, or no whole number >= 0
 */
export async function setLimits(bus: BusCore, limits: Readonly<Record<string, number | undefined>>): Promise<void> {
  for (const [kind, amount] of Object.entries(limits)) checkLimit(kind, amount)
  const { settings } = await openBuckets(bus)
  for (const [kind, amount] of Object.entries(limits)) {
    if (amount === undefined) await settings.delete(budgetKey(kind))
    else await settings.put(budgetKey(kind), { amount, at: new Date().toISOString(), by: "cli" })
  }
}

function checkLimit(kind: string, amount: number | undefined): void {
  const known = Object.keys(BUDGET_DEFAULTS)
  const why = !known.includes(kind)
    ? `there is no such budget (known: ${known.join(", ")})`
    : amount !== undefined && !(Number.isSafeInteger(amount) && amount >= 0)
      ? `it must be a whole number >= 0, is ${String(amount)}`
      : undefined
  if (why === undefined) return
  throw new MurmurError(`Cannot limit "${kind}": ${why}`, { code: "BUDGET_LIMIT", details: { kind } })
}
