import { MurmurError } from "../errors.js"
import { isLoopback } from "./guard.js"
import type { RateLimit } from "./rate-limit.js"

/** Options of {@link startHttp}. */
export interface HttpOptions {
  /** 0 picks a free one. */
  readonly port: number
  /** Default `127.0.0.1`. Any address that is not a loopback one needs a token. */
  readonly host?: string | undefined
  /** Bearer token that `POST /events` asks for. */
  readonly token?: string | undefined
  /** How much is let in, for events and webhooks each; more is answered 429. Default 2,000 a second, 4,000 at once. */
  readonly rateLimit?: RateLimit | undefined
  /** Largest body of `POST /events`, in bytes. Default 1 MiB. Webhooks have their own. */
  readonly bodyBytesMax?: number | undefined
  /** How long a request may take to be stored before it is answered 503. Default 9,000 ms: webhook senders give up at 10 s. */
  readonly answerTimeoutMs?: number | undefined
  /** How long a client may take to send its headers. Default 10,000 ms. */
  readonly headersTimeoutMs?: number | undefined
  /** How long a client may take to send a whole request. Default 30,000 ms. */
  readonly requestTimeoutMs?: number | undefined
  /** Connections at a time; further ones are dropped. Default 1,024. */
  readonly connectionsMax?: number | undefined
}

/** Options with all their defaults. */
export interface CheckedHttpOptions {
  readonly port: number
  readonly host: string
  readonly token: string | undefined
  readonly rateLimit: RateLimit
  readonly bodyBytesMax: number
  readonly answerTimeoutMs: number
  readonly headersTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly connectionsMax: number
}

const DEFAULTS = {
  host: "127.0.0.1",
  rateLimit: { perSecond: 2_000 },
  bodyBytesMax: 1024 * 1024,
  answerTimeoutMs: 9_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  connectionsMax: 1_024,
}
const KNOWN = ["port", "token", ...Object.keys(DEFAULTS)]

/** @throws MurmurError `HTTP_OPTION`, or `HTTP_PUBLIC_WITHOUT_TOKEN` for a public address that anyone could publish to */
export function checkHttpOptions(options: HttpOptions): CheckedHttpOptions {
  for (const name of Object.keys(options)) {
    if (!KNOWN.includes(name)) throw wrong(`unknown option "${name}" (known: ${KNOWN.join(", ")})`)
  }
  const checked = { ...DEFAULTS, token: undefined, ...defined(options) } as CheckedHttpOptions
  integer("port", checked.port, 0, 65_535)
  for (const name of [
    "bodyBytesMax",
    "answerTimeoutMs",
    "headersTimeoutMs",
    "requestTimeoutMs",
    "connectionsMax",
  ] as const) {
    integer(name, checked[name], 1, 2 ** 31 - 1)
  }
  checkRate(checked.rateLimit)
  if (checked.host === "") throw wrong("host must not be empty")
  if (checked.token === "") throw wrong("token must not be empty; leave it out to need none")
  if (checked.token === undefined && !isLoopback(checked.host)) {
    throw new MurmurError(
      `Cannot serve HTTP on "${checked.host}" without a token: anyone who reaches it could publish. Set MURMUR_TOKEN, or use 127.0.0.1`,
      { code: "HTTP_PUBLIC_WITHOUT_TOKEN", details: { host: checked.host } },
    )
  }
  return checked
}

function checkRate(rate: RateLimit): void {
  for (const name of Object.keys(rate)) {
    if (name !== "perSecond" && name !== "burst") throw wrong(`unknown option "rateLimit.${name}"`)
  }
  if (!(rate.perSecond > 0)) throw wrong(`rateLimit.perSecond must be > 0, is ${rate.perSecond}`)
  if (rate.burst !== undefined && !(rate.burst >= 1)) throw wrong(`rateLimit.burst must be >= 1, is ${rate.burst}`)
}

function integer(name: string, value: unknown, min: number, max: number): void {
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return
  throw wrong(`${name} must be an integer from ${min} to ${max}, is ${String(value)}`)
}

const defined = (options: HttpOptions): Partial<HttpOptions> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))

const wrong = (message: string): MurmurError =>
  new MurmurError(`Cannot serve HTTP: ${message}`, { code: "HTTP_OPTION" })
