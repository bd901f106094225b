import { ensureError, isMurmurError, RetryableError } from "../../errors.js"
import { providerError, replyError } from "../errors.js"
import { retryAfterMs } from "./retry-after.js"
import type { Hide } from "./secrets.js"

/** Who was asked, for whom. */
export interface Asked {
  readonly provider: string
  readonly model: string
  readonly signal: AbortSignal
  readonly hide: Hide
}

/** What a vendor's error says of an answer that was no completion. */
export interface Refusal {
  /** `undefined` for an error inside of a stream that says no more. */
  readonly status: number | undefined
  readonly message: string
  readonly headers?: Pick<Headers, "get"> | undefined
}

const LATE = new Set(["UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT"])
/** Of the system, of undici and of TLS; not `ERR_...`, which is what Node calls a mistake in a program. */
const NETWORK =
  /^(E(?!RR_)[A-Z0-9_]+|ERR_(TLS|SSL)\w*|UND_ERR_(?!INVALID_ARG)\w+|CERT_\w+|\w*SELF_SIGNED_CERT\w*|UNABLE_TO_\w+)$/

/**
 * The one funnel from whatever asking a provider has thrown to the error that a gateway throws: the caller's reason once
 * its signal is aborted; ours as they are; the provider's by status; the network's as `LLM_UNAVAILABLE`; the rest as an
 * answer that cannot be read. Vendors' errors are not kept as causes: they carry headers and bodies.
 *
 * @param refusalOf reads the vendor's error class; `undefined` for any other
 */
export function askError(
  thrown: unknown,
  asked: Asked,
  refusalOf: (thrown: unknown) => Refusal | undefined = () => undefined,
): Error {
  const { provider, model, signal, hide } = asked
  if (signal.aborted) return ensureError(signal.reason)
  const chain = causes(thrown)
  const ours = chain.find(isMurmurError)
  if (ours !== undefined) return ours
  const refusal = refusalOf(thrown)
  if (refusal !== undefined) {
    const { status, message, headers } = refusal
    return providerError({
      ...{ provider, model, status, message: hide(message).slice(0, 2_000) },
      ...(headers !== undefined && { retryAfterMs: retryAfterMs(headers) }),
    })
  }
  return networkError(chain, asked) ?? replyError(provider, model, unreadable(thrown, hide))
}

function networkError(chain: readonly unknown[], { provider, model, hide }: Asked): Error | undefined {
  if (chain.some(isVendorsTimeout)) return timeoutError("no headers came", provider, model)
  const failed = chain.findLast((error) => NETWORK.test(codeOf(error)))
  const fetching = chain.some((error) => error instanceof TypeError && /fetch failed|terminated/.test(error.message))
  if (failed === undefined && !fetching) return undefined
  const code = codeOf(failed)
  const message = hide([code, ensureError(failed ?? chain.at(-1)).message].filter(Boolean).join(": "))
  if (!LATE.has(code)) return providerError({ provider, model, status: undefined, message })
  return timeoutError(message, provider, model)
}

/** The SDKs of OpenAI and Anthropic drop what undici has thrown when it speaks of a timeout. */
function isVendorsTimeout(error: unknown): boolean {
  return error instanceof Error && error.constructor.name === "APIConnectionTimeoutError"
}

function timeoutError(why: string, provider: string, model: string): RetryableError {
  return new RetryableError(`Cannot ask model "${provider}/${model}": no answer in time (${why})`, {
    code: "LLM_TIMEOUT",
    details: { provider, model },
  })
}

/** Says little of the answer itself: a parser's message would quote it. */
function unreadable(thrown: unknown, hide: Hide): string {
  if (thrown instanceof SyntaxError) return "it is no JSON, or was cut"
  return hide(ensureError(thrown).message)
}

/** An error and its causes, those of a connection that was tried at several addresses too. */
function causes(thrown: unknown): readonly unknown[] {
  const chain: unknown[] = []
  for (let error = thrown; error instanceof Error && !chain.includes(error); error = error.cause) {
    chain.push(error)
    if (error instanceof AggregateError) chain.push(...error.errors)
  }
  return chain
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === "string" ? code : ""
}
