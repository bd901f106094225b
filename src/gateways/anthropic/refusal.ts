import type { Refusal } from "../http/ask-error.js"
import type { Sdk } from "./client.js"

/** What errors are called that come within a stream, after a status that said success. */
const STATUSES: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
}

/** Reads the SDK's errors. `undefined` for those of the network, whose cause says more. */
export function readRefusal(thrown: unknown, sdk: Sdk | undefined): Refusal | undefined {
  if (sdk === undefined) return undefined
  if (!(thrown instanceof sdk.APIError) || thrown instanceof sdk.APIConnectionError) return undefined
  const { status, headers, type, apiMessage } = thrown
  return {
    status: status ?? (type === null ? undefined : STATUSES[type]),
    headers,
    message: apiMessage ?? thrown.message,
  }
}
