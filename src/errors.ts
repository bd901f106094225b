/** Brands every error of ours, so that two loaded copies of murmur recognise each other's errors. */
const BRAND = Symbol.for("murmur.error")

/** Options that every {@link MurmurError} takes. */
export interface MurmurErrorOptions {
  /** Stable, machine-readable name of what went wrong, such as `SERVER_TOO_OLD`. Never changes between versions. */
  code: string
  /** The error underneath, kept for logs and dead letters. */
  cause?: unknown
  /** Facts about the failure that a program may want: issues of a schema, both versions, a path. Plain JSON. */
  details?: Record<string, unknown>
}

/**
 * The one error class of murmur. The message says what was attempted, what was wanted and what was found;
 * `code` is what programs look at.
 *
 * @example
 * throw new MurmurError('Cannot create agent "triage": concurrency must be >= 1, is 0', { code: "AGENT_OPTION" })
 */
export class MurmurError extends Error {
  readonly code: string
  readonly details: Record<string, unknown> | undefined

  constructor(message: string, options: MurmurErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = options.code
    this.details = options.details
    Object.defineProperty(this, BRAND, { value: true })
  }
}

/**
 * Throw it in a handler when trying again may help and you know when: the step waits in its mailbox and runs again.
 * Any error that is not a {@link TerminalError} is retried too; this one lets you choose the delay.
 */
export class RetryableError extends MurmurError {
  /** How long to wait before the next attempt, in milliseconds. Without it the agent's own delays apply. */
  readonly retryAfterMs: number | undefined

  constructor(message: string, options: MurmurErrorOptions & { retryAfterMs?: number }) {
    super(message, options)
    this.retryAfterMs = options.retryAfterMs
  }
}

/** Throw it in a handler when trying again cannot help: the event goes to the dead letters at once. */
export class TerminalError extends MurmurError {}

/** Whether `error` is one of ours (also across two loaded copies of murmur). */
export function isMurmurError(error: unknown): error is MurmurError {
  return error instanceof Error && BRAND in error
}

/** Makes an `Error` of whatever was thrown: the one funnel from `unknown`. */
export function ensureError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown
  return new MurmurError(`Something that is not an Error was thrown: ${String(thrown)}`, {
    code: "THROWN_VALUE",
    cause: thrown,
  })
}

/** The stable code of an error: ours as declared, Node's own (`ECONNREFUSED`), else `ERROR`. */
export function errorCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === "string" ? code : "ERROR"
}
