import { ensureError, errorCode, isMurmurError, MurmurError, RetryableError } from "../../errors.js"
import type { ToolContext, ToolEffect } from "../tools/tool.js"
import { textOf } from "./body-text.js"
import { fetchOnce, type Reply } from "./fetch-once.js"
import type { FetchRules } from "./fetch-rules.js"
import type { Network } from "./network.js"
import { refused } from "./options.js"

/** What a request came to; also when the other side says that it failed. */
export interface HttpReply {
  readonly status: number
  /** Where it came from in the end. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  /** `base64` for what is no text. */
  readonly encoding: "utf8" | "base64"
  /** Whether the body goes on after what was read. */
  readonly truncated: boolean
}

/** One call. */
export interface Asked {
  readonly url: string
  readonly method: string
  readonly body?: string | undefined
  readonly contentType?: string | undefined
}

/** What all calls of one tool have in common. */
export interface FetcherParts {
  readonly name: string
  readonly rules: FetchRules
  readonly headers: Readonly<Record<string, string>>
  readonly effect: ToolEffect
  readonly network: Network
  readonly maxBytes: number
  readonly redirectsMax: number
}

const REDIRECTS = [301, 302, 303, 307, 308]
/** Of others a redirect is the answer: it was done, and an error on the way on would say that it was not. */
const SAFE = ["GET", "HEAD"]

/** Asks, and follows redirects: each step of the way is checked. */
export class Fetcher {
  constructor(private readonly parts: FetcherParts) {}

  async fetch(asked: Asked, ctx: ToolContext): Promise<HttpReply> {
    const { name, rules, redirectsMax } = this.parts
    const { method, body } = asked
    let url = rules.check(asked.url)
    const { origin } = url
    for (let redirects = 0; ; redirects++) {
      const own = url.origin === origin ? this.#headers(asked, ctx) : {}
      const reply = await this.#once(url, method, own, body, ctx.signal)
      const { location } = reply.headers
      const redirected = REDIRECTS.includes(reply.status) && location !== undefined
      if (!redirected || !SAFE.includes(method)) return shown(url, reply)
      if (redirects >= redirectsMax) throw refused(name, `it was redirected more than ${redirectsMax} times`)
      url = rules.check(location, url)
    }
  }

  async #once(url: URL, method: string, own: Record<string, string>, body: string | undefined, signal: AbortSignal) {
    const { name: tool, network, maxBytes } = this.parts
    const headers = { accept: "*/*", "accept-encoding": "identity", "user-agent": "murmur", ...own }
    try {
      return await fetchOnce({ tool, url, method, headers, body, signal, maxBytes, network })
    } catch (error) {
      throw isMurmurError(error) || signal.aborted ? error : failed(tool, url, error)
    }
  }

  #headers({ body, contentType }: Asked, ctx: ToolContext): Record<string, string> {
    const { headers, effect } = this.parts
    return {
      ...(body !== undefined && { "content-type": contentType ?? "application/json" }),
      ...(body !== undefined && { "content-length": String(Buffer.byteLength(body)) }),
      ...(effect === "idempotent" && { "idempotency-key": ctx.idempotencyKey }),
      ...headers,
    }
  }
}

/** What a model may make use of; cookies are not among it. */
const SHOWN = ["content-type", "content-length", "last-modified", "etag", "link", "location", "retry-after"]

function shown(url: URL, { status, headers, bytes, truncated }: Reply): HttpReply {
  const some = SHOWN.flatMap((name) => (headers[name] === undefined ? [] : [[name, String(headers[name])] as const]))
  const text = textOf(bytes, headers["content-type"], truncated)
  return { status, url: url.href, headers: Object.fromEntries(some), ...text, truncated }
}

/** Before there is a connection nothing was sent: that much is known of what failed. */
const NOTHING_SENT = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"]

function failed(tool: string, url: URL, error: unknown): MurmurError {
  const inner = error instanceof AggregateError ? error.errors[0] : error
  const code = errorCode(inner)
  const message = `Tool "${tool}" cannot ask ${url.host}: ${ensureError(inner).message}`
  const how = { code: "TOOL_FETCH", cause: error, details: { host: url.host, error: code } }
  return NOTHING_SENT.includes(code) ? new RetryableError(message, how) : new MurmurError(message, how)
}
