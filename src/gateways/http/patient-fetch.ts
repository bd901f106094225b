/** As much of undici, which is behind Node's `fetch`, as is needed. */
interface Dispatcher {
  dispatch(options: object, handler: unknown): boolean
}

type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/** Where undici keeps the dispatcher of all requests, for all copies of itself in a process. */
const GLOBAL_DISPATCHER = Symbol.for("undici.globalDispatcher.1")

/**
 * A `fetch` that waits for the headers of an answer, and between its pieces, for as long as the caller does. Node's own
 * gives up after 300 s without a word, and a model on a small machine may think for longer. Whatever dispatcher the
 * process has set (a proxy's) is still the one that asks.
 *
 * @param headersMs how long it waits for headers, in milliseconds. Default 0: without end
 */
export function patientFetch(fetch: Fetch, { headersMs = 0 }: { readonly headersMs?: number } = {}): Fetch {
  const dispatcher: Dispatcher = {
    dispatch(options, handler) {
      const patient = { ...options, headersTimeout: headersMs, bodyTimeout: 0 }
      return globalDispatcher().dispatch(patient, handler)
    },
  }
  let ready = false
  return (input, init) => {
    ready ||= hasDispatcher()
    return fetch(input, (ready ? { ...init, dispatcher } : init) as RequestInit)
  }
}

/** Node sets it up with the first object of its kind. Where there is none, requests go as they would without us. */
function hasDispatcher(): boolean {
  new Headers()
  return typeof globalDispatcher()?.dispatch === "function"
}

function globalDispatcher(): Dispatcher {
  return (globalThis as unknown as Record<symbol, Dispatcher>)[GLOBAL_DISPATCHER] as Dispatcher
}
