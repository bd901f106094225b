import { STATUS_CODES } from "node:http"
import { isMurmurError, MurmurError } from "../errors.js"

/** A request that is answered with an error. The message is for the caller: it tells nothing of the inside. */
export class HttpProblem extends MurmurError {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Further members of the answer. */
  readonly members: Readonly<Record<string, unknown>>

  constructor(
    status: number,
    code: string,
    detail: string,
    more: { headers?: Record<string, string>; members?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(detail, { code, cause: more.cause })
    this.status = status
    this.headers = more.headers ?? {}
    this.members = more.members ?? {}
  }
}

const LATER_S = 2
const FULL_S = 30

/** Refusals of the bus that pass, what to tell the caller, and when to come back. */
const PASSING: Readonly<Record<string, { detail: string; retryAfterS: number }>> = {
  BUS_UNAVAILABLE: { detail: "The bus cannot be reached at the moment", retryAfterS: LATER_S },
  BUS_CLOSED: { detail: "This node is stopping", retryAfterS: LATER_S },
  PUBLISH_OVERLOAD: { detail: "Too many events wait to be stored", retryAfterS: LATER_S },
  PUBLISH_REFUSED: { detail: "The bus did not store the event", retryAfterS: LATER_S },
  STREAM_FULL: { detail: "The stream of events is full", retryAfterS: FULL_S },
}
const SAME_ID = "Nothing was acknowledged; send the same id again, it is stored once"

const NO_RIGHT = 'This node has no right to publish such events. Its operator gives it with "murmur auth add-node"'

const STATUS: Readonly<Record<string, number>> = { EVENT_TOO_LARGE: 413, NAME_INVALID: 422, KEY_TOKEN: 422 }

/** Whatever a handler threw as the answer to give: the one place where errors become statuses. */
export function problemOf(error: unknown): HttpProblem {
  if (error instanceof HttpProblem) return error
  if (isTooDeep(error)) return new HttpProblem(422, "EVENT_DATA", "The data is nested too deeply", { cause: error })
  if (!isMurmurError(error)) return internal(error)
  const passing = PASSING[error.code]
  if (passing !== undefined) {
    return new HttpProblem(503, error.code, `${passing.detail}. ${SAME_ID}`, {
      headers: { "retry-after": String(passing.retryAfterS) },
      cause: error,
    })
  }
  if (error.code === "PUBLISH_DENIED") return new HttpProblem(403, error.code, NO_RIGHT, { cause: error })
  const status = STATUS[error.code] ?? (error.code.startsWith("EVENT_") ? 422 : undefined)
  if (status === undefined) return internal(error)
  const issues = error.details?.issues
  return new HttpProblem(status, error.code, error.message, {
    members: issues === undefined ? {} : { issues },
    cause: error,
  })
}

/** The stack overflow of a recursive reader over hostile JSON. */
const isTooDeep = (error: unknown): boolean => error instanceof RangeError && error.message.includes("call stack")

const internal = (cause: unknown): HttpProblem =>
  new HttpProblem(500, "INTERNAL", "The request could not be handled; the node's log says why", { cause })

/** The answer in RFC 9457 form, with our `code` beside the standard members. */
export function problemResponse(problem: HttpProblem): Response {
  const body = {
    title: STATUS_CODES[problem.status] ?? "Error",
    status: problem.status,
    detail: problem.message,
    code: problem.code,
    ...problem.members,
  }
  return new Response(JSON.stringify(body), {
    status: problem.status,
    headers: { "content-type": "application/problem+json", ...problem.headers },
  })
}
