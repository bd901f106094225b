import type { z } from "zod"
import type { EventDraft, MurmurEvent } from "../../bus/event.js"
import { derivedId } from "../../bus/ids.js"
import { MurmurError, TerminalError } from "../../errors.js"
import { isTaskType, taskType } from "../../router/reserved.js"
import { inboxType } from "../host.js"
import { plain } from "../plain.js"
import type { Resume } from "../suspension.js"
import { HANDOFFS_MAX, type Handoff, handoffId, type ReplyTo, TaskData, type TaskResult } from "./task.js"

/** A task whose result somebody waits for. */
export interface OwedTask {
  readonly replyTo: ReplyTo
  readonly handoffs: readonly Handoff[]
}

/** Whether an event is a task of an agent. */
export function isTaskOf(agent: string, { type }: Pick<MurmurEvent, "type">): boolean {
  return type === taskType(agent)
}

/**
 * What an agent owes for an event; `undefined` when nobody waits.
 *
 * @throws TerminalError `TASK_FORGED` when its producer may not say who waits: only who waits itself, or who was handed
 *   the task before
 */
export function owedFor(agent: string, event: Pick<MurmurEvent, "type" | "data" | "producer">): OwedTask | undefined {
  if (!isTaskType(event.type)) return undefined
  const { replyTo, handoffs = [] } = TaskData.safeParse(event.data).data ?? {}
  if (replyTo === undefined) return undefined
  const holders = [replyTo.agent, replyTo.to, ...handoffs.map((handoff) => handoff.agent)]
  if (holders.at(-2) === event.producer && holders.at(-1) === agent) return { replyTo, handoffs }
  throw new TerminalError(
    `"${event.producer}" gave "${agent}" a task whose result another would wait for (${holders.join(" -> ")})`,
    { code: "TASK_FORGED" },
  )
}

/** Why an event is no task that this agent may be given, if it looks like one. */
export function forgedTask(agent: string, event: MurmurEvent): TerminalError | undefined {
  if (!isTaskType(event.type)) return undefined
  try {
    owedFor(agent, event)
    return undefined
  } catch (error) {
    if (error instanceof TerminalError) return error
    throw error
  }
}

/**
 * A task that is begun when nobody waits for it any more costs its price for nothing.
 *
 * @throws TerminalError `TASK_EXPIRED`
 */
export function refuseExpired(agent: string, { data }: Pick<MurmurEvent, "data">, now: number): void {
  const { replyTo, deadline } = TaskData.safeParse(data).data ?? {}
  if (replyTo === undefined || deadline === undefined || !(Date.parse(deadline) < now)) return
  throw new TerminalError(
    `"${agent}" does not begin with this task: "${replyTo.agent}" has waited for it until ${deadline}, and waits no more`,
    { code: "TASK_EXPIRED", details: { deadline } },
  )
}

/** The event that tells whoever waits what became of its task. */
export function resultDraft({ replyTo, handoffs }: OwedTask, result: TaskResult, id: string): EventDraft {
  const { task, agent, key, step, position } = replyTo
  const data: Resume = { kind: "result", step, position, task, result, handoffs: [...handoffs] }
  return { type: inboxType(agent), key, data, id }
}

/** What one attempt at a step does about the task that it handles. */
export class TaskDuty {
  readonly #owed: OwedTask | undefined
  readonly #isTask: boolean
  #state: "open" | "replied" | "handed off" = "open"

  constructor(
    private readonly agent: string,
    private readonly output: z.ZodType | undefined,
    private readonly event: MurmurEvent,
  ) {
    this.#isTask = isTaskOf(agent, event)
    this.#owed = this.#isTask ? owedFor(agent, event) : undefined
  }

  /**
   * @returns the event that tells it; `undefined` when nobody waits
   * @throws MurmurError `REPLY_NO_TASK`; TerminalError `REPLY_TWICE`, `REPLY_OUTPUT`, `NOT_JSON`
   */
  reply(output: unknown): EventDraft | undefined {
    if (!this.#isTask) {
      throw new MurmurError(`"${this.agent}" cannot reply: "${this.event.type}" is no task, nobody has asked`, {
        code: "REPLY_NO_TASK",
      })
    }
    this.#mustBeOpen("reply")
    const draft = this.#result({ ok: true, output: this.#checked(output) })
    this.#state = "replied"
    return draft
  }

  /**
   * Another agent does it from here.
   *
   * @throws TerminalError `REPLY_TWICE`, `HANDOFF_LIMIT`
   */
  handoff(to: string, given: Pick<TaskData, "input" | "context">, key: string | undefined): EventDraft<TaskData> {
    this.#mustBeOpen("hand off")
    const { replyTo, handoffs = [] } = this.#owed ?? {}
    if (handoffs.length >= HANDOFFS_MAX) {
      throw new TerminalError(`"${this.agent}" cannot hand off to "${to}": it was done ${handoffs.length} times`, {
        code: "HANDOFF_LIMIT",
      })
    }
    this.#state = "handed off"
    const id = handoffId(replyTo?.task ?? this.event.id, handoffs.length, this.agent, to)
    const { deadline } = this.#isTask ? (TaskData.safeParse(this.event.data).data ?? {}) : {}
    const chain = replyTo && { replyTo, handoffs: [...handoffs, { agent: to, key: key ?? id }] }
    return { type: taskType(to), key: key ?? id, id, data: { ...given, ...chain, ...(deadline && { deadline }) } }
  }

  /** The handler has returned: what is still owed is `null`, where that is an answer, else an error. */
  settle(): EventDraft | undefined {
    if (this.#state !== "open" || this.#owed === undefined) return undefined
    if (this.output === undefined || this.output.safeParse(null).success) return this.reply(null)
    this.#state = "replied"
    const message = `"${this.agent}" ended its step without a reply (ctx.reply)`
    return this.#result({ ok: false, error: { code: "REPLY_NONE", message } })
  }

  #result(result: TaskResult): EventDraft | undefined {
    if (this.#owed === undefined) return undefined
    return resultDraft(this.#owed, result, derivedId("result", this.#owed.replyTo.task, this.agent, this.event.id))
  }

  #checked(output: unknown): unknown {
    const what = `the reply of "${this.agent}"`
    if (this.output === undefined) return plain(output, what)
    const checked = this.output.safeParse(output)
    if (checked.success) return plain(checked.data, what)
    const first = checked.error.issues[0]
    throw new TerminalError(
      `"${this.agent}" cannot reply: its answer does not fit "output" at "${first?.path.join(".")}": ${first?.message}`,
      { code: "REPLY_OUTPUT" },
    )
  }

  #mustBeOpen(what: string): void {
    if (this.#state === "open") return
    throw new TerminalError(`"${this.agent}" cannot ${what}: it has ${this.#state} already in this step`, {
      code: "REPLY_TWICE",
    })
  }
}
