import { ensureError } from "../errors.js"
import type { Log, Metrics } from "../telemetry/ports.js"
import type { Clock } from "./clock.js"
import type { DeadLetterWriter, GivenUp } from "./dead-letters.js"
import { failureNotice } from "./delegation/failure.js"
import type { AgentPorts, AgentStats } from "./host.js"
import { persistently } from "./persistently.js"
import type { EventPort } from "./ports.js"
import { isTerminal } from "./retry.js"

const RETRY_MS_MAX = 30_000

/** What giving events up needs of an agent's host. */
export interface BurialPorts {
  readonly letters: Pick<DeadLetterWriter, "write" | "redact">
  readonly events: Pick<EventPort, "publish">
  readonly stats: AgentStats
  readonly metrics: Metrics
  readonly clock: Clock
  readonly log: Log
}

/** Those of a host's parts. */
export function burialPorts(parts: { ports: AgentPorts; stats: AgentStats; log: Log }): BurialPorts {
  const { ports, stats, log } = parts
  return {
    letters: ports.deadLetters,
    events: ports.events,
    stats,
    metrics: ports.telemetry.metrics,
    clock: ports.clock,
    log,
  }
}

/**
 * Stores a dead letter, however long it takes: its event may not be acked before. Of a task that is given up whoever
 * waits for it is told first: when the letter is there, nobody looks at the task again.
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
  const letter = await persistently(async () => {
    await tell(given, ports)
    return letters.write(given)
  }, how).catch(() => undefined)
  if (letter === undefined) return false
  stats.deadLetters += 1
  metrics.count("murmur.dead_letters", 1, { agent: given.agent, reason: given.reason })
  log.error(
    { event: given.event.id, key: given.key, reason: given.reason, letter: letter.id, error: given.error },
    "gave an event up; it is in the dead letters",
  )
  return true
}

/** Tells whoever waits for a task that it is given up. Told twice, it is stored once, and counts once in any case. */
async function tell(given: GivenUp, { letters, events, log }: BurialPorts): Promise<void> {
  const notice = failureNotice(given, letters.redact)
  if (notice === undefined) return
  const { draft, cause } = notice
  try {
    await events.publish(draft, { producer: given.agent, cause, trace: cause.trace })
  } catch (thrown) {
    const error = ensureError(thrown)
    if (!isTerminal(error)) throw error
    log.error({ event: cause.id, error }, "cannot tell who waits for a task that it is given up")
  }
}
