import type { MurmurEvent } from "../bus/event.js"
import { MurmurError } from "../errors.js"
import type { Log } from "../telemetry/ports.js"
import { burialPorts, bury } from "./burial.js"
import type { Attempt, GivenUp } from "./dead-letters.js"
import type { AgentDefinition } from "./define-agent.js"
import type { OpenJournal } from "./effects.js"
import type { Past } from "./feed.js"
import { GivingUp, type GivingUpEnd } from "./giving-up.js"
import { GuardTripped } from "./guards/guard-tripped.js"
import type { AgentStats } from "./host.js"
import type { Attempts, PreviousAttempt } from "./journal/attempts.js"
import { persistently } from "./persistently.js"
import type { HandlerPorts } from "./ports.js"
import type { Quarantine } from "./quarantine.js"
import { judge } from "./retry.js"
import type { Revival } from "./revival.js"
import type { StepRunner } from "./step.js"
import type { Outcome, Sessions, StepInput } from "./step-ports.js"
import type { Resume } from "./suspension.js"

/** One event that an agent is to handle, or what lets a suspended step go on. */
export interface Work {
  readonly event: MurmurEvent
  readonly key: string | undefined
  readonly seq: number
  readonly storedAtMs: number
  /** Whether it came in stream order. */
  readonly ordered: boolean
  /** Whether it was sent to the agent alone: then it was tried before. */
  readonly inbox: boolean
  readonly resume: Resume | undefined
  /** Whether somebody may have tried it before. */
  readonly past: Past
  /** Whether the partition was lost meanwhile: another node may have done it by now. */
  readonly lost: boolean
}

/** What becomes of the message that brought a work: it is acked, left unacked, or given back to be tried by another. */
export type Fate = "done" | "left" | "lost"

/** What a worker works with. */
export interface WorkerParts {
  readonly ports: HandlerPorts
  readonly steps: StepRunner
  readonly revival: Revival
  readonly openJournal: OpenJournal
  readonly sessions: Sessions | undefined
  readonly quarantine: Quarantine
  readonly stats: AgentStats
  readonly log: Log
  /** Aborted when the node cannot wait any longer. */
  readonly stopping: AbortSignal
  /** Waits without holding one of the agent's places. */
  pause(wait: Promise<unknown>): Promise<void>
}

const RETRY_MS_MAX = 5_000

/** Decides the fate of one event after the other: attempts until one succeeds or the event is given up. */
export class StepWorker {
  readonly #givingUp: GivingUp

  constructor(
    private readonly agent: AgentDefinition,
    private readonly parts: WorkerParts,
  ) {
    this.#givingUp = new GivingUp(agent.name, parts)
  }

  /** Never rejects. */
  work(work: Work): Promise<Fate> {
    const { resume, past, ordered, inbox, storedAtMs } = work
    if (resume !== undefined || inbox || past !== "none") return this.#workKnown(work)
    // most events were never seen before: nothing has to be looked up
    return this.#try(work, inputOf(work.event, { ordered, storedAtMs, careful: false, sentBack: false }), 0, [])
  }

  async #workKnown(work: Work): Promise<Fate> {
    const prepared = await this.#prepare(work)
    if (typeof prepared === "string") return prepared
    const past = prepared.journal === undefined ? undefined : (await prepared.journal).attempts
    const attempts = past?.all.map(pastAttempt) ?? []
    const spent = past?.spent ?? 0
    if (past !== undefined && spent >= this.agent.retry.attempts) {
      const reason = past.deaths > 0 ? "died" : "failed"
      const end = await this.#givingUp.giveUp(prepared, { reason, error: exhausted(this.agent.name, past), attempts })
      if (end !== "committed") return fateOf(end)
    }
    return this.#try(work, prepared, spent, attempts)
  }

  async #try(work: Work, input: StepInput, spent: number, attempts: Attempt[]): Promise<Fate> {
    const { ports, quarantine, stats, stopping } = this.parts
    for (let attempt = spent + 1; !stopping.aborted; attempt++) {
      const outcome = await this.#attempt(input, attempt)
      if (outcome.ok && outcome.end === "given-up") return fateOf(await this.#givingUp.again(input))
      if (outcome.ok) {
        if (outcome.end === "done") stats.steps += 1
        if (outcome.end === "suspended")
          ports.telemetry.metrics.count("murmur.step.suspensions", 1, { agent: this.agent.name })
        quarantine.succeeded()
        return "done"
      }
      if (stopping.aborted) return "left"
      attempts.push(outcome.attempt)
      if (!(outcome.error instanceof GuardTripped)) this.#noteFailure(input, outcome.attempt)
      const verdict = judge(outcome.error, attempt, this.agent.retry, ports.random())
      if (verdict.next === "dead") {
        if (work.lost) return "lost" // it is for the new owner to give it up
        const end = await this.#givingUp.giveUp(input, { reason: verdict.reason, error: outcome.error, attempts })
        if (end === "committed") continue // by another node, while this one stood still
        return fateOf(end)
      }
      this.#noteRetry(input, outcome.error, attempt, verdict.delayMs)
      await this.parts.pause(ports.clock.delay(verdict.delayMs, stopping))
      if (quarantine.left) return "left" // whoever takes over tries it
      if (work.lost) return "lost"
    }
    return "left"
  }

  /** A step that a process died in runs when no other such step does: if it dies again, it is known of which. */
  #attempt(input: StepInput, attempt: number): Promise<Outcome> {
    if (input.previousAttempt?.ended === "died") return this.#attemptAlone(input, attempt)
    return this.parts.steps.attempt(input, attempt, this.parts.stopping)
  }

  async #attemptAlone(input: StepInput, attempt: number): Promise<Outcome> {
    const { steps, ports, stopping } = this.parts
    const entering = ports.alone.enter()
    await this.parts.pause(entering)
    try {
      return await steps.attempt(input, attempt, stopping)
    } finally {
      ;(await entering)()
    }
  }

  /** What the step is to be done with, or the fate of a work that needs no step. */
  async #prepare(work: Work): Promise<StepInput | Fate> {
    const { resume } = work
    const { log, ports, pause, stopping } = this.parts
    const look = (): Promise<StepInput | Fate> =>
      resume === undefined ? this.#recall(work) : this.#revive(work, resume)
    const onFailure = (error: Error): void => {
      log.warn({ event: work.event.id, error }, "cannot read a journal; trying again")
    }
    const how = { clock: ports.clock, stopping, firstMs: 100, maxMs: RETRY_MS_MAX, onFailure, pause }
    return persistently(look, how).catch(() => "left" as const)
  }

  /** An event that may have been tried before. */
  async #recall({ event, ordered, inbox, storedAtMs, past }: Work): Promise<StepInput | Fate> {
    const journal = await this.parts.openJournal(event.id)
    if (journal.givenUp && !inbox) return "done" // its letter is stored, and was not sent back
    // one that was given up is noted to be tried again: what it waited for counts again
    const careful = past === "died" || journal.givenUp
    const input = inputOf(event, { ordered, storedAtMs, careful, sentBack: inbox })
    return { ...input, journal: Promise.resolve(journal), previousAttempt: journal.attempts.last }
  }

  async #revive({ event, key, storedAtMs, past }: Work, resume: Resume): Promise<StepInput | Fate> {
    const revived = await this.parts.revival.revive(resume, event, storedAtMs)
    if (revived === undefined) {
      this.parts.log.debug({ event: event.id, key, step: resume.step }, "nothing waits for this")
      return "done"
    }
    const { intake, journal } = revived
    if (intake.kind === "dead") return (await this.#bury(intake.given)) ? "done" : "left"
    if (intake.kind !== "run") return "done"
    const how = { ordered: false, storedAtMs: revived.storedAtMs, careful: past === "died", sentBack: false }
    const input = inputOf(intake.event, how)
    const known = { journal: Promise.resolve(journal), previousAttempt: journal.attempts.last, links: revived.links }
    return { ...input, ...known, admitted: true } // when it began
  }

  #noteFailure({ event }: StepInput, attempt: Attempt): void {
    this.parts.stats.failures += 1
    this.parts.quarantine.failed(event.id, attempt)
  }

  #noteRetry({ event }: StepInput, error: Error, attempt: number, delayMs: number): void {
    const { stats, ports, log } = this.parts
    stats.retries += 1
    ports.telemetry.metrics.count("murmur.step.retries", 1, { agent: this.agent.name })
    log.warn({ event: event.id, key: event.key, attempt, delayMs, error }, "a step failed; trying again")
  }

  /** @returns whether the letter is stored; not when the node stops */
  #bury(given: GivenUp): Promise<boolean> {
    return bury(given, burialPorts(this.parts), this.parts.stopping)
  }
}

function fateOf(end: GivingUpEnd): Fate {
  return end === "left" ? "left" : "done"
}

function inputOf(
  event: MurmurEvent,
  how: Pick<StepInput, "ordered" | "storedAtMs" | "careful" | "sentBack">,
): StepInput {
  const { ordered, storedAtMs, careful, sentBack } = how
  return {
    event,
    ordered,
    storedAtMs,
    careful,
    sentBack,
    journal: undefined,
    previousAttempt: undefined,
    admitted: false,
  }
}

/** An attempt of another process, as a dead letter tells it. */
function pastAttempt({ at, ended, error, calls }: PreviousAttempt): Attempt {
  if (error !== undefined) return { at, durationMs: 0, ...error }
  const last = calls.at(-1)
  const doing = last === undefined ? "before its first call" : `${last.answered ? "after" : "in"} "${last.call}"`
  return { at, durationMs: 0, code: `STEP_${ended.toUpperCase()}`, message: `The process died ${doing}` }
}

function exhausted(agent: string, past: Attempts): MurmurError {
  const { error } = past.last ?? {}
  if (past.deaths === 0 && error !== undefined) return new MurmurError(error.message, { code: error.code })
  return new MurmurError(
    `A step of "${agent}" was tried ${past.spent} times, and ${past.deaths} times its process died in it`,
    { code: "STEP_DIED", details: { attempts: past.spent, deaths: past.deaths } },
  )
}
