import { z } from "zod"
import { BaseUrl, TimerMs } from "../http/gateway-options.js"

/** How Anthropic is reached. Unknown options are errors. */
export const AnthropicOptions = z.strictObject({
  /** Default: the environment's `ANTHROPIC_API_KEY`. */
  apiKey: z.string().min(1).optional(),
  /** Default: the environment's `ANTHROPIC_BASE_URL`, else Anthropic itself. */
  baseURL: BaseUrl.optional(),
  /** Sent with every request. */
  headers: z.record(z.string(), z.string()).default({}),
  /** How long an answer that has begun may stop coming, in milliseconds. Default 30_000. */
  idleTimeoutMs: TimerMs.optional(),
})
export type AnthropicOptions = z.input<typeof AnthropicOptions>
