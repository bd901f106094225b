import type { EventDraft, MurmurEvent } from "../../bus/event.js"
import { TerminalError } from "../../errors.js"
import type { Message } from "../../gateways/messages/message.js"
import type { Span, Telemetry } from "../../telemetry/ports.js"
import type { Clock } from "../clock.js"
import type { AgentDefinition } from "../define-agent.js"
import type { Effects } from "../effects.js"
import type { StepGuards } from "../guards/guards.js"
import { plain } from "../plain.js"
import type { EventPort } from "../ports.js"
import type { Positions } from "../positions.js"
import { TaskDuty } from "./duty.js"
import { Giving, type Prepared } from "./giving.js"
import {
  checkDelegate,
  checkGather,
  checkHandoff,
  type DelegateOptions,
  type GatherOptions,
  type HandoffOptions,
} from "./options.js"
import { type Addressee, addressee, checkedResult, checkTaskOutput, type Target } from "./target.js"
import type { TaskContext, TaskResult } from "./task.js"

/** What delegating needs of a node. */
export interface DelegationPorts {
  readonly events: Pick<EventPort, "store" | "ids">
  readonly guards: Pick<StepGuards, "reserveOutputs">
  readonly clock: Clock
  readonly telemetry: Telemetry
  readonly names: { readonly mesh: string }
}

/** The attempt that delegates. */
export interface DelegationParts {
  readonly agent: Pick<AgentDefinition, "name" | "output">
  readonly run: { readonly input: { readonly event: MurmurEvent }; readonly span: Span | undefined }
  readonly effects: Pick<Effects, "wait" | "journaled">
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

const NAMES_SHOWN = 5

/** One of several tasks that are given at once. */
export interface GatherTask extends HandoffOptions {
  readonly agent: Target
  readonly input: unknown
}

/** What a step has to do with other agents: tasks that it gives, and the one that it does itself. */
export class Delegation {
  readonly #agent: string
  readonly #giving: Giving
  #made: TaskDuty | undefined

  constructor(private readonly parts: DelegationParts) {
    this.#agent = parts.agent.name
    this.#giving = new Giving(parts)
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
    const [result] = await this.#giving.give([task], { position, call, mode: "all", deadlineMs })
    if (result?.ok === true) return checkTaskOutput(agent, to, result.output)
    if (result?.missing === true) {
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
    const call = `gather ${mode} of ${listed(to)}`
    const results = await this.#giving.give(prepared, { position, call, mode, deadlineMs })
    return results.map(({ missing: _, ...result }, n) => checkedResult(agent, to[n], result))
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
    this.#made ??= new TaskDuty(this.#agent, this.parts.agent.output, this.parts.run.input.event)
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

  #send(draft: EventDraft | undefined): void {
    if (draft !== undefined) this.parts.send(draft)
  }
}

/** Names for people to read. */
function listed(to: readonly Addressee[]): string {
  const names = [...new Set(to.map(({ name }) => name))]
  const more = names.length > NAMES_SHOWN ? ", ..." : ""
  return `${to.length}: ${names.slice(0, NAMES_SHOWN).join(", ")}${more}`
}
