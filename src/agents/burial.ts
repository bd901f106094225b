import { ensureError } from "../errors.js"
import type { Log, Metrics } from "../telemetry/ports.js"
import type { Clock } from "./clock.js"
import type { DeadLetterWriter, GivenUp } from "./dead-letters.js"
import type { AgentPorts, AgentStats } from "./host.js"

const RETRY_MS_MAX = 30_000

/** What giving events up needs of an agent's host. */
export interface BurialPorts {
  readonly letters: Pick<DeadLetterWriter, "write">
  readonly stats: AgentStats
  readonly metrics: Metrics
  readonly clock: Clock
  readonly log: Log
}

/** Those of a host's parts. */
export function burialPorts(parts: { ports: AgentPorts; stats: AgentStats; log: Log }): BurialPorts {
  const { ports, stats, log } = parts
  return { letters: ports.deadLetters, stats, metrics: ports.telemetry.metrics, clock: ports.clock, log }
}

/**
 * Stores a dead letter, however long it takes: its event may not be acked before.
 *
 * @param stopped when the node cannot wait any longer: the event then stays unacked
 * @returns whether the letter is stored
 */
export async function bury(given: GivenUp, ports: BurialPorts, stopped: AbortSignal): Promise<boolean> {
  const { letters, stats, metrics, clock, log } = ports
  for (let failures = 0; !stopped.aborted; failures++) {
    try {
      const letter = await letters.write(given)
      stats.deadLetters += 1
      metrics.count("murmur.dead_letters", 1, { agent: given.agent, reason: given.reason })
      log.error(
        { event: given.event.id, key: given.key, reason: given.reason, letter: letter.id, error: given.error },
        "gave an event up; it is in the dead letters",
      )
      return true
    } catch (thrown) {
      log.error({ seq: given.event.seq, error: ensureError(thrown) }, "cannot store a dead letter; trying again")
      const waitMs = Math.min(RETRY_MS_MAX, 500 * 2 ** Math.min(failures, 10))
      await clock.delay(waitMs, stopped)
    }
  }
  return false
}
