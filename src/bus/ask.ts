import { setTimeout as delay } from "node:timers/promises"
import { NoRespondersError, RequestError, TimeoutError } from "@nats-io/transport-node"
import { errorCode } from "../errors.js"
import type { Link } from "./link.js"

const RETRY_MS_MAX = 2_000
/** Servers of a cluster elect another leader within 9 s, or a little later when two of them want to be it. */
const ELECTION_MS_MAX = 15_000

/**
 * Asks for what does no harm twice, until the server answers.
 *
 * @param signal gives up when it is aborted, also where nobody answers or there is no connection
 * @throws MurmurError `BUS_CLOSED`, `BUS_UNAVAILABLE` when it was aborted, and what the server refuses
 */
export async function askUntilAnswered<T>(link: Link, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await link.state.ask(work, signal)
    } catch (error) {
      if (!isTransient(error) || signal?.aborted === true) throw error
      await delay(Math.min(RETRY_MS_MAX, 50 * 2 ** Math.min(failures, 10)), undefined, { signal }).catch(() => {})
    }
  }
}

/**
 * Does what nobody takes at this moment again until somebody leads the stream, which takes some seconds when a server of a
 * cluster has died. What may have been taken, since only the answer is missing, is done again where that does no harm.
 *
 * @throws what the server refuses, or what it said last
 */
export async function throughElection<T>(
  work: () => Promise<T>,
  { harmlessTwice = false }: { readonly harmlessTwice?: boolean } = {},
): Promise<T> {
  const giveUpAt = performance.now() + ELECTION_MS_MAX
  for (let failures = 0; ; failures++) {
    try {
      return await work()
    } catch (error) {
      const again = nobodyTookIt(error) || (harmlessTwice && error instanceof TimeoutError)
      if (!again || performance.now() > giveUpAt) throw error
      await delay(Math.min(RETRY_MS_MAX, 50 * 2 ** Math.min(failures, 4)))
    }
  }
}

/** Whether the server did not answer, or cannot at the moment: it leads no stream yet, it starts. */
function isTransient(error: unknown): boolean {
  return error instanceof TimeoutError || errorCode(error) === "BUS_UNAVAILABLE" || nobodyTookIt(error)
}

/** `JetStream system temporarily unavailable`: the cluster has no leader. */
const NO_LEADER = 10008

function nobodyTookIt(error: unknown): boolean {
  if (error instanceof NoRespondersError) return true
  if (error instanceof RequestError) return error.isNoResponders()
  // the client does not export the class of the first one
  return (error as Error).name === "JetStreamNotEnabled" || (error as { code?: unknown }).code === NO_LEADER
}
