import { validateHeaderName, validateHeaderValue } from "node:http"
import { z } from "zod"
import { defineTool } from "../tools/define-tool.js"
import type { Tool, ToolEffect } from "../tools/tool.js"
import { FetchRules } from "./fetch-rules.js"
import { Fetcher, type HttpReply } from "./fetcher.js"
import { internet, type Network } from "./network.js"
import { type BuiltinOptions, checkCount, checkKnown, checkRecord, checkTexts, common, wrong } from "./options.js"

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
  /** How many redirects of GET and HEAD are followed, each checked like the first address. Default 5. */
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
