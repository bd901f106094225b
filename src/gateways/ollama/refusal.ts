import { errorCode } from "../../errors.js"
import type { Refusal } from "../http/ask-error.js"
import { refusalOf } from "../http/refusing-fetch.js"

/** Reads what the server says instead of an answer. */
export function readRefusal(error: unknown, model: string): Refusal | undefined {
  const refusal = refusalOf(error, (body) => {
    const message = (body as { error?: unknown } | null | undefined)?.error
    return typeof message === "string" ? message : undefined
  })
  return refusal && { ...refusal, message: `${refusal.message}${adviceOn(refusal, model)}` }
}

function adviceOn({ status, message }: Refusal, model: string): string {
  if (status === 404) return `; fetch it with "ollama pull ${model}"`
  // The window that a model is loaded with is often smaller than what the model can.
  return /context length|context size/i.test(message) ? "; ask with more contextTokens, or for less" : ""
}

/** Whether nobody listens there. */
export function isRefusedConnection(thrown: unknown): boolean {
  for (let error = thrown; error instanceof Error; error = error.cause) {
    if (errorCode(error) === "ECONNREFUSED") return true
    if (error instanceof AggregateError && error.errors.some((each) => errorCode(each) === "ECONNREFUSED")) return true
  }
  return false
}
