import { MurmurError, TerminalError } from "../../errors.js"
import type { ToolApproval } from "../tools/tool.js"

/** What all built-in tools may be given. */
export interface BuiltinOptions<Name extends string = string> {
  /** Under which it stands in `ctx.tools`; give it where an agent has two of a kind. */
  readonly name?: Name
  /** What models and people are told of it; default: what it does, in general. */
  readonly description?: string
  /** How long one call may take, in milliseconds. Default 30_000. */
  readonly timeoutMs?: number
  readonly approval?: ToolApproval
}

const COMMON: readonly string[] = ["name", "description", "timeoutMs", "approval"]

/** What is handed on to `defineTool` as it is. */
export function common({ timeoutMs, approval }: BuiltinOptions): Pick<BuiltinOptions, "timeoutMs" | "approval"> {
  return { ...(timeoutMs !== undefined && { timeoutMs }), ...(approval !== undefined && { approval }) }
}

/** @throws MurmurError `TOOL_OPTION` for options that are none, and for an unknown one */
export function checkKnown(tool: string, options: object, own: readonly string[]): void {
  if (typeof options !== "object" || options === null)
    wrong(tool, `its options must be an object, are ${String(options)}`)
  const known = [...own, ...COMMON]
  const unknown = Object.keys(options).find((option) => !known.includes(option))
  if (unknown !== undefined) wrong(tool, `unknown option "${unknown}" (known: ${known.join(", ")})`)
}

/** A list of texts, at least one. @throws MurmurError `TOOL_OPTION` */
export function checkTexts(tool: string, option: string, value: unknown, wanted: string): readonly string[] {
  const texts =
    Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === "string" && each !== "")
  return texts ? value : wrong(tool, `${option} must be a list of ${wanted}, at least one, is ${shown(value)}`)
}

/** Texts by name. @throws MurmurError `TOOL_OPTION` */
export function checkRecord(tool: string, option: string, value: unknown): Readonly<Record<string, string>> {
  const isRecord = typeof value === "object" && value !== null && !Array.isArray(value)
  if (isRecord && Object.values(value).every((each) => typeof each === "string")) return value as Record<string, string>
  return wrong(tool, `${option} must be an object of texts, is ${shown(value)}`)
}

/** A number of something. @throws MurmurError `TOOL_OPTION` */
export function checkCount(tool: string, option: string, value: unknown, from: number, to: number): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= from && value <= to) return value
  return wrong(tool, `${option} must be an integer from ${from} to ${to}, is ${shown(value)}`)
}

/** @throws MurmurError `TOOL_OPTION` */
export function wrong(tool: string, why: string): never {
  throw new MurmurError(`Cannot make tool ${tool}: ${why}`, { code: "TOOL_OPTION", details: { tool } })
}

/** What a tool does not do by its own rules: the host, path or program is not allowed. Trying again cannot help. */
export function refused(tool: string, why: string, details: Record<string, unknown> = {}): TerminalError {
  return new TerminalError(`Tool "${tool}" refuses: ${why}`, { code: "TOOL_REFUSED", details: { tool, ...details } })
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? String(value)
}
