import type { GoogleGenAI } from "@google/genai"
import type { ClientSettings } from "../http/gateway-options.js"
import { guardedFetch } from "../http/guarded-fetch.js"
import { type LoadSdk, optionalPeer } from "../http/optional-peer.js"
import { patientFetch } from "../http/patient-fetch.js"
import { refusingFetch } from "../http/refusing-fetch.js"

/** What of the SDK is needed. */
export type Sdk = Pick<typeof import("@google/genai"), "GoogleGenAI">

/** A client that is made by the first call; the SDK is an optional peer. */
export function geminiClient(
  { provider, apiKey, baseURL, headers, idleTimeoutMs }: ClientSettings,
  load: LoadSdk<Sdk> = () => import("@google/genai"),
): () => Promise<GoogleGenAI> {
  const sdkOf = optionalPeer(provider, "@google/genai", load)
  let client: GoogleGenAI | undefined
  return async () => {
    const { GoogleGenAI } = await sdkOf()
    const bounds = { provider, ...(idleTimeoutMs !== undefined && { idleMs: idleTimeoutMs }) }
    client ??= new GoogleGenAI({
      apiKey,
      // Else the environment may decide for another API.
      vertexai: false,
      // Without `retryOptions` the SDK does not ask again.
      httpOptions: {
        ...{ baseUrl: baseURL, headers: { ...headers } },
        fetch: refusingFetch(patientFetch(guardedFetch(bounds))),
      },
    })
    return client
  }
}
