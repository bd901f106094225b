import type { Spread } from "../support/stats.js"
import type { Sync } from "./results.js"

/** How the server writes, in words. */
export const syncName = (sync: Sync): string =>
  sync === "always" ? "`sync_interval: always` (as murmur ships it)" : "the server's default sync"

/** A heading and what stands below it. */
export function section(title: string, lines: readonly string[]): string[] {
  return ["", `## ${title}`, "", ...lines]
}

/** A table. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`
  return [line(header), line(header.map(() => "---")), ...rows.map(line)]
}

/** A number that was measured several times. */
export function cell(value: Spread, digits?: number): string {
  return `${round(value.median, digits)} (${round(value.min, digits)} to ${round(value.max, digits)})`
}

/** Without digits: three that count. */
export function round(value: number, digits?: number): string {
  if (digits !== undefined)
    return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))
}
