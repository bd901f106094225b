import type { Refusal } from "./ask-error.js"

/** How much of the body of a refusal is read, in bytes. */
const BODY_BYTES_MAX = 64 * 1_024

/** What a provider sent instead of an answer, before any SDK has seen it. */
export class RefusedError extends Error {
  /** `undefined` for an answer that had begun, with a status that said success, when something went wrong. */
  readonly status: number | undefined
  readonly headers: Headers
  readonly body: string

  constructor({ status, headers, body }: Pick<RefusedError, "status" | "headers" | "body">) {
    super("The provider refused the request")
    this.status = status
    this.headers = headers
    this.body = body
  }
}

type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/**
 * A `fetch` that throws where the status is no success, for SDKs whose own errors leave out the headers (`Retry-After`),
 * or who write to the console.
 */
export function refusingFetch(fetch: Fetch): Fetch {
  return async (input, init) => {
    const response = await fetch(input, init)
    if (response.ok) return response
    const { status, headers } = response
    throw new RefusedError({ status, headers, body: await bounded(response) })
  }
}

async function bounded(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ""
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true })
    if (text.length >= BODY_BYTES_MAX) break
  }
  return text.slice(0, BODY_BYTES_MAX)
}

/**
 * Reads a refusal from what an SDK has thrown, wherever it stands among the causes.
 *
 * @param messageOf finds the provider's words in the parsed body
 */
export function refusalOf(thrown: unknown, messageOf: (body: unknown) => string | undefined): Refusal | undefined {
  let error = thrown
  while (error instanceof Error && !(error instanceof RefusedError)) error = error.cause
  if (!(error instanceof RefusedError)) return undefined
  const { status, headers, body } = error
  return { status, headers, message: messageOf(parsed(body)) ?? body }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
