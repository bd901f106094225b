import { ensureError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import { TIMER_MS_MAX, timeText } from "./clock.js"
import type { Attempt } from "./dead-letters.js"
import type { AgentDefinition } from "./define-agent.js"
import type { AgentPorts } from "./host.js"
import { afterFailure, afterSuccess, afterTime, HEALTHY, type Supervision } from "./supervisor.js"

/** Published when an agent is quarantined on a node, also when it is for longer because it tried again in vain. */
export const QUARANTINED = "murmur.agent.quarantined"
/** Published when an agent's quarantine on a node is over: it works again, or an operator says so. */
export const RECOVERED = "murmur.agent.recovered"

/** What a quarantine holds back: the agent's mailbox. */
export interface Holdable {
  readonly running: number
  /** How many may run from now on. 0: nothing begins. */
  limit(places: number): void
}

/**
 * Keeps an agent that fails again and again from its events for a while, on this node. Its backlog stays where it is:
 * what was delivered waits in the mailbox and is heartbeaten, the rest waits on the server.
 */
export class Quarantine {
  #state: Supervision = HEALTHY
  #cancel = (): void => {}
  #stopped = false

  constructor(
    private readonly agent: Pick<AgentDefinition, "name" | "supervision" | "concurrency">,
    private readonly ports: Pick<
      AgentPorts,
      "clock" | "events" | "telemetry" | "deadLetters" | "nodeId" | "onQuarantine"
    >,
    private readonly mailbox: Holdable,
    private readonly log: Log,
  ) {}

  /** Whether the agent is quarantined; also while one event tries whether it works again. */
  get active(): boolean {
    return this.#state.kind !== "closed"
  }

  /** Whether the node stopped while the agent was quarantined: what waits is not tried any more. */
  get left(): boolean {
    return this.#stopped && this.active
  }

  /** A step succeeded. Also one that began before the quarantine ends it: the agent works. */
  succeeded(): void {
    this.#become(afterSuccess(this.#state), "success")
  }

  /** An attempt failed. */
  failed(eventId: string, { code, message }: Attempt): void {
    const failure = { atMs: this.ports.clock.steady(), eventId, code, message }
    this.#become(afterFailure(this.#state, failure, this.agent.supervision))
  }

  /** Ends it at once, since a person says so. */
  end(): void {
    this.#become(HEALTHY, "operator")
  }

  /** The node stops: whoever takes over begins with an agent that runs. */
  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  #become(next: Supervision, by: "success" | "operator" = "success"): void {
    const before = this.#state
    this.#state = next
    if (before.kind === next.kind || this.#stopped) return
    this.#cancel()
    if (next.kind === "open") this.#open(next)
    else if (next.kind === "half-open") this.#try()
    else this.#close(before, by)
    if (before.kind === "closed" || next.kind === "closed") this.ports.onQuarantine()
  }

  #open(state: Supervision & { kind: "open" }): void {
    this.mailbox.limit(0)
    this.#wake(state.untilMs)
    const { sinceMs, untilMs, failures, last, times } = state
    const forMs = Math.round(untilMs - last.atMs)
    this.log.error({ failures, times, forMs, code: last.code }, "fails again and again: quarantined, its events wait")
    this.ports.telemetry.metrics.count("murmur.agent.quarantines", 1, { agent: this.agent.name })
    const { deadLetters } = this.ports
    const error = { code: deadLetters.redact(last.code), message: deadLetters.redact(last.message) }
    this.#publish(QUARANTINED, { failures, times, since: timeText(sinceMs), untilAt: timeText(untilMs), error })
  }

  /** What runs since before may take long: it takes no place from the one that tries. */
  #try(): void {
    this.log.info({}, "quarantined: one event tries whether it works again")
    this.mailbox.limit(this.mailbox.running + 1)
  }

  #close(before: Supervision, by: "success" | "operator"): void {
    this.mailbox.limit(this.agent.concurrency)
    if (before.kind === "closed") return
    const { sinceMs, failures, times } = before
    this.log.info({ failures, times, by }, "the quarantine is over")
    this.#publish(RECOVERED, { failures, times, since: timeText(sinceMs), by })
  }

  #wake(untilMs: number): void {
    const { clock } = this.ports
    const waitMs = Math.min(Math.max(1, Math.ceil(untilMs - clock.steady())), TIMER_MS_MAX)
    this.#cancel = clock.after(waitMs, () => {
      this.#become(afterTime(this.#state, clock.steady()))
      if (this.#state.kind === "open") this.#wake(this.#state.untilMs)
    })
  }

  #publish(type: string, facts: object): void {
    const { events, nodeId } = this.ports
    const data = { agent: this.agent.name, node: nodeId, ...facts }
    events
      .publish({ type, key: this.agent.name, data }, { producer: "murmur", trust: "internal" })
      .catch((thrown) => this.log.warn({ type, error: ensureError(thrown) }, "cannot publish what became of an agent"))
  }
}
