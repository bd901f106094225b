import { ensureError, errorCode, isMurmurError } from "../../errors.js"
import type { Gateway, OfferedModel } from "../../gateways/gateway.js"
import { createRedactor } from "../../telemetry/redact.js"
import { mending } from "./mending.js"
import { timeLimit } from "./time-limit.js"

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
  const time = timeLimit(`provider "${provider}"`, PROBE_MS)
  try {
    // a gateway of somebody's own may not look at its signal
    return { answers: true, offered: await Promise.race([gateway.models({ signal: time.signal }), time.over]) }
  } catch (thrown) {
    const error = ensureError(time.signal.aborted ? time.signal.reason : thrown)
    // some compatible servers have no list of models: one that says so is there
    return errorCode(error) === "LLM_MODEL" ? { answers: true, offered: undefined } : silent(provider, error)
  } finally {
    time.end()
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
