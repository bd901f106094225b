import type { Plan, PlannedChange } from "../../node/deployment/plan.js"
import type { Output } from "../output.js"
import { counted, printable, shortJson } from "../text.js"

const SIGNS = { create: "+", update: "~", remove: "-", none: " " } as const
const COLOURS = { create: "green", update: "yellow", remove: "red", none: "dim" } as const
const VALUE_CHARS_MAX = 120

/** What a plan is shown on. */
type Page = Pick<Output, "line" | "paint">

/** Shows a plan like a migration: what is made, changed with both values, removed; what stays is counted. */
export async function showPlan(plan: Plan, page: Page): Promise<void> {
  const { mesh, layout, version } = plan
  await page.line(`Mesh "${mesh}", layout ${layout}, murmur ${version}`)
  for (const { change, count } of gathered(plan.changes)) {
    const { kind, name, action, differences } = change
    const many = count > 1 ? ` (${count})` : ""
    await page.line(page.paint(COLOURS[action], `  ${SIGNS[action]} ${kind.padEnd(12)} ${printable(name)}${many}`))
    for (const { setting, found, wanted } of differences) {
      const before = found === undefined ? "" : `${shortJson(found, VALUE_CHARS_MAX)} -> `
      await page.line(`      ${setting}: ${before}${shortJson(wanted ?? null, VALUE_CHARS_MAX)}`)
    }
  }
  await page.line(summary(plan.changes))
  for (const warning of plan.warnings) await page.line(page.paint("yellow", `! ${printable(warning)}`))
}

function summary(changes: readonly PlannedChange[]): string {
  const of = (action: PlannedChange["action"]): number => changes.filter((change) => change.action === action).length
  const same = counted(of("none"), "thing")
  if (of("none") === changes.length) return `Nothing to do: ${same} as needed.`
  return `${of("create")} to create, ${of("update")} to update, ${of("remove")} to remove; ${same} as needed.`
}

/** What is to be done; the partitions of an agent as one line. */
function gathered(changes: readonly PlannedChange[]): { change: PlannedChange; count: number }[] {
  const lines = new Map<string, { change: PlannedChange; count: number }>()
  for (const change of changes) {
    if (change.action === "none") continue
    const family = change.name.replace(/=\d+$/, "=*")
    const key = [change.kind, change.action, family].join(" ")
    const line = lines.get(key)
    if (line === undefined) lines.set(key, { change, count: 1 })
    else lines.set(key, { change: { ...line.change, name: family }, count: line.count + 1 })
  }
  return [...lines.values()]
}
