import { isLlmError } from "../errors.js"
import { costOf, mostOf } from "../models/cost.js"
import type { KnownModel } from "../models/known-model.js"
import type { Estimate, Spent } from "./broker.js"
import type { Work } from "./work.js"

/** How long an answer is taken to be at most where the request does not say, in tokens. */
const OUTPUT_TOKENS_DEFAULT = 4_096

/** Codes of errors that are raised before anything was sent. */
const NOT_SENT = new Set(["LLM_UNSUPPORTED", "LLM_OPTION", "LLM_GATEWAY"])
/** What a socket says when it never got there. */
const UNREACHED =
  "ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|UND_ERR_CONNECT_TIMEOUT|ERR_TLS_[A-Z_]+|CERT_[A-Z_]+"
const UNREACHED_CODE = new RegExp(`^(${UNREACHED})$`)
/** Gateways keep no cause that may have a key in it; they begin the reason with the code. */
const UNREACHED_MESSAGE = new RegExp(`^Cannot ask model "[^"]*": (${UNREACHED})\\b`)
/** Statuses by which a provider says that it has not begun. */
const REFUSED = new Set([503, 529])
const CAUSES_MAX = 6

/** The most that a request may come to. */
export function estimateOf<T>(model: KnownModel, work: Work<T>): Estimate {
  return mostOf(model, work.inputTokens(), work.maxTokens ?? OUTPUT_TOKENS_DEFAULT)
}

/** What an answer has come to. */
export function spentOn<T>(model: KnownModel, work: Work<T>, answer: T): Spent {
  const usage = work.usage(answer)
  return { tokens: usage.inputTokens + usage.outputTokens, costMicroUsd: costOf(model, usage) }
}

/**
 * What a request that failed can have come to: nothing where the provider refused it or was never reached. Otherwise it
 * may have answered, and have charged for it, and only its answer was lost.
 */
export function spentInVain(error: unknown): "nothing" | "unknown" {
  if (!isLlmError(error)) return "unknown"
  const status = error.details?.status
  if (typeof status === "number")
    return (status >= 400 && status < 500 && status !== 408) || REFUSED.has(status) ? "nothing" : "unknown"
  if (NOT_SENT.has(error.code)) return "nothing"
  if (error.code === "LLM_BUSY" || error.code === "LLM_KEY") return "nothing"
  return UNREACHED_MESSAGE.test(error.message) || wasUnreached(error) ? "nothing" : "unknown"
}

function wasUnreached(error: unknown): boolean {
  let at: unknown = error
  for (let depth = 0; depth < CAUSES_MAX && at instanceof Error; depth++) {
    const { code } = at as { code?: unknown }
    if (typeof code === "string" && UNREACHED_CODE.test(code)) return true
    at = at.cause
  }
  return false
}
