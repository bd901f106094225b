import { MurmurError } from "../../../errors.js"
import { TURNS_MAX } from "./conversation.js"

/** How the room of a call is shared out. Parts of 1, together at most 1. */
export interface HistoryShares {
  /** The rendered instructions. Never cut. */
  readonly instructions: number
  /** The notes on what came before the turns. */
  readonly summary: number
  /** What was said in earlier steps. */
  readonly turns: number
  /** The event. Never cut. */
  readonly event: number
  /** What tools are told of, and what they return in this step. */
  readonly tools: number
  /** The answer. */
  readonly answer: number
}

/** How much of its conversation a session remembers, and how much of that goes into a call. */
export interface HistoryOptions {
  /** How many tokens a call may take in all, its answer included. Default: the model's window, at most 32_768. */
  readonly tokens?: number
  /** Those that are not given share what is left, in the proportion of the defaults. */
  readonly shares?: Partial<HistoryShares>
  /** How many turns are kept as they were, if they fit. From 1 to 400. Default 50. */
  readonly keepTurns?: number
  /**
   * Whether a model notes what is worth knowing of turns that are taken out; the agent's own, or another. `false`: they
   * are forgotten. Default `true`.
   */
  readonly summarise?: boolean | { readonly model?: string | readonly string[] }
}

/** {@link HistoryOptions}, checked. */
export interface CheckedHistory {
  readonly tokens: number | undefined
  readonly shares: HistoryShares
  readonly keepTurns: number
  readonly summarise: { readonly model: string | readonly string[] | undefined } | undefined
}

const KNOWN = ["tokens", "shares", "keepTurns", "summarise"]
export const DEFAULT_SHARES: HistoryShares = {
  instructions: 0.15,
  summary: 0.05,
  turns: 0.3,
  event: 0.2,
  tools: 0.15,
  answer: 0.15,
}
const PARTS = Object.keys(DEFAULT_SHARES) as (keyof HistoryShares)[]
const TOKENS_MIN = 2_048

/** @throws MurmurError `AGENT_OPTION` */
export function checkHistory(agent: string, given: unknown): CheckedHistory {
  const fail = (why: string): never => {
    throw new MurmurError(`Cannot create agent "${agent}": ${why}`, { code: "AGENT_OPTION", details: { agent } })
  }
  if (!isObject(given)) return fail(`history must be an object, is ${given === null ? "null" : typeof given}`)
  const unknown = Object.keys(given).find((name) => !KNOWN.includes(name))
  if (unknown !== undefined) fail(`unknown option "history.${unknown}" (known: ${KNOWN.join(", ")})`)
  const { tokens, shares = {}, keepTurns = 50, summarise = true } = given
  if (tokens !== undefined && !(Number.isSafeInteger(tokens) && Number(tokens) >= TOKENS_MIN)) {
    fail(`history.tokens must be an integer >= ${TOKENS_MIN}, is ${String(tokens)}`)
  }
  const turns = Number(keepTurns)
  if (typeof keepTurns !== "number" || !Number.isSafeInteger(turns) || turns < 1 || turns > TURNS_MAX) {
    fail(`history.keepTurns must be an integer from 1 to ${TURNS_MAX}, is ${String(keepTurns)}`)
  }
  return {
    tokens: tokens as number | undefined,
    shares: checkShares(shares, fail),
    keepTurns: turns,
    summarise: checkSummarise(summarise, fail),
  }
}

function checkShares(given: unknown, fail: (why: string) => never): HistoryShares {
  if (!isObject(given)) return fail(`history.shares must be an object, is ${String(given)}`)
  let taken = 0
  let open = 1
  for (const [part, share] of Object.entries(given)) {
    if (!(PARTS as string[]).includes(part)) {
      fail(`unknown option "history.shares.${part}" (known: ${PARTS.join(", ")})`)
    }
    if (typeof share !== "number" || !(share >= 0 && share <= 1)) {
      fail(`history.shares.${part} must be a number from 0 to 1, is ${String(share)}`)
    }
    taken += Number(share)
    open -= DEFAULT_SHARES[part as keyof HistoryShares]
  }
  if (taken > 1 + 1e-9) fail(`history.shares must be at most 1 together, are ${taken}`)
  const scale = open > 1e-9 ? Math.max(0, 1 - taken) / open : 0
  return Object.fromEntries(
    PARTS.map((part) => [part, part in given ? given[part] : DEFAULT_SHARES[part] * scale]),
  ) as unknown as HistoryShares
}

function checkSummarise(given: unknown, fail: (why: string) => never): CheckedHistory["summarise"] {
  if (typeof given === "boolean") return given ? { model: undefined } : undefined
  if (!isObject(given)) {
    return fail(`history.summarise must be true, false or an object with a "model", is ${String(given)}`)
  }
  const unknown = Object.keys(given).find((name) => name !== "model")
  if (unknown !== undefined) fail(`unknown option "history.summarise.${unknown}" (known: model)`)
  const { model } = given
  const names = model === undefined || typeof model === "string" ? [model ?? "default"] : model
  if (!Array.isArray(names) || names.length === 0 || !names.every((name) => typeof name === "string" && name !== "")) {
    fail(`history.summarise.model must be the name of a model or a list of names, is ${JSON.stringify(model)}`)
  }
  return { model: model as string | readonly string[] | undefined }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
