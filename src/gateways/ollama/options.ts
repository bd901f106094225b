import { z } from "zod"
import { checkOptions, HeaderValues, ProviderName, TimerMs } from "../http/gateway-options.js"
import type { ImagesFrom } from "../messages/fetch-image.js"
import { ollamaAddress } from "./address.js"

/** How a gateway to Ollama is made. */
export const OllamaOptions = z.strictObject({
  /** Where the server is: `host`, `host:port` or a URL. Default `OLLAMA_HOST`, else `http://127.0.0.1:11434`. */
  host: z.string().min(1).optional(),
  /** Sent with each request, for a server behind a proxy that wants to know who asks. */
  headers: HeaderValues.default({}),
  /**
   * How long the server keeps a model in memory after a request: a duration (`"10m"`), or seconds; below 0 for ever, 0 not
   * at all. Default: the server's, 5 minutes.
   */
  keepAlive: z.union([z.string().regex(/^-?(\d+(\.\d+)?(ns|us|ms|s|m|h))+$|^-1$|^0$/), z.number()]).optional(),
  /** The first part of its models' names. Default `ollama`; give another name to a second server. */
  provider: ProviderName.default("ollama"),
  /** How long an answer that has begun may stop coming, in milliseconds. Default 30_000. */
  idleTimeoutMs: TimerMs.optional(),
  /**
   * From where images with an address are fetched: Ollama takes only bytes. `public` leaves out one's own machine and
   * private networks, since an address may have come with an event. Default `public`.
   */
  imagesFrom: z.enum(["public", "anywhere"]).default("public"),
})
export type OllamaOptions = z.input<typeof OllamaOptions>

/** What a gateway to Ollama works with: options and environment, settled. */
export interface OllamaSettings {
  readonly provider: string
  /** Without a slash at its end. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly keepAlive: string | number | undefined
  readonly idleTimeoutMs: number | undefined
  readonly imagesFrom: ImagesFrom
  /** What nobody is to see, besides what stands in the headers. */
  readonly secrets: readonly string[]
}

const HOST = "http://127.0.0.1:11434"

/**
 * Joins options and environment, which is looked at only where the options say nothing.
 *
 * @throws TerminalError `LLM_OPTION` for an option that is none, or an address that is no address
 */
export function settle(given: OllamaOptions, env: NodeJS.ProcessEnv): OllamaSettings {
  const { host, headers, keepAlive, idleTimeoutMs, ...rest } = checkOptions("ollama", OllamaOptions, given)
  const { url, authorization, secrets } = ollamaAddress(host ?? (env.OLLAMA_HOST?.trim() || HOST))
  // Of Ollama's own servers the library takes the key from the environment.
  const key = env.OLLAMA_API_KEY
  return {
    ...{ ...rest, url, keepAlive, idleTimeoutMs },
    headers: { ...(authorization !== undefined && { authorization }), ...headers },
    secrets: [...secrets, ...(key === undefined ? [] : [key])],
  }
}
