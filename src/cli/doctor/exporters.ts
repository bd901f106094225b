import { ensureError } from "../../errors.js"
import { signalsFromEnv } from "../../telemetry/signals.js"
import { bad, type Check, fine, listed } from "./check.js"

type Env = Readonly<Record<string, string | undefined>>

const ASK_MS = 3_000
const DEFAULT_ENDPOINT = "http://localhost:4318"
const SIGNALS = ["traces", "metrics", "logs"] as const

/** Whether the collector answers that this environment names. Nothing to say where it names none. */
export async function checkExporters(env: Env = process.env): Promise<Check[]> {
  const signals = signalsFromEnv(env)
  const sent = SIGNALS.filter((signal) => signals[signal].includes("otlp"))
  if (sent.length === 0) return []
  const urls = [...new Set(sent.map((signal) => endpointOf(env, signal)))]
  const failed = (await Promise.all(urls.map(trouble))).flatMap((one) => one ?? [])
  if (failed.length === 0) return [fine("telemetry", `the collector answers: ${listed(urls)}`)]
  const fix = "start the collector, or set OTEL_EXPORTER_OTLP_ENDPOINT to where it is; agents work without it"
  return [bad("telemetry", listed(failed), fix)]
}

function endpointOf(env: Env, signal: (typeof SIGNALS)[number]): string {
  const own = env[`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`]?.trim()
  if (own) return own
  const common = env.OTEL_EXPORTER_OTLP_ENDPOINT?.trim() || DEFAULT_ENDPOINT
  return `${common.replace(/\/+$/, "")}/v1/${signal}`
}

/** An empty message is one of the protocol, and says nothing. @returns what is wrong */
async function trouble(url: string): Promise<string | undefined> {
  try {
    const headers = { "content-type": "application/x-protobuf" }
    const { status } = await fetch(url, {
      method: "POST",
      headers,
      body: new Uint8Array(),
      signal: AbortSignal.timeout(ASK_MS),
    })
    return status < 300 ? undefined : `${url} answers ${status}`
  } catch (thrown) {
    const { cause, message } = ensureError(thrown)
    return `${url}: ${cause instanceof Error && cause.message !== "" ? cause.message : message}`
  }
}
