import { ensureError, errorCode, isMurmurError, RetryableError } from "../../errors.js"
import type { Gateway, OfferedModel } from "../../gateways/gateway.js"
import { createRedactor } from "../../telemetry/redact.js"
import { mending } from "./mending.js"

/** How long a provider may take to say which models it has. */
export const PROBE_MS = 5_000

/** What became of asking a provider which models it has. */
export type Probe =
  /** `offered` is `undefined` when it is there, and has no list. */
  | { readonly answers: true; readonly offered: readonly OfferedModel[] | undefined }
  | { readonly answers: false; readonly code: string; readonly why: string; readonly fix: string }

/** Asks a provider which models it has. Never throws, and takes no longer than {@link PROBE_MS}. */
export async function probe(gateway: Gateway): Promise<Probe> {
  const { provider } = gateway
  const time = AbortSignal.timeout(PROBE_MS)
  // A gateway of somebody's own may not look at its signal.
  const late = new Promise<never>((_, reject) => {
    time.addEventListener("abort", () => reject(noAnswer(provider)), { once: true })
  })
  late.catch(() => {})
  try {
    return { answers: true, offered: await Promise.race([gateway.models({ signal: time }), late]) }
  } catch (thrown) {
    const error = time.aborted ? noAnswer(provider) : ensureError(thrown)
    // Some compatible servers have no list of models: one that says so is there.
    return errorCode(error) === "LLM_MODEL" ? { answers: true, offered: undefined } : silent(provider, error)
  }
}

/** Of a provider that cannot be asked. */
export function silent(provider: string, error: Error): Probe {
  const whole = error.message.replace(/\s*\n\s*/g, " ").replace(/^Cannot ask (model|provider)? ?"[^"]*": /, "")
  const why = createRedactor(process.env).text(whole)
  return {
    answers: false,
    code: isMurmurError(error) ? error.code : "ERROR",
    why,
    fix: mending(provider, error),
  }
}

function noAnswer(provider: string): RetryableError {
  return new RetryableError(`Cannot ask provider "${provider}": no answer within ${PROBE_MS / 1_000} s`, {
    code: "LLM_TIMEOUT",
  })
}
