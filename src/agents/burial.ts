import type { Log, Metrics } from "../telemetry/ports.js"
import type { Clock } from "./clock.js"
import type { DeadLetterWriter, GivenUp } from "./dead-letters.js"
import type { AgentPorts, AgentStats } from "./host.js"
import { persistently } from "./persistently.js"

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
  if (stopped.aborted) return false
  const onFailure = (error: Error): void => {
    log.error({ seq: given.event.seq, error }, "cannot store a dead letter; trying again")
  }
  const how = { clock, stopping: stopped, firstMs: 500, maxMs: RETRY_MS_MAX, onFailure }
  const letter = await persistently(() => letters.write(given), how).catch(() => undefined)
  if (letter === undefined) return false
  stats.deadLetters += 1
  metrics.count("murmur.dead_letters", 1, { agent: given.agent, reason: given.reason })
  log.error(
    { event: given.event.id, key: given.key, reason: given.reason, letter: letter.id, error: given.error },
    "gave an event up; it is in the dead letters",
  )
  return true
}
