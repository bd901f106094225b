import type OpenAI from "openai"
import { TerminalError } from "../../errors.js"
import type { Refusal } from "../http/ask-error.js"
import { guardedFetch } from "../http/guarded-fetch.js"
import { patientFetch } from "../http/patient-fetch.js"
import { OPENAI_URL, type OpenAiSettings } from "./options.js"

/** The longest that a timer can wait: how long an answer may take is not decided here. */
const TIMEOUT_MS = 2 ** 31 - 1

/** The SDK, and what its errors say. */
export interface OpenAiClient {
  /** Loads it at the first call. @throws TerminalError `LLM_KEY` when a key is wanted and there is none */
  load(): Promise<OpenAI>
  refusalOf(thrown: unknown): Refusal | undefined
}

type Sdk = typeof import("openai")

export function openAiClient(settings: OpenAiSettings): OpenAiClient {
  let sdk: Sdk | undefined
  let client: Promise<OpenAI> | undefined
  return {
    async load() {
      checkKey(settings)
      client ??= import("openai").then((loaded) => {
        sdk = loaded
        return connect(loaded, settings)
      })
      return await client
    },
    refusalOf: (thrown) => (sdk !== undefined && thrown instanceof sdk.APIError ? readRefusal(thrown) : undefined),
  }
}

function connect({ OpenAI }: Sdk, settings: OpenAiSettings): OpenAI {
  const { provider, apiKey, baseURL, organization, project, headers, idleTimeoutMs } = settings
  return new OpenAI({
    // Nothing is left to the SDK's own defaults from the environment: its keys are for no other provider.
    ...{ apiKey: apiKey ?? "none", adminAPIKey: null, webhookSecret: null, baseURL },
    ...{ organization: organization ?? null, project: project ?? null },
    defaultHeaders: { ...(apiKey === undefined && { authorization: null }), ...headers },
    fetch: patientFetch(guardedFetch({ provider, ...(idleTimeoutMs !== undefined && { idleMs: idleTimeoutMs }) })),
    ...{ maxRetries: 0, timeout: TIMEOUT_MS },
    // It would print answers that it cannot read.
    logLevel: "off",
  })
}

function readRefusal({ status, error, code, message, headers }: InstanceType<Sdk["APIError"]>): Refusal | undefined {
  // Told as 429, but no waiting helps: the account has no money left.
  const told = code === "insufficient_quota" ? 402 : status
  if (told !== undefined) return { status: told, message: messageOf(error, message), headers }
  return error === undefined || error === null ? undefined : refusalIn(error)
}

function checkKey({ provider, apiKey, baseURL, headers }: OpenAiSettings): void {
  if (apiKey !== undefined || baseURL !== OPENAI_URL || "authorization" in lowerCased(headers)) return
  throw new TerminalError(
    `Cannot ask provider "${provider}": it wants a key, and there is none; set OPENAI_API_KEY, or give openai({ apiKey })`,
    { code: "LLM_KEY", details: { provider } },
  )
}

const lowerCased = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))

/** An error that came with status 200: in a stream, or from a router in front of several providers. */
export function refusalIn(error: unknown): Refusal {
  const { code, type } = (typeof error === "object" && error !== null ? error : {}) as Record<string, unknown>
  return { status: statusOf(code) ?? statusOf(type), message: messageOf(error, "an error in the answer") }
}

function statusOf(code: unknown): number | undefined {
  const status = Number(code)
  if (Number.isInteger(status) && status >= 400 && status < 600) return status
  if (typeof code !== "string") return undefined
  if (/rate_limit/.test(code)) return 429
  if (/context_length/.test(code)) return 413
  return /invalid_request/.test(code) ? 400 : undefined
}

function messageOf(error: unknown, otherwise: string): string {
  if (typeof error === "string") return error
  const { message } = (error ?? {}) as { message?: unknown }
  return typeof message === "string" && message !== "" ? message : otherwise
}
