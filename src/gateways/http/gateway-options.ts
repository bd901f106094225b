import { z } from "zod"
import { TerminalError } from "../../errors.js"

/**
 * Checks what a gateway is made with; its schema is a strict object, so that an unknown option is named.
 *
 * @throws TerminalError `LLM_OPTION`
 */
export function checkOptions<T>(gateway: string, schema: z.ZodType<T>, options: unknown): T {
  const read = schema.safeParse(options)
  if (read.success) return read.data
  const issues = read.error.issues.map(({ path, message }) => ({ path: path.join("."), message }))
  throw new TerminalError(`Cannot make the gateway "${gateway}": ${z.prettifyError(read.error)}`, {
    code: "LLM_OPTION",
    details: { gateway, issues },
  })
}

/** The first part of model names: `openai` in `openai/gpt-5-mini`. */
export const ProviderName = z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/)

/** A key: what else stands in the file or variable that it comes from (a line's end) is cut off. */
export const ApiKey = z
  .string()
  .trim()
  .regex(/^[\x21-\x7e]+$/, "wanted: a key of visible ASCII characters")

/** Headers that can be sent. */
export const HeaderValues = z.record(
  z.string().regex(/^[\w!#$%&'*+.^`|~-]+$/, "wanted: the name of a header"),
  z.string().regex(/^[\t\x20-\x7e\x80-\xff]*$/, "wanted: text that a header can hold"),
)

/** A server's address. */
export const BaseUrl = z.url({ protocol: /^https?$/ })

/** Milliseconds that a timer can wait. */
export const TimerMs = z
  .int()
  .min(1)
  .max(2 ** 31 - 1)

/** How a vendor's client is made. */
export interface ClientSettings {
  readonly provider: string
  readonly apiKey: string
  readonly baseURL: string
  readonly headers: Readonly<Record<string, string>>
  readonly idleTimeoutMs: number | undefined
}
