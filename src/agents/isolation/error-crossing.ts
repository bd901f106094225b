import { ensureError, isMurmurError, MurmurError, RetryableError, TerminalError } from "../../errors.js"

/** An error on its way between a node and a worker. */
export interface EncodedError {
  /** The class that decides what happens next. */
  readonly kind: "terminal" | "retryable" | "murmur" | "error"
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  readonly code: string | undefined
  readonly details: Record<string, unknown> | undefined
  readonly retryAfterMs: number | undefined
  readonly cause: EncodedError | undefined
  /** Names the object on the side that it came from: when it comes home, it is that object again. */
  readonly ref: string | undefined
}

const CAUSES_MAX = 5
const TEXT_CHARS_MAX = 64 * 1024

/**
 * Carries errors of one step over: class, code, message, stack, details and causes. An error that comes back to where
 * it was thrown is the same object again, so a class of the user's own survives the way there and back.
 */
export class ErrorCrossing {
  readonly #own = new Map<string, Error>()
  readonly #refs = new WeakMap<Error, string>()

  /** @param side tells the two ends of a crossing apart */
  constructor(private readonly side: "node" | "worker") {}

  encode(thrown: unknown): EncodedError {
    const error = ensureError(thrown)
    return { ...encodeError(error), ref: this.#refOf(error) }
  }

  decode(encoded: EncodedError): Error {
    const { ref } = encoded
    const own = ref === undefined ? undefined : this.#own.get(ref)
    if (own !== undefined) return own
    const error = decodeError(encoded)
    if (ref !== undefined) this.#refs.set(error, ref)
    return error
  }

  #refOf(error: Error): string {
    const known = this.#refs.get(error)
    if (known !== undefined) return known
    const ref = `${this.side} ${this.#own.size}`
    this.#own.set(ref, error)
    this.#refs.set(error, ref)
    return ref
  }
}

/** Everything of an error that a structured clone can carry. */
export function encodeError(thrown: unknown, causes = CAUSES_MAX): EncodedError {
  const error = ensureError(thrown) as Error & { code?: unknown; details?: unknown; retryAfterMs?: unknown }
  return {
    kind: kindOf(error),
    name: String(error.name),
    message: String(error.message).slice(0, TEXT_CHARS_MAX),
    stack: typeof error.stack === "string" ? error.stack.slice(0, TEXT_CHARS_MAX) : undefined,
    code: typeof error.code === "string" ? error.code : undefined,
    details: plainDetails(error.details),
    retryAfterMs: typeof error.retryAfterMs === "number" ? error.retryAfterMs : undefined,
    cause: error.cause === undefined || causes === 0 ? undefined : encodeError(error.cause, causes - 1),
    ref: undefined,
  }
}

/** The error again, of a class of ours where it was of one. */
export function decodeError(encoded: EncodedError): Error {
  const error = revive(encoded, encoded.cause === undefined ? undefined : decodeError(encoded.cause))
  for (const name of ["name", "stack"] as const) {
    const value = encoded[name]
    if (value !== undefined && error[name] !== value) {
      Object.defineProperty(error, name, { value, configurable: true, writable: true })
    }
  }
  return error
}

function revive({ kind, message, code, details, retryAfterMs }: EncodedError, cause: Error | undefined): Error {
  const options = { code: code ?? "ERROR", ...(details && { details }), ...(cause && { cause }) }
  switch (kind) {
    case "terminal":
      return new TerminalError(message, options)
    case "retryable":
      return new RetryableError(message, { ...options, ...(retryAfterMs !== undefined && { retryAfterMs }) })
    case "murmur":
      return new MurmurError(message, options)
    case "error": {
      const error = new Error(message, cause && { cause })
      return code === undefined ? error : Object.assign(error, { code })
    }
  }
}

/** By the names of its classes: an agent may have a copy of murmur of its own. */
function kindOf(error: Error): EncodedError["kind"] {
  if (!isMurmurError(error)) return "error"
  for (let link = Object.getPrototypeOf(error); link !== null; link = Object.getPrototypeOf(link)) {
    if (link.constructor?.name === "TerminalError") return "terminal"
    if (link.constructor?.name === "RetryableError") return "retryable"
  }
  return "murmur"
}

function plainDetails(details: unknown): Record<string, unknown> | undefined {
  if (typeof details !== "object" || details === null) return undefined
  try {
    return JSON.parse(JSON.stringify(details))
  } catch {
    return undefined // not the plain JSON that it is to be
  }
}
