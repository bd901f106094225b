import type { Anthropic } from "@anthropic-ai/sdk"
import type { ClientSettings } from "../http/gateway-options.js"
import { guardedFetch } from "../http/guarded-fetch.js"
import { type LoadSdk, optionalPeer } from "../http/optional-peer.js"
import { patientFetch } from "../http/patient-fetch.js"

/** What of the SDK is needed. */
export type Sdk = Pick<typeof import("@anthropic-ai/sdk"), "Anthropic" | "APIError" | "APIConnectionError">

/** The SDK, and a client made with it. */
export interface AnthropicClient {
  readonly sdk: Sdk
  readonly client: Anthropic
}

/** The SDK's own timer, which is to ring after ours whatever those are. */
const TIMEOUT_MS = 2 ** 31 - 1

/** A client that is made by the first call; the SDK is an optional peer. */
export function anthropicClient(
  { provider, apiKey, baseURL, headers, idleTimeoutMs }: ClientSettings,
  load: LoadSdk<Sdk> = () => import("@anthropic-ai/sdk"),
): () => Promise<AnthropicClient> {
  const sdkOf = optionalPeer(provider, "@anthropic-ai/sdk", load)
  let made: AnthropicClient | undefined
  return async () => {
    const sdk = await sdkOf()
    made ??= {
      sdk,
      client: new sdk.Anthropic({
        ...{ apiKey, baseURL, timeout: TIMEOUT_MS },
        // Retries, logs and spans are the broker's.
        ...{ maxRetries: 0, logLevel: "off", openTelemetry: false },
        // Else the environment's token would be sent beside the key.
        authToken: null,
        defaultHeaders: headers,
        fetch: patientFetch(guardedFetch({ provider, ...(idleTimeoutMs !== undefined && { idleMs: idleTimeoutMs }) })),
      }),
    }
    return made
  }
}
