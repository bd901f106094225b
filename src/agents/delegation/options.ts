import { MurmurError } from "../../errors.js"
import type { Message } from "../../gateways/messages/message.js"

/** What is handed to the other agent besides the input. Chosen by code, by a model, or both. */
export interface ContextOptions {
  /** A text. */
  readonly text?: string
  /** Messages as they are. */
  readonly messages?: readonly Message[]
  /** A model's summary: of these messages, or (`true`) of the session's conversation. */
  readonly summary?: boolean | readonly Message[]
}

/** How a task is handed on. */
export interface HandoffOptions {
  /** Which session of the other agent does it. Default: one of its own. */
  readonly key?: string
  /** What the other agent is told besides its input. Default `none`. */
  readonly context?: "none" | ContextOptions
}

/** How a task is given. */
export interface DelegateOptions extends HandoffOptions {
  /** How long to wait for the result, in milliseconds. Default 3_600_000, an hour. */
  readonly deadlineMs?: number
  /** The result when none has come in time. Without it `DELEGATE_TIMEOUT` is thrown. */
  readonly default?: unknown
}

/**
 * When enough results have come: `all` of them, the `first` that is none of an error, a `majority` (more than half) that
 * are none, or more than half that are the same (`agreement`). Also when that cannot be reached any more.
 */
export type GatherMode = "all" | "first" | "majority" | "agreement"

/** How results are waited for. */
export interface GatherOptions {
  /** Default `all`. */
  readonly mode?: GatherMode
  /** How long to wait in all, in milliseconds. What has not come by then is an error in the results. Default 3_600_000. */
  readonly deadlineMs?: number
}

const HOUR_MS = 3_600_000
const WAIT_MS_MAX = 100 * 365 * 24 * HOUR_MS
/** A step that waits is one message of the server, results included. */
export const TASKS_MAX = 1_000

const HANDOFF = ["key", "context"]
const DELEGATE = [...HANDOFF, "deadlineMs", "default"]
const CONTEXT = ["text", "messages", "summary"]
const MODES: readonly string[] = ["all", "first", "majority", "agreement"]

type Fail = (why: string) => never

/** @throws MurmurError `DELEGATE_OPTION` (what, wanted and found) */
export function checkDelegate(from: string, to: string, options: DelegateOptions): { readonly deadlineMs: number } {
  const fail = failing(`"${from}" cannot delegate to "${to}"`)
  checkShared(options, DELEGATE, fail)
  return { deadlineMs: checkDeadline(options.deadlineMs, fail) }
}

/** @throws MurmurError `DELEGATE_OPTION` */
export function checkHandoff(from: string, to: string, options: HandoffOptions): void {
  checkShared(options, HANDOFF, failing(`"${from}" cannot hand off to "${to}"`))
}

/** @throws MurmurError `DELEGATE_OPTION` */
export function checkGather(
  from: string,
  count: number,
  options: GatherOptions,
): { readonly mode: GatherMode; readonly deadlineMs: number } {
  const fail = failing(`"${from}" cannot gather results`)
  checkKnown(options, ["mode", "deadlineMs"], fail)
  if (count > TASKS_MAX) fail(`at most ${TASKS_MAX} tasks are gathered at a time, are ${count}`)
  const { mode = "all" } = options
  if (!MODES.includes(mode)) fail(`mode must be one of ${MODES.join(", ")}, is ${JSON.stringify(mode)}`)
  return { mode, deadlineMs: checkDeadline(options.deadlineMs, fail) }
}

function failing(what: string): Fail {
  return (why) => {
    throw new MurmurError(`${what}: ${why}`, { code: "DELEGATE_OPTION" })
  }
}

function checkKnown(options: object, known: readonly string[], fail: Fail): void {
  if (typeof options !== "object" || options === null) fail(`its options must be an object, are ${String(options)}`)
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown !== undefined) fail(`unknown option "${unknown}" (known: ${known.join(", ")})`)
}

function checkShared(options: HandoffOptions, known: readonly string[], fail: Fail): void {
  checkKnown(options, known, fail)
  const { key, context = "none" } = options
  if (key !== undefined && typeof key !== "string") fail(`key must be a string, is ${JSON.stringify(key)}`)
  if (context === "none") return
  if (typeof context !== "object" || context === null) {
    fail(`context must be "none" or an object with text, messages, summary; is ${JSON.stringify(context)}`)
  }
  const unknown = Object.keys(context).find((name) => !CONTEXT.includes(name))
  if (unknown !== undefined) fail(`unknown option "context.${unknown}" (known: ${CONTEXT.join(", ")})`)
  const { text, messages, summary } = context as ContextOptions
  if (text !== undefined && typeof text !== "string") fail(`context.text must be a text, is ${typeof text}`)
  if (messages !== undefined && !Array.isArray(messages)) fail(`context.messages must be a list of messages`)
  if (summary !== undefined && typeof summary !== "boolean" && !Array.isArray(summary)) {
    fail(`context.summary must be true or a list of messages, is ${typeof summary}`)
  }
}

function checkDeadline(deadlineMs: number | undefined, fail: Fail): number {
  const ms = deadlineMs ?? HOUR_MS
  if (typeof ms === "number" && ms > 0 && ms <= WAIT_MS_MAX) return ms
  return fail(`deadlineMs must be a number of milliseconds > 0, is ${String(deadlineMs)}`)
}
