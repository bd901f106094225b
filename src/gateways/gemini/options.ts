import { z } from "zod"
import { ApiKey, BaseUrl, checkOptions, HeaderValues, TimerMs } from "../http/gateway-options.js"
import type { ImagesFrom } from "../messages/fetch-image.js"

/** How Gemini is reached. Unknown options are errors. */
export const GeminiOptions = z.strictObject({
  /** Default: the environment's `GOOGLE_API_KEY`, else `GEMINI_API_KEY`: the SDK's own order. */
  apiKey: ApiKey.optional(),
  /** Default: the environment's `GOOGLE_GEMINI_BASE_URL`, else Google itself. */
  baseURL: BaseUrl.optional(),
  /** Sent with every request. */
  headers: HeaderValues.default({}),
  /** How long an answer that has begun may stop coming, in milliseconds. Default 30_000. */
  idleTimeoutMs: TimerMs.optional(),
  /**
   * From where images with an address are fetched: Gemini takes only bytes. `public` leaves out one's own machine and
   * private networks, since an address may have come with an event. Default `public`.
   */
  imagesFrom: z.enum(["public", "anywhere"]).default("public"),
})
export type GeminiOptions = z.input<typeof GeminiOptions>

/** What a gateway to Gemini works with: options and environment, settled. */
export interface GeminiSettings {
  readonly apiKey: string | undefined
  /** Without a slash at its end. */
  readonly baseURL: string
  readonly headers: Readonly<Record<string, string>>
  readonly idleTimeoutMs: number | undefined
  readonly imagesFrom: ImagesFrom
}

const BASE_URL = "https://generativelanguage.googleapis.com"
const Environment = z.object({
  GOOGLE_API_KEY: ApiKey.optional(),
  GEMINI_API_KEY: ApiKey.optional(),
  GOOGLE_GEMINI_BASE_URL: BaseUrl.optional(),
})

/**
 * Joins options and environment, which is looked at only where the options say nothing.
 *
 * @throws TerminalError `LLM_OPTION` for an option that is none, a key that is no key, an address that is no address
 */
export function settle(given: GeminiOptions, env: NodeJS.ProcessEnv): GeminiSettings {
  const { apiKey, baseURL, ...rest } = checkOptions("gemini", GeminiOptions, given)
  const said = (name: keyof typeof Environment.shape) => ({ [name]: env[name]?.trim() || undefined })
  const { GOOGLE_API_KEY, GEMINI_API_KEY, GOOGLE_GEMINI_BASE_URL } = checkOptions("gemini", Environment, {
    ...(apiKey === undefined && { ...said("GOOGLE_API_KEY"), ...said("GEMINI_API_KEY") }),
    ...(baseURL === undefined && said("GOOGLE_GEMINI_BASE_URL")),
  })
  return {
    apiKey: apiKey ?? GOOGLE_API_KEY ?? GEMINI_API_KEY,
    baseURL: (baseURL ?? GOOGLE_GEMINI_BASE_URL ?? BASE_URL).replace(/\/+$/, ""),
    ...rest,
    idleTimeoutMs: rest.idleTimeoutMs,
  }
}
