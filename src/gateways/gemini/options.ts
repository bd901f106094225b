import { z } from "zod"
import { BaseUrl, TimerMs } from "../http/gateway-options.js"

/** How Gemini is reached. Unknown options are errors. */
export const GeminiOptions = z.strictObject({
  /** Default: the environment's `GOOGLE_API_KEY`, else `GEMINI_API_KEY`: the SDK's own order. */
  apiKey: z.string().min(1).optional(),
  /** Default: the environment's `GOOGLE_GEMINI_BASE_URL`, else Google itself. */
  baseURL: BaseUrl.optional(),
  /** Sent with every request. */
  headers: z.record(z.string(), z.string()).default({}),
  /** How long an answer that has begun may stop coming, in milliseconds. Default 30_000. */
  idleTimeoutMs: TimerMs.optional(),
  /**
   * From where images with an address are fetched: Gemini takes only bytes. `public` leaves out one's own machine and
   * private networks, since an address may have come with an event. Default `public`.
   */
  imagesFrom: z.enum(["public", "anywhere"]).default("public"),
})
export type GeminiOptions = z.input<typeof GeminiOptions>
