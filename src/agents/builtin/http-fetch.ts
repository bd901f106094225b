import { validateHeaderName, validateHeaderValue } from "node:http"
import { z } from "zod"
import { ensureError, errorCode, isMurmurError, MurmurError, RetryableError } from "../../errors.js"
import { defineTool } from "../tools/define-tool.js"
import type { Tool, ToolContext, ToolEffect } from "../tools/tool.js"
import { textOf } from "./body-text.js"
import { fetchOnce, type Reply } from "./fetch-once.js"
import { FetchRules } from "./fetch-rules.js"
import { internet, type Network } from "./network.js"
import {
  type BuiltinOptions,
  checkCount,
  checkKnown,
  checkRecord,
  checkTexts,
  common,
  refused,
  wrong,
} from "./options.js"

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] as const
type Method = (typeof METHODS)[number]

/** Options of {@link httpFetch}. */
export interface HttpFetchOptions<Name extends string = string> extends BuiltinOptions<Name> {
  /** Whom it may ask: `api.github.com`, `*.example.com` (its subdomains), `example.com:8443`. */
  readonly allow: readonly string[]
  /** How it may ask. Default GET and HEAD. */
  readonly methods?: readonly Method[]
  /** How much of an answer is read, in bytes. Default 1 MiB. */
  readonly maxBytes?: number
  /** Sent with each request, to every host of `allow`; never on to where an answer redirects. */
  readonly headers?: Readonly<Record<string, string>>
  /** How many redirects are followed, each checked like the first address. Default 5. */
  readonly redirectsMax?: number
  /**
   * What a request does to the other side. Default `read` for GET and HEAD, else `irreversible`. With `idempotent` the
   * call's key is sent as `Idempotency-Key`.
   */
  readonly effect?: Exclude<ToolEffect, "reconcile">
  /** Whether what it returns must not leave. Default false. */
  readonly private?: boolean
  /** Whether outsiders write what it returns. Default true. */
  readonly untrusted?: boolean
}

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

const Input = z.object({
  url: z.string().max(8_192).describe("http or https"),
  method: z.enum(METHODS).optional(),
  body: z.string().optional(),
  contentType: z.string().max(200).optional().describe("Of the body. Default application/json"),
})
type Input = z.input<typeof Input>

const OWN = ["allow", "methods", "maxBytes", "headers", "redirectsMax", "effect", "private", "untrusted"]
const MIB = 1024 ** 2
const OURS = ["host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "expect"]

/**
 * A tool that asks hosts of an allow-list over HTTP. It reaches no private, loopback, link-local or metadata address,
 * whatever a name resolves to at the moment of the connection and wherever an answer redirects.
 *
 * @throws MurmurError `TOOL_OPTION`
 * @example
 * const readPage = httpFetch({ allow: ["api.github.com", "*.example.com"] })
 */
export function httpFetch<const Name extends string = "httpFetch">(
  options: HttpFetchOptions<Name>,
): Tool<NoInfer<Name>, Input, HttpReply> {
  return httpFetchOver(internet, options)
}

/** {@link httpFetch} over another network: for tests. */
export function httpFetchOver<const Name extends string = "httpFetch">(
  network: Network,
  options: HttpFetchOptions<Name>,
): Tool<NoInfer<Name>, Input, HttpReply> {
  checkKnown("httpFetch", options, OWN)
  const { name = "httpFetch" as Name, allow } = options
  const rules = new FetchRules(name, checkTexts(name, "allow", allow, "hosts"))
  const methods = methodsOf(name, options.methods)
  const headers = headersOf(name, options.headers)
  const bounds = {
    maxBytes: checkCount(name, "maxBytes", options.maxBytes ?? MIB, 1, 64 * MIB),
    redirectsMax: checkCount(name, "redirectsMax", options.redirectsMax ?? 5, 0, 20),
  }
  const reads = methods.every((method) => method === "GET" || method === "HEAD")
  const effect = options.effect ?? (reads ? "read" : "irreversible")
  const fetcher = new Fetcher({ name, rules, headers, effect, network, ...bounds })
  return defineTool({
    name,
    description: options.description ?? `Asks over HTTP: ${methods.join(", ")}. Allowed hosts: ${allow.join(", ")}`,
    input: (reads ? Input.omit({ body: true, contentType: true }) : Input).extend({
      method: z.enum(methods).optional().describe(`Default ${methods[0]}`),
    }) as unknown as typeof Input,
    effect,
    egress: true,
    untrusted: options.untrusted ?? true,
    private: options.private ?? false,
    ...common(options),
    run: ({ method = methods[0], ...asked }, ctx) => fetcher.fetch({ ...asked, method }, ctx),
  })
}

/** What all calls of one tool have in common. */
interface FetcherParts {
  readonly name: string
  readonly rules: FetchRules
  readonly headers: Readonly<Record<string, string>>
  readonly effect: ToolEffect
  readonly network: Network
  readonly maxBytes: number
  readonly redirectsMax: number
}

const REDIRECTS = [301, 302, 303, 307, 308]

class Fetcher {
  constructor(private readonly parts: FetcherParts) {}

  async fetch(asked: z.output<typeof Input> & { method: Method }, ctx: ToolContext): Promise<HttpReply> {
    const { name, rules, redirectsMax } = this.parts
    let { method, body } = asked
    let url = rules.check(asked.url)
    const { origin } = url
    for (let redirects = 0; ; redirects++) {
      const own = url.origin === origin ? this.#headers(asked, body, ctx) : {}
      const reply = await this.#once(url, method, own, body, ctx.signal)
      const { location } = reply.headers
      if (!REDIRECTS.includes(reply.status) || location === undefined) return shown(url, reply)
      if (redirects >= redirectsMax) throw refused(name, `it was redirected more than ${redirectsMax} times`)
      url = rules.check(location, url)
      if (reply.status === 303 || (reply.status < 303 && method === "POST")) {
        if (method !== "HEAD") method = "GET"
        body = undefined
      }
      if (body !== undefined && url.origin !== origin) {
        throw refused(name, `it was redirected to "${url.host}", and what it sends was for another host`)
      }
    }
  }

  async #once(url: URL, method: Method, own: Record<string, string>, body: string | undefined, signal: AbortSignal) {
    const { name: tool, network, maxBytes } = this.parts
    const headers = { accept: "*/*", "accept-encoding": "identity", "user-agent": "murmur", ...own }
    try {
      return await fetchOnce({ tool, url, method, headers, body, signal, maxBytes, network })
    } catch (error) {
      throw isMurmurError(error) || signal.aborted ? error : failed(tool, url, error)
    }
  }

  #headers(asked: z.output<typeof Input>, body: string | undefined, ctx: ToolContext): Record<string, string> {
    const { headers, effect } = this.parts
    return {
      ...(body !== undefined && { "content-type": asked.contentType ?? "application/json" }),
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

function methodsOf(tool: string, given: HttpFetchOptions["methods"]): [Method, ...Method[]] {
  const methods = checkTexts(tool, "methods", given ?? ["GET", "HEAD"], "methods")
  const unknown = methods.find((method) => !METHODS.includes(method as Method))
  if (unknown !== undefined) wrong(tool, `methods takes ${METHODS.join(", ")}, not ${JSON.stringify(unknown)}`)
  return [...new Set(methods)] as [Method, ...Method[]]
}

function headersOf(tool: string, given: HttpFetchOptions["headers"]): Readonly<Record<string, string>> {
  const headers = Object.entries(checkRecord(tool, "headers", given ?? {})).map(([name, value]) => {
    if (OURS.includes(name.toLowerCase())) wrong(tool, `headers may not hold "${name}"`)
    try {
      validateHeaderName(name)
      validateHeaderValue(name, value)
    } catch {
      wrong(tool, `headers holds ${JSON.stringify(name)}, which or whose value is none of HTTP`)
    }
    return [name.toLowerCase(), value] as const
  })
  return Object.fromEntries(headers)
}
