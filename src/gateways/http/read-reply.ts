import type { z } from "zod"

/**
 * Reads what a provider has sent. The error names the place and never the value, which is the model's.
 *
 * @throws Error, which `askError` takes for an answer that cannot be read
 */
export function readReply<T>(schema: z.ZodType<T>, reply: unknown): T {
  const read = schema.safeParse(reply)
  if (read.success) return read.data
  const [issue] = read.error.issues
  const where = issue === undefined || issue.path.length === 0 ? "" : ` at ${issue.path.map(String).join(".")}`
  throw new Error(`it has not the shape of an answer${where}`)
}
