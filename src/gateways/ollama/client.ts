import type { Ollama } from "ollama"
import { guardedFetch } from "../http/guarded-fetch.js"
import { patientFetch } from "../http/patient-fetch.js"
import { refusingFetch } from "../http/refusing-fetch.js"
import { checkedLines } from "./lines.js"

/** How clients are made. */
export interface ClientSettings {
  readonly provider: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly idleTimeoutMs: number | undefined
}

/** How one request is made. */
export interface RequestSettings {
  /** Whether the answer comes in lines. Default false. */
  readonly lines?: boolean
  /** In place of the gateway's own. */
  readonly idleMs?: number
}

/** Makes a client for one request. */
export type OpenClient = (signal: AbortSignal, settings?: RequestSettings) => Promise<Ollama>

/** One client for each request: the library takes no signal, but a `fetch` that has one. It is loaded by the first. */
export function ollamaClient({ provider, url, headers, idleTimeoutMs }: ClientSettings): OpenClient {
  return async (signal, { lines = false, idleMs = idleTimeoutMs } = {}) => {
    const { Ollama } = await import("ollama")
    const fetch = refusingFetch(patientFetch(guardedFetch({ provider, ...(idleMs !== undefined && { idleMs }) })))
    return new Ollama({
      host: url,
      headers: { ...headers },
      fetch: async (input: string | URL | Request, init?: RequestInit) => {
        const response = await fetch(input, { ...init, signal })
        return lines ? checkedLines(response) : response
      },
    })
  }
}
