import { type SealedEvent, seal } from "../../bus/encode.js"
import type { EventDraft, MurmurEvent } from "../../bus/event.js"
import { TerminalError } from "../../errors.js"
import type { Message } from "../../gateways/messages/message.js"
import { taskType } from "../../router/reserved.js"
import type { Span } from "../../telemetry/ports.js"
import { type Clock, timeText } from "../clock.js"
import type { AgentDefinition } from "../define-agent.js"
import type { Effects } from "../effects.js"
import type { StepGuards } from "../guards/guards.js"
import type { TaskWait, Wait } from "../journal/records.js"
import { plain } from "../plain.js"
import type { EventPort } from "../ports.js"
import type { Positions } from "../positions.js"
import { publishMissing } from "../publish-missing.js"
import { TaskDuty } from "./duty.js"
import {
  checkDelegate,
  checkGather,
  checkHandoff,
  type DelegateOptions,
  type GatherMode,
  type GatherOptions,
  type HandoffOptions,
} from "./options.js"
import { type Addressee, addressee, checkTaskOutput, type Target } from "./target.js"
import { type StoredResult, type TaskContext, type TaskData, type TaskResult, taskId } from "./task.js"

/** What delegating needs of a node. */
export interface DelegationPorts {
  readonly events: Pick<EventPort, "store" | "ids">
  readonly guards: Pick<StepGuards, "reserveOutputs">
  readonly clock: Clock
  readonly names: { readonly mesh: string }
}

/** The attempt that delegates. */
export interface DelegationParts {
  readonly agent: Pick<AgentDefinition, "name" | "output">
  readonly run: { readonly input: { readonly event: MurmurEvent }; readonly span: Span | undefined }
  readonly effects: Pick<Effects, "wait">
  readonly ports: DelegationPorts
  /** Whether outsiders have a say in what the step does by now, and so in the tasks that it gives. */
  readonly tainted: () => boolean
  /** Publishes an event with the step's other outputs, under the id that it has. */
  readonly send: (draft: EventDraft) => void
  /** Outsiders have had a say in what an agent has replied. */
  readonly onOutside: (agent: string) => void
}

/** The context that delegates: the step's own, or one of its branches. */
export interface DelegationCaller {
  /** Whose positions its calls have. */
  readonly at: Positions
  /** Has a model sum up these messages, or the session's conversation; journaled as any call of a model. */
  summarise(messages?: readonly Message[]): Promise<string>
}

/** One of several tasks that are given at once. */
export interface GatherTask extends HandoffOptions {
  readonly agent: Target
  readonly input: unknown
}

/** A task before it has its place in the step. */
interface Prepared {
  readonly to: Addressee
  readonly given: Pick<TaskData, "input" | "context">
  readonly key: string | undefined
}

/** What a step has to do with other agents: tasks that it gives, and the one that it does itself. */
export class Delegation {
  readonly #agent: string
  readonly #event: MurmurEvent
  #made: TaskDuty | undefined

  constructor(private readonly parts: DelegationParts) {
    this.#agent = parts.agent.name
    this.#event = parts.run.input.event
  }

  /**
   * Gives a task and waits for its result.
   *
   * @throws TerminalError `DELEGATE_FAILED`, `DELEGATE_TIMEOUT`, `DELEGATE_INPUT`, `DELEGATE_OUTPUT`, `DELEGATE_TARGET`;
   *   MurmurError `DELEGATE_OPTION`; GuardTripped
   */
  async delegate(target: Target, input: unknown, options: DelegateOptions, by: DelegationCaller): Promise<unknown> {
    const agent = this.#agent
    const to = addressee(agent, target)
    const { deadlineMs } = checkDelegate(agent, to.name, options)
    const position = by.at.next()
    const task = await this.#prepare(to, input, options, by)
    const call = `delegate ${to.name}`
    const [result] = await this.#give({ position, call }, [task], { mode: "all", deadlineMs })
    if (result?.ok === true) return checkTaskOutput(agent, to, result.output)
    if (result?.error.code === "DELEGATE_TIMEOUT") {
      if ("default" in options) return options.default
      throw new TerminalError(`"${to.name}" did not reply to "${agent}" in time: ${result.error.message}`, {
        code: "DELEGATE_TIMEOUT",
        details: { to: to.name },
      })
    }
    const { code = "ERROR", message = "" } = result?.error ?? {}
    throw new TerminalError(`"${to.name}" failed in what "${agent}" has delegated to it: ${message} (${code})`, {
      code: "DELEGATE_FAILED",
      details: { to: to.name, error: { code, message } },
    })
  }

  /**
   * Gives tasks and waits until enough results are there.
   *
   * @returns a result for each task, in their order
   * @throws as {@link delegate}, but for what became of the tasks: that is in the results
   */
  async gather(tasks: readonly GatherTask[], options: GatherOptions, by: DelegationCaller): Promise<TaskResult[]> {
    const agent = this.#agent
    const { mode, deadlineMs } = checkGather(agent, tasks.length, options)
    const to = tasks.map((task) => addressee(agent, task.agent))
    for (const [n, { agent: _, input: __, ...more }] of tasks.entries()) checkHandoff(agent, to[n]?.name ?? "", more)
    if (tasks.length === 0) return []
    const position = by.at.next()
    const prepared: Prepared[] = []
    for (const [n, task] of tasks.entries()) {
      const one = to[n]
      if (one !== undefined) prepared.push(await this.#prepare(one, task.input, task, by))
    }
    const call = `gather ${mode} ${to.map(({ name }) => name).join(" ")}`
    const results = await this.#give({ position, call }, prepared, { mode, deadlineMs })
    return results.map((result, n) => this.#checked(result, to[n]))
  }

  /** Gives the step's own task to another agent, which replies in its place. @throws as {@link delegate} */
  async handoff(target: Target, input: unknown, options: HandoffOptions, by: DelegationCaller): Promise<void> {
    const agent = this.#agent
    const to = addressee(agent, target)
    checkHandoff(agent, to.name, options)
    const { given, key } = await this.#prepare(to, input, options, by)
    this.#send(this.#duty.handoff(to.name, given, key))
  }

  /** Answers the step's own task. @throws MurmurError `REPLY_NO_TASK`; TerminalError `REPLY_TWICE`, `REPLY_OUTPUT` */
  reply(output: unknown): void {
    this.#send(this.#duty.reply(output))
  }

  /** To be called when the handler of a task has returned: a task without a reply is answered as well. */
  settle(): void {
    this.#send(this.#duty.settle())
  }

  get #duty(): TaskDuty {
    this.#made ??= new TaskDuty(this.#agent, this.parts.agent.output, this.#event)
    return this.#made
  }

  async #prepare(to: Addressee, input: unknown, options: HandoffOptions, by: DelegationCaller): Promise<Prepared> {
    const context = await this.#context(options.context ?? "none", by)
    return { to, key: options.key, given: { input: to.input(input), ...(context && { context }) } }
  }

  async #context(
    chosen: NonNullable<HandoffOptions["context"]>,
    by: DelegationCaller,
  ): Promise<TaskContext | undefined> {
    if (chosen === "none") return undefined
    const { text, messages, summary = false } = chosen
    const context: TaskContext = {
      ...(text !== undefined && { text }),
      ...(messages !== undefined && { messages: plain(messages, "the messages of a context") as Message[] }),
    }
    if (summary === false) return context
    return { ...context, summary: await by.summarise(summary === true ? undefined : summary) }
  }

  async #give(
    { position, call }: { readonly position: number; readonly call: string },
    prepared: readonly Prepared[],
    { mode, deadlineMs }: { readonly mode: GatherMode; readonly deadlineMs: number },
  ): Promise<TaskResult[]> {
    const agent = this.#agent
    const event = this.#event
    let isNew = false
    const wait = (): Wait => {
      isNew = true
      const tasks = prepared.map(({ to, key }, index) => {
        const id = taskId(agent, event.id, position, index)
        return { id, agent: to.name, key: key ?? id }
      })
      const now = this.parts.ports.clock.now()
      return { kind: "task", mode, tasks, from: timeText(now), until: timeText(now + deadlineMs) }
    }
    const input = prepared.map(({ to, key, given }) => [to.name, key ?? null, given])
    const begin = async (waits: Wait): Promise<void> => {
      if (waits.kind === "task") await this.#publish(waits, position, prepared, isNew)
    }
    const results = (await this.parts.effects.wait({ position, call, input }, wait, begin)) as StoredResult[]
    return results.map(({ outside, ...result }, n) => {
      if (outside === true) this.parts.onOutside(prepared[n]?.to.name ?? "")
      return result
    })
  }

  /** @param isNew not when somebody has begun with it before: then it may be there, whatever the dedup window says */
  async #publish(wait: TaskWait, position: number, prepared: readonly Prepared[], isNew: boolean): Promise<void> {
    const agent = this.#agent
    const event = this.#event
    const { events, guards } = this.parts.ports
    await guards.reserveOutputs({ ...event, seq: -1 - position }, wait.tasks.length)
    const replyTo = { agent, ...(event.key !== undefined && { key: event.key }), step: event.id, position }
    const sealed = wait.tasks.map(({ id, agent: to, key }, index) => {
      const given = prepared[index]?.given ?? { input: null }
      const data: TaskData = { ...given, replyTo: { ...replyTo, task: id, to }, deadline: wait.until }
      return this.#seal({ type: taskType(to), key, id, data })
    })
    if (isNew) await Promise.all(sealed.map((task) => events.store(task)))
    // by one, since each has a key of its own, which is quickly searched
    else for (const task of sealed) await publishMissing(events, agent, [task], new Date(wait.from))
  }

  #checked(result: TaskResult, to: Addressee | undefined): TaskResult {
    if (!result.ok || to === undefined) return result
    try {
      return { ok: true, output: checkTaskOutput(this.#agent, to, result.output) }
    } catch (error) {
      if (!(error instanceof TerminalError)) throw error
      return { ok: false, error: { code: error.code, message: error.message } }
    }
  }

  #send(draft: EventDraft | undefined): void {
    if (draft !== undefined) this.parts.send(draft)
  }

  #seal(draft: EventDraft): SealedEvent {
    const { ports, run } = this.parts
    const trace = run.span === undefined ? this.#event.trace : run.span.context
    const trust = this.parts.tainted() ? ("external" as const) : undefined
    return seal(draft, { mesh: ports.names.mesh, producer: this.#agent, cause: this.#event, trace, trust })
  }
}
