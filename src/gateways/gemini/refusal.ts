import { z } from "zod"
import type { Refusal } from "../http/ask-error.js"
import { refusalOf } from "../http/refusing-fetch.js"

const ErrorBody = z.object({
  error: z.object({
    code: z.int().optional(),
    message: z.string().optional(),
    details: z.array(z.looseObject({ reason: z.string().optional(), retryDelay: z.string().optional() })).optional(),
  }),
})
type ErrorBody = z.infer<typeof ErrorBody>

/** Reads a refusal, and an error that came within a stream. */
export function readRefusal(thrown: unknown): Refusal | undefined {
  let body: ErrorBody | undefined
  const refused = refusalOf(thrown, (parsed) => {
    body = ErrorBody.safeParse(parsed).data
    return body?.error.message
  })
  if (refused !== undefined) return { ...refused, ...corrected(refused, body) }
  const streamed = streamedError(thrown)
  return streamed && { status: streamed.error.code, message: streamed.error.message ?? "an error in the answer" }
}

/** Google says in its body what others say by status and header: that a key is wrong, and when to come back. */
function corrected({ headers }: Refusal, body: ErrorBody | undefined): Partial<Refusal> {
  const details = body?.error.details ?? []
  const delay = details.map(({ retryDelay }) => /^(\d+(?:\.\d+)?)s$/.exec(retryDelay ?? "")?.[1]).find(Boolean)
  return {
    ...(details.some(({ reason }) => reason === "API_KEY_INVALID") && { status: 401 }),
    ...(delay !== undefined && {
      headers: { get: (name) => headers?.get(name) ?? (name === "retry-after" ? delay : null) },
    }),
  }
}

/** The SDK puts the whole error into its message, behind a word of its own. */
function streamedError(thrown: unknown): ErrorBody | undefined {
  if (!(thrown instanceof Error) || thrown.name !== "ApiError") return undefined
  const json = thrown.message.slice(thrown.message.indexOf("{"))
  try {
    return ErrorBody.safeParse(JSON.parse(json)).data
  } catch {
    return undefined
  }
}
