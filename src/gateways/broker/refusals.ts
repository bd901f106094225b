import { RetryableError, TerminalError } from "../../errors.js"

/** What the broker itself says no with. */

/** The provider failed again and again, and is left alone for a while. */
export function circuitOpen(provider: string, retryAfterMs: number): RetryableError {
  return new RetryableError(
    `Cannot ask a model of "${provider}": it has failed again and again and is left alone for ${seconds(retryAfterMs)}. ` +
      "Name a second model to go on with, or look at what it answers",
    { code: "LLM_CIRCUIT_OPEN", retryAfterMs, details: { provider } },
  )
}

/** The provider said when to come back, which is later than this call can wait. */
export function heldOff(provider: string, retryAfterMs: number): RetryableError {
  return new RetryableError(
    `Cannot ask a model of "${provider}": it wants to be asked again in ${seconds(retryAfterMs)}, later than this call can wait`,
    { code: "LLM_BUSY", retryAfterMs, details: { provider } },
  )
}

export function queueFull(provider: string, waitingMax: number): RetryableError {
  return new RetryableError(
    `Cannot ask a model of "${provider}": ${waitingMax} calls wait for it already, which is the most that may`,
    { code: "LLM_QUEUE_FULL", details: { provider, waiting: waitingMax } },
  )
}

/** The caller's deadline has passed before the request was sent. */
export function deadlinePassed(provider: string): RetryableError {
  return new RetryableError(
    `Cannot ask a model of "${provider}": the call's deadline has passed while it waited for its turn`,
    {
      code: "LLM_TIMEOUT",
      details: { provider },
    },
  )
}

/** No answer in time. `afterMs` is the request's own time, or what the caller's deadline has left of it. */
export function timedOut(name: string, afterMs: number): RetryableError {
  return new RetryableError(`Cannot ask model "${name}": no answer within ${seconds(afterMs)}`, {
    code: "LLM_TIMEOUT",
    details: { model: name, timeoutMs: Math.round(afterMs) },
  })
}

/** An answer that has begun and comes no further. */
export function idle(name: string, idleMs: number): RetryableError {
  return new RetryableError(`Cannot ask model "${name}": its answer stopped for ${seconds(idleMs)}`, {
    code: "LLM_IDLE",
    details: { model: name, idleMs },
  })
}

/** A stream that ended without its last part. */
export function brokenOff(name: string): RetryableError {
  return new RetryableError(`Cannot read the answer of model "${name}": it ended before it was whole`, {
    code: "LLM_REPLY",
    details: { model: name },
  })
}

export function tooLarge(name: string, bytes: number, bytesMax: number, advice: string): TerminalError {
  return new TerminalError(
    `Cannot use the answer of model "${name}": it may have ${bytesMax} bytes of JSON, has ${bytes}. ${advice}`,
    { code: "LLM_REPLY_TOO_LARGE", details: { model: name, bytes, bytesMax } },
  )
}

export function unsupported(name: string, what: string, fact: string): TerminalError {
  return new TerminalError(
    `Cannot ask model "${name}": it is not known to ${what}. If it can, say so: models: { "${name}": { ${fact}: true } }`,
    { code: "LLM_UNSUPPORTED", details: { model: name, missing: fact } },
  )
}

/** The broker was closed. */
export function closed(): RetryableError {
  return new RetryableError("Cannot ask a model: the broker is closed", { code: "LLM_CLOSED" })
}

/** Of the request or of the broker's options. */
export function badOption(what: string, problem: string, details?: Record<string, unknown>): TerminalError {
  return new TerminalError(`Cannot ${what}: ${problem}`, { code: "LLM_OPTION", ...(details && { details }) })
}

interface Issue {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

/** What a schema found, in one line; `under` is what it looked at. */
export function issuesText(issues: readonly Issue[], ...under: readonly string[]): string {
  const lines = issues.map(({ path, message }) => {
    const where = [...under, ...path].map(String).join(".")
    return where === "" ? message : `${where}: ${message}`
  })
  return lines.join("; ")
}

const seconds = (ms: number): string => (ms < 1_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 100) / 10} s`)
