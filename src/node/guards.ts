import type { Clock } from "../agents/clock.js"
import { Guards } from "../agents/guards/guards.js"
import { BUDGET_DEFAULTS, BudgetLimits, kindOf } from "../agents/guards/limits.js"
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

/**
 * Opens the guards of a node. Whoever opens them calls `guards.flush()` before the bus is closed.
 *
 * @param clock says which day it is; default: the machine's
 * @throws MurmurError `BUCKET_OPEN`
 */
export async function openGuards(bus: BusCore, telemetry: Telemetry, clock?: Clock): Promise<NodeGuards> {
  const records = await BucketGuardRecords.open(bus)
  const limits = new BudgetLimits()
  const guards = new Guards({
    counters: countersOf(bus),
    records,
    limits,
    publish: (draft) => bus.publish(draft, { producer: "murmur", trust: "internal" }),
    telemetry,
    ...(clock !== undefined && { clock }),
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

/** What a setting says that is without a limit; JSON knows no infinity. */
const NO_LIMIT = "none"

/** The amount in a setting; `Infinity` for no limit; `undefined` when it holds none, and the default applies. */
export function amountOf(setting: unknown): number | undefined {
  const amount = (setting as { amount?: unknown } | null | undefined)?.amount
  if (amount === NO_LIMIT) return Number.POSITIVE_INFINITY
  return typeof amount === "number" ? amount : undefined
}

/**
 * The limits as the mesh has them now, by kind (`agents/guards/limits.ts`), and those that are for one agent alone
 * (`agent-day-tokens=triage`). `Infinity` is no limit.
 */
export async function readLimits(bus: BusCore): Promise<Record<string, number>> {
  const { settings } = await openBuckets(bus)
  const limits = new BudgetLimits()
  const names = new Set(Object.keys(BUDGET_DEFAULTS))
  for await (const { key, value } of settings.entries(budgetKey("*"))) {
    const name = key.slice(budgetKey("").length)
    if (!isLimit(name)) continue // of another version
    limits.set(name, amountOf(value))
    names.add(name)
  }
  return Object.fromEntries([...names].map((name) => [name, limits.of(name)]))
}

/**
 * Sets limits of the whole mesh; running nodes follow at once. `Infinity` is no limit, `undefined` restores a default.
 *
 * @param limits by kind; for one agent alone, by kind and agent (`ofAgent("agent-day-tokens", "triage")`)
 * @throws MurmurError `BUDGET_LIMIT` for a kind that does not exist, or no whole number >= 0
 */
export async function setLimits(bus: BusCore, limits: Readonly<Record<string, number | undefined>>): Promise<void> {
  for (const [kind, amount] of Object.entries(limits)) checkLimit(kind, amount)
  const { settings } = await openBuckets(bus)
  for (const [kind, limit] of Object.entries(limits)) {
    if (limit === undefined) await settings.delete(budgetKey(kind))
    else {
      const amount = Number.isFinite(limit) ? limit : NO_LIMIT
      await settings.put(budgetKey(kind), { amount, at: new Date().toISOString(), by: "cli" })
    }
  }
}

/** Whether there is such a limit. Only those of agents can be for one agent alone. */
function isLimit(name: string): boolean {
  const kind = kindOf(name)
  return BUDGET_DEFAULTS[kind] !== undefined && (kind === name || kind.startsWith("agent-"))
}

function checkLimit(kind: string, amount: number | undefined): void {
  const isAmount = amount === undefined || amount === Number.POSITIVE_INFINITY || isWhole(amount)
  const why = !isLimit(kind)
    ? `there is no such budget (known: ${Object.keys(BUDGET_DEFAULTS).join(", ")})`
    : isAmount
      ? undefined
      : `it must be a whole number >= 0, is ${String(amount)}`
  if (why === undefined) return
  throw new MurmurError(`Cannot limit "${kind}": ${why}`, { code: "BUDGET_LIMIT", details: { kind } })
}

const isWhole = (amount: number): boolean => Number.isSafeInteger(amount) && amount >= 0
