import type { z } from "zod"
import { MurmurError } from "../../errors.js"
import { TIMER_MS_MAX } from "../clock.js"
import type { AnyTool, Reconciled, Tool, ToolApproval, ToolContext, ToolEffect } from "./tool.js"

const TOOL = Symbol.for("murmur.tool")

/** Options of {@link defineTool}. */
export interface ToolOptions<Name extends string, Input extends z.ZodObject, Raw, Out = Raw> {
  /** Under which it stands in `ctx.tools`, and what models call: letters, digits, `_` and `-`, at most 64. */
  readonly name: Name
  /** What it does and when to use it, for models and people. */
  readonly description: string
  readonly input: Input
  /** What it returns. Without it whatever it returns, as JSON gives it back. */
  readonly output?: z.ZodType<Out, Raw>
  /** What calling it does to the world. It decides what happens when it is not known how a call ended. */
  readonly effect: ToolEffect
  /** Whether it returns data that must not leave. A step that outsiders have a say in may not read such data and send some. */
  readonly private?: boolean
  /** Whether it sends what it is given out of the house: to an address, a mailbox, a page. */
  readonly egress?: boolean
  /** Whether what it returns was written by outsiders: a web page, an issue, a commit message. */
  readonly untrusted?: boolean
  /**
   * When a call needs a person's approval, besides the rule about private data. Default `untrusted` for an `irreversible`
   * tool, else `never`.
   */
  readonly approval?: ToolApproval
  /** How long one call may take, in milliseconds. `ctx.signal` is aborted then. Default 30_000. */
  readonly timeoutMs?: number
  /**
   * How long a person has to say whether a call may be made, in milliseconds; then it may not. Default 86_400_000, a day.
   */
  readonly askTimeoutMs?: number
  /** Does it. A `RetryableError` or `TerminalError` of an `irreversible` tool says that nothing was done. */
  run(input: z.output<Input>, ctx: ToolContext): Promise<Raw> | Raw
  /** Finds out what became of a call with `ctx.idempotencyKey`. Goes with `effect: "reconcile"`. */
  reconcile?(input: z.output<Input>, ctx: ToolContext): Promise<Reconciled<Raw>> | Reconciled<Raw>
}

type GivenOptions = ToolOptions<string, z.ZodObject, unknown>

const EFFECTS: readonly ToolEffect[] = ["read", "idempotent", "reconcile", "irreversible"]
const APPROVALS: readonly ToolApproval[] = ["never", "always", "untrusted"]
const LABELS = ["private", "egress", "untrusted"] as const
const KNOWN = [
  ...["name", "description", "input", "output", "effect", ...LABELS, "approval", "timeoutMs", "askTimeoutMs"],
  ...["run", "reconcile"],
]
const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/
const DAY_MS = 86_400_000
const ASK_MS_MAX = 100 * 365 * DAY_MS

/**
 * Defines a tool: something that agents do in the world outside of the mesh. Its calls are journaled, so what was done
 * once is not done again when a step runs again.
 *
 * @throws MurmurError `TOOL_OPTION` (option, wanted and found)
 * @example
 * const readLog = defineTool({
 *   name: "readLog",
 *   description: "Reads the log of a CI run",
 *   input: z.object({ url: z.url() }),
 *   effect: "read",
 *   run: async ({ url }, { signal }) => (await fetch(url, { signal })).text(),
 * })
 */
export function defineTool<const Name extends string, Input extends z.ZodObject, Raw, Out = Raw>(
  options: ToolOptions<Name, Input, Raw, Out>,
): Tool<Name, z.input<Input>, Out> {
  check(options as unknown as GivenOptions)
  const { name, description, effect, input, output } = options
  const tool: AnyTool = {
    ...{ name, description, effect, input, output },
    private: options.private ?? false,
    egress: options.egress ?? false,
    untrusted: options.untrusted ?? false,
    approval: options.approval ?? (effect === "irreversible" ? "untrusted" : "never"),
    timeoutMs: options.timeoutMs ?? 30_000,
    askTimeoutMs: options.askTimeoutMs ?? DAY_MS,
    run: options.run.bind(options) as AnyTool["run"],
    reconcile: options.reconcile?.bind(options) as AnyTool["reconcile"],
  }
  return Object.defineProperty(tool, TOOL, { value: codeOf(options as unknown as GivenOptions) }) as Tool<
    Name,
    z.input<Input>,
    Out
  >
}

/** Whether `value` came from {@link defineTool} (also of another loaded copy of murmur). */
export function isTool(value: unknown): value is AnyTool {
  return typeof value === "object" && value !== null && TOOL in value
}

/** The code of a tool as text: it is part of what its agent does. */
export function toolCode(tool: AnyTool): string {
  return String((tool as AnyTool & { readonly [TOOL]?: string })[TOOL])
}

function codeOf(options: GivenOptions): string {
  const { name, effect, run, reconcile, approval } = options
  const labels = LABELS.filter((label) => options[label])
  return [name, effect, run, reconcile, ...labels, ...(approval === undefined ? [] : [approval])].map(String).join("\n")
}

/** @throws MurmurError `TOOL_OPTION` */
function check(options: GivenOptions): void {
  if (typeof options !== "object" || options === null) fail(undefined, `its options must be an object, are ${options}`)
  const { name, description, effect, run, reconcile } = options
  const unknown = Object.keys(options).find((option) => !KNOWN.includes(option))
  if (unknown !== undefined) fail(name, `unknown option "${unknown}" (known: ${KNOWN.join(", ")})`)
  if (typeof name !== "string" || !NAME.test(name)) {
    fail(name, `name must be a letter and then letters, digits, "_" and "-", at most 64, is ${JSON.stringify(name)}`)
  }
  if (typeof description !== "string" || description.trim() === "") {
    fail(name, `description must say what it does, is ${JSON.stringify(description)}`)
  }
  if (!EFFECTS.includes(effect)) {
    fail(name, `effect must be one of ${EFFECTS.join(", ")}, is ${JSON.stringify(effect)}`)
  }
  checkSchemas(options)
  if (typeof run !== "function") fail(name, `run must be a function, is ${typeof run}`)
  checkReconcile(name, effect, reconcile)
  checkTrust(options)
  checkTimes(options)
}

function checkSchemas({ name, input, output }: GivenOptions): void {
  if (!isSchema(input) || input.def?.type !== "object") fail(name, `input must be a z.object, is ${shown(input)}`)
  if (output !== undefined && !isSchema(output)) fail(name, `output must be a zod schema, is ${shown(output)}`)
}

function checkReconcile(name: string, effect: ToolEffect, reconcile: unknown): void {
  if (reconcile !== undefined && typeof reconcile !== "function") {
    fail(name, `reconcile must be a function, is ${typeof reconcile}`)
  }
  if (effect === "reconcile" && reconcile === undefined) {
    fail(name, `effect "reconcile" needs a function reconcile, which finds out what became of a call`)
  }
  if (effect !== "reconcile" && reconcile !== undefined) {
    fail(name, `reconcile goes with effect "reconcile", and its effect is "${effect}"`)
  }
}

function checkTrust(options: GivenOptions): void {
  const { name, approval } = options
  const label = LABELS.find((each) => options[each] !== undefined && typeof options[each] !== "boolean")
  if (label !== undefined) fail(name, `${label} must be true or false, is ${JSON.stringify(options[label])}`)
  if (approval !== undefined && !APPROVALS.includes(approval)) {
    fail(name, `approval must be one of ${APPROVALS.join(", ")}, is ${JSON.stringify(approval)}`)
  }
}

function checkTimes(options: GivenOptions): void {
  const { name, effect, approval = "never" } = options
  const asks = effect === "irreversible" || approval !== "never" || options.private || options.egress
  if (options.askTimeoutMs !== undefined && !asks) {
    fail(name, `askTimeoutMs goes with effect "irreversible" or with approval, and its effect is "${effect}"`)
  }
  for (const [option, most] of [
    ["timeoutMs", TIMER_MS_MAX],
    ["askTimeoutMs", ASK_MS_MAX],
  ] as const) {
    const ms = options[option]
    if (ms !== undefined && !(Number.isSafeInteger(ms) && ms >= 1 && ms <= most)) {
      fail(name, `${option} must be an integer from 1 to ${most}, is ${String(ms)}`)
    }
  }
}

function isSchema(value: unknown): value is { readonly def?: { readonly type?: unknown } } {
  return typeof value === "object" && value !== null && "safeParse" in value
}

function shown(value: unknown): string {
  return isSchema(value) ? `a schema of ${String(value.def?.type)}` : String(value)
}

function fail(name: unknown, why: string): never {
  const named = typeof name === "string" && name !== "" ? `tool "${name}"` : "a tool"
  throw new MurmurError(`Cannot define ${named}: ${why}`, { code: "TOOL_OPTION", details: { tool: name } })
}
