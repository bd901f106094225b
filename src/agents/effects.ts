import type { MurmurEvent } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"
import { MurmurError } from "../errors.js"
import { type AskOptions, checkAsk, checkSleep } from "./ask.js"
import { type Clock, timeText } from "./clock.js"
import { drawsOf } from "./draws.js"
import { isTakenOver } from "./give-way.js"
import { GuardTripped } from "./guards/guard-tripped.js"
import { NondeterminismError } from "./journal/call-hash.js"
import type { Call, Journal, Waited } from "./journal/journal.js"
import type { Wait } from "./journal/records.js"
import { plain } from "./plain.js"
import { Positions } from "./positions.js"
import type { StateEntry } from "./sessions/record.js"
import { evolve, type Session, type StateDefinition } from "./sessions/session.js"
import { carried, type SuspensionPort } from "./suspension.js"

/** Where an attempt finds the journal of its step. */
export type OpenJournal = (eventId: string) => Promise<Journal>

/** What the effects of a step need of its node. */
export interface EffectPorts {
  readonly clock: Clock
  readonly suspension: SuspensionPort
  /** The event as it was stored, before a schema made something else of it. */
  original(event: MurmurEvent): Promise<MurmurEvent>
}

/** One attempt at a step, as its effects see it. */
export interface EffectScope {
  readonly agent: string
  readonly event: MurmurEvent
  readonly storedAtMs: number
  readonly state: StateDefinition | undefined
  readonly session: Session | undefined
  /** Whether a process died in this step: then each call is noted before it begins. */
  readonly careful: boolean
  readonly openJournal: () => Promise<Journal>
  /** Told when the step can do nothing more but wait. */
  readonly onSuspended: () => void
}

/**
 * What one attempt has done so far, besides emitting: state entries, journaled calls, waits. Nothing of it is in effect
 * before the step's commit.
 */
export class Effects {
  readonly entries: StateEntry[] = []
  #state: unknown
  #journal: Promise<Journal> | undefined
  /** The same sequence of numbers on each attempt of this step. */
  readonly random: () => number
  /** Of the calls that the handler makes itself; branches have their own. */
  readonly positions = Positions.ofStep()
  /** Journaled calls that run at this moment. */
  #running = 0
  /** Waits that the handler stands before. */
  #waiting = 0
  #void: Error | undefined

  constructor(
    private readonly scope: EffectScope,
    private readonly ports: EffectPorts,
  ) {
    this.#state = scope.session?.state
    this.random = drawsOf(scope.agent, scope.event)
  }

  /** Why nothing of this run may count: another node runs it and is ahead, it did not repeat itself, a guard stops it. */
  get void(): Error | undefined {
    return this.#void
  }

  get state(): unknown {
    return this.#state
  }

  record(name: string, data: unknown): void {
    const { state, session, agent } = this.scope
    if (state === undefined || session === undefined) {
      throw new MurmurError(`Cannot record "${name}": agent "${agent}" has no "state"`, { code: "STATE_NONE" })
    }
    // as it will be read back, so that this step and a later fold see the same
    const entry: StateEntry = { name, data: plain(data, `the data of entry "${name}"`) }
    this.#state = evolve(state, this.#state, entry, `agent "${agent}"`)
    this.entries.push(entry)
  }

  async run<T>(name: string, work: () => Promise<T> | T, at = this.positions): Promise<T> {
    const answer = async (): Promise<T> => plain(await work(), `the answer of "${name}"`) as T
    return this.journaled(`run ${name}`, null, (journal, call) => journal.call(call, answer, this.note), at)
  }

  /** What `run` has answered under this name and at this place before; `undefined` when nothing is noted there. */
  async recalled(name: string, at: Positions): Promise<unknown> {
    return this.journaled(`run ${name}`, null, async (journal, call) => journal.recorded(call), at)
  }

  /** When it is noted that a call begins which may simply be made again. */
  get note(): "first" | "beside" {
    return this.scope.careful ? "first" : "beside"
  }

  /**
   * A call of the handler that uses the journal, at the next position. Until it is over the step is not suspended.
   *
   * @param make is given the journal and the call
   * @param at whose next position it is
   */
  async journaled<T>(
    call: string,
    input: unknown,
    make: (journal: Journal, call: Call) => Promise<T>,
    at = this.positions,
  ): Promise<T> {
    const position = at.next()
    this.#running += 1
    try {
      const journal = await this.#open()
      if (journal.done) return await this.#leave()
      return await make(journal, { position, call, input })
    } catch (error) {
      throw this.#seen(error)
    } finally {
      this.#running -= 1
      this.#suspendWhenIdle()
    }
  }

  /** A handler may make something else of an error; of some it may not. */
  #seen(error: unknown): unknown {
    const isFinal = error instanceof NondeterminismError || error instanceof GuardTripped
    if (isFinal || isTakenOver(error)) this.#void ??= error as Error
    return error
  }

  async sleep(ms: number, at = this.positions): Promise<void> {
    checkSleep(this.scope.agent, ms)
    const until = (): string => timeText(this.ports.clock.now() + ms)
    await this.wait({ position: at.next(), call: "sleep", input: ms }, () => ({ kind: "sleep", until: until() }))
  }

  async ask(question: string, options: AskOptions, at = this.positions): Promise<string> {
    return this.askAbout(at.next(), question, options)
  }

  /**
   * Puts a question to a person.
   *
   * @param position below 0 for one about a call, which is none of the handler's own
   */
  async askAbout(position: number, question: string, options: AskOptions): Promise<string> {
    const timeoutMs = checkAsk(this.scope.agent, question, options)
    const { agent, event } = this.scope
    const wait: Wait = {
      kind: "ask",
      id: derivedId("question", agent, event.id, position),
      question,
      ...(options.choices !== undefined && { choices: [...options.choices] }),
      default: options.default,
      until: timeText(this.ports.clock.now() + timeoutMs),
    }
    const call = { position, call: "ask", input: [question, options.choices ?? null] }
    if (position < 0) this.#running -= 1 // the call that it is about stands still as well
    try {
      return String(await this.wait(call, () => wait))
    } finally {
      if (position < 0) this.#running += 1
    }
  }

  /**
   * Stands before a wait: goes on at once when it is over, else never: the run is thrown away.
   *
   * @param wait what is waited for, when it is new
   * @param begin sees to it that what is waited for begins; once or more often
   */
  async wait(call: Call, wait: () => Wait, begin?: (wait: Wait) => Promise<void>): Promise<unknown> {
    this.#running += 1
    let waited: Waited
    try {
      const journal = await this.#open()
      if (journal.done) return await this.#leave()
      waited = await journal.wait(call, async () => ({
        wait: wait(),
        event: carried(await this.ports.original(this.scope.event)),
        storedAt: timeText(this.scope.storedAtMs),
      }))
      if (waited.kind === "waiting" && !waited.arranged) {
        await this.#arrange(waited.record.wait, call.position)
        await begin?.(waited.record.wait)
      }
    } catch (error) {
      throw this.#seen(error)
    } finally {
      this.#running -= 1
      this.#suspendWhenIdle() // the handler may stand before another wait
    }
    if (waited.kind === "answered") return waited.answer
    this.#waiting += 1
    this.#suspendWhenIdle()
    return new Promise(() => {})
  }

  /** The event came once more and its step is done: nothing of this run counts. */
  #leave(): Promise<never> {
    this.scope.onSuspended()
    return new Promise(() => {})
  }

  /** Sees to it that the step goes on. Repeated each time that the step comes here: the one before may have died. */
  async #arrange(wait: Wait, position: number): Promise<void> {
    const { suspension, clock } = this.ports
    const { agent, event } = this.scope
    const { key, id: step } = event
    await suspension.openInbox(agent)
    await suspension.setTimer({ agent, key, step, position, at: new Date(wait.until) })
    if (wait.kind !== "ask") return
    const { id, question, choices, default: fallback, until } = wait
    const asked = { id, agent, key, step, position, question, choices, default: fallback, until }
    await suspension.ask({ ...asked, askedAt: timeText(clock.now()) }, event)
  }

  /** Keeps the step from being suspended until the returned function is called: for who learns late what a handler does. */
  hold(): () => void {
    this.#running += 1
    return () => {
      this.#running -= 1
      this.#suspendWhenIdle()
    }
  }

  /**
   * A handler that has something else to do besides waiting begins it in the same turn. A delay and no timer: it keeps
   * the process alive, which may have nothing else to do.
   */
  #suspendWhenIdle(): void {
    if (this.#waiting === 0 || this.#running > 0) return
    void this.ports.clock.delay(0).then(() => {
      if (this.#running === 0) this.scope.onSuspended()
    })
  }

  #open(): Promise<Journal> {
    this.#journal ??= this.scope.openJournal()
    return this.#journal
  }
}
