import { type SealedEvent, seal } from "../../bus/encode.js"
import type { EventDraft, MurmurEvent } from "../../bus/event.js"
import { ensureError, errorCode } from "../../errors.js"
import { taskType } from "../../router/reserved.js"
import { timeText } from "../clock.js"
import type { Journal } from "../journal/journal.js"
import type { TaskWait, Wait } from "../journal/records.js"
import { Outputs } from "../outputs.js"
import { Positions } from "../positions.js"
import { publishMissing } from "../publish-missing.js"
import type { DelegationParts } from "./delegation.js"
import type { GatherMode } from "./options.js"
import type { Addressee } from "./target.js"
import { type StoredResult, type TaskData, type TaskResult, taskId } from "./task.js"

/** A task before it has its place in the step. */
export interface Prepared {
  readonly to: Addressee
  readonly given: Pick<TaskData, "input" | "context">
  readonly key: string | undefined
}

/** Where in the step tasks are given, and how their results are waited for. */
export interface Place {
  readonly position: number
  readonly call: string
  readonly mode: GatherMode
  readonly deadlineMs: number
}

/** What became of a task, or that nothing had come: `missing`. */
export type GivenResult = Omit<StoredResult, "outside"> & TaskResult

/** What the bus says of an event that it will never take. */
const REFUSALS: ReadonlySet<string> = new Set(["EVENT_TOO_LARGE", "PUBLISH_DENIED"])

/**
 * Gives tasks to other agents, and waits for what becomes of them. First it is written down that the step waits, then the
 * tasks are published, under ids that follow from their place: so each is given once, however often this is done.
 */
export class Giving {
  readonly #agent: string
  readonly #event: MurmurEvent
  readonly #outputs: Outputs

  constructor(private readonly parts: Omit<DelegationParts, "send">) {
    this.#agent = parts.agent.name
    this.#event = parts.run.input.event
    this.#outputs = new Outputs(this.#agent, parts.ports, { emitted: 0 })
  }

  /** @returns a result for each task, in their order. The promise is never settled while the step waits */
  async give(prepared: readonly Prepared[], place: Place): Promise<GivenResult[]> {
    const { position, call } = place
    const input = prepared.map(({ to, key, given }) => [to.name, key ?? null, given])
    let isNew = false
    let refused: Error | undefined
    const wait = (): Wait => {
      isNew = true
      return this.#wait(prepared, place)
    }
    const begin = async (waits: Wait): Promise<void> => {
      if (waits.kind !== "task") return
      await this.#publish(waits, position, prepared, isNew).catch((thrown) => {
        if (REFUSALS.has(errorCode(thrown))) refused = ensureError(thrown)
        throw thrown
      })
    }
    const waiting = this.parts.effects.wait({ position, call, input }, wait, begin).catch((thrown) => {
      if (refused === undefined) throw thrown
      return this.#giveUp(place, input, refused)
    })
    return ((await waiting) as StoredResult[]).map(({ outside, ...result }, n) => {
      if (outside === true) this.parts.onOutside(prepared[n]?.to.name ?? "")
      return result
    })
  }

  #wait(prepared: readonly Prepared[], { position, mode, deadlineMs }: Place): TaskWait {
    const tasks = prepared.map(({ to, key }, index) => {
      const id = taskId(this.#agent, this.#event.id, position, index)
      return { id, agent: to.name, key: key ?? id }
    })
    const now = this.parts.ports.clock.now()
    return { kind: "task", mode, tasks, from: timeText(now), until: timeText(now + deadlineMs) }
  }

  /** @param isNew not when somebody has begun with it before: then it may be there, whatever the dedup window says */
  async #publish(wait: TaskWait, position: number, prepared: readonly Prepared[], isNew: boolean): Promise<void> {
    const { events, guards } = this.parts.ports
    await guards.reserveOutputs({ ...this.#event, seq: -1 - position }, wait.tasks.length)
    const tasks = this.#sealed(wait, position, prepared)
    if (isNew) await this.#outputs.publish(tasks)
    // by one, since each has a key of its own, which is quickly searched
    else for (const task of tasks) await publishMissing(events, this.#agent, [task], new Date(wait.from))
  }

  #sealed(wait: TaskWait, position: number, prepared: readonly Prepared[]): SealedEvent[] {
    const { id: step, key: own } = this.#event
    const replyTo = { agent: this.#agent, ...(own !== undefined && { key: own }), step, position }
    return wait.tasks.map(({ id, agent: to, key }, index) => {
      const given = prepared[index]?.given ?? { input: null }
      const data: TaskData = { ...given, replyTo: { ...replyTo, task: id, to }, deadline: wait.until }
      return this.#seal({ type: taskType(to), key, id, data })
    })
  }

  #seal(draft: EventDraft): SealedEvent {
    const { ports, run, tainted } = this.parts
    const trace = run.span === undefined ? this.#event.trace : run.span.context
    const trust = tainted() ? ("external" as const) : undefined
    return seal(draft, { mesh: ports.names.mesh, producer: this.#agent, cause: this.#event, trace, trust })
  }

  /** The bus does not take a task, and never will: that is the result, also when the step runs again. */
  #giveUp({ position, call }: Place, input: readonly unknown[], thrown: Error): Promise<StoredResult[]> {
    const error = { code: errorCode(thrown), message: thrown.message }
    const results = input.map((): StoredResult => ({ ok: false, error }))
    const resolve = async (journal: Journal): Promise<StoredResult[]> => {
      await journal.resolve(position, results, 0)
      return results
    }
    return this.parts.effects.journaled(call, input, resolve, Positions.always(position))
  }
}
