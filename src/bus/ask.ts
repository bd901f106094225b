import { setTimeout as delay } from "node:timers/promises"
import { NoRespondersError, RequestError, TimeoutError } from "@nats-io/transport-node"
import { errorCode } from "../errors.js"
import type { Link } from "./link.js"

const RETRY_MS_MAX = 2_000

/**
 * Asks for what does no harm twice, until the server answers.
 *
 * @throws MurmurError `BUS_CLOSED`, and what the server refuses
 */
export async function askUntilAnswered<T>(link: Link, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await link.state.ask(work)
    } catch (error) {
      if (!isTransient(error) || signal?.aborted === true) throw error
      await delay(Math.min(RETRY_MS_MAX, 50 * 2 ** Math.min(failures, 10)), undefined, { signal }).catch(() => {})
    }
  }
}

/** Whether the server did not answer, or cannot at the moment: it leads no stream yet, it starts. */
function isTransient(error: unknown): boolean {
  if (error instanceof TimeoutError || error instanceof NoRespondersError) return true
  if (error instanceof RequestError) return error.isNoResponders()
  // the client does not export the class of the last one
  return errorCode(error) === "BUS_UNAVAILABLE" || (error as Error).name === "JetStreamNotEnabled"
}
