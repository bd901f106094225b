import { z } from "zod"
import { ApiKey, BaseUrl, checkOptions, HeaderValues, TimerMs } from "../http/gateway-options.js"

/** How Anthropic is reached. Unknown options are errors. */
export const AnthropicOptions = z.strictObject({
  /** Default: the environment's `ANTHROPIC_API_KEY`. */
  apiKey: ApiKey.optional(),
  /** Default: the environment's `ANTHROPIC_BASE_URL`, else Anthropic itself. */
  baseURL: BaseUrl.optional(),
  /** Sent with every request. */
  headers: HeaderValues.default({}),
  /** How long an answer that has begun may stop coming, in milliseconds. Default 30_000. */
  idleTimeoutMs: TimerMs.optional(),
})
export type AnthropicOptions = z.input<typeof AnthropicOptions>

/** What a gateway to Anthropic works with: options and environment, settled. */
export interface AnthropicSettings {
  readonly apiKey: string | undefined
  /** Without a slash at its end. */
  readonly baseURL: string
  readonly headers: Readonly<Record<string, string>>
  readonly idleTimeoutMs: number | undefined
}

const BASE_URL = "https://api.anthropic.com"
const Environment = z.object({ ANTHROPIC_API_KEY: ApiKey.optional(), ANTHROPIC_BASE_URL: BaseUrl.optional() })

/**
 * Joins options and environment, which is looked at only where the options say nothing.
 *
 * @throws TerminalError `LLM_OPTION` for an option that is none, a key that is no key, an address that is no address
 */
export function settle(given: AnthropicOptions, env: NodeJS.ProcessEnv): AnthropicSettings {
  const { apiKey, baseURL, headers, idleTimeoutMs } = checkOptions("anthropic", AnthropicOptions, given)
  const { ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL } = checkOptions("anthropic", Environment, {
    ...(apiKey === undefined && { ANTHROPIC_API_KEY: env.ANTHROPIC_API_KEY?.trim() || undefined }),
    ...(baseURL === undefined && { ANTHROPIC_BASE_URL: env.ANTHROPIC_BASE_URL?.trim() || undefined }),
  })
  return {
    apiKey: apiKey ?? ANTHROPIC_API_KEY,
    baseURL: (baseURL ?? ANTHROPIC_BASE_URL ?? BASE_URL).replace(/\/+$/, ""),
    ...{ headers, idleTimeoutMs },
  }
}
