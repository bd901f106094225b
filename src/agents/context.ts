import { checkDraft } from "../bus/check-draft.js"
import type { AnyEventDefinition } from "../bus/define-event.js"
import type { EventDraft } from "../bus/event.js"
import { MurmurError } from "../errors.js"
import type { Llm } from "../gateways/llm/llm.js"
import type { Log } from "../telemetry/ports.js"
import type { AskOptions } from "./ask.js"
import type { BranchContext } from "./branch-context.js"
import type { AgentDefinition } from "./define-agent.js"
import type { GatherTask } from "./delegation/delegation.js"
import type { DelegateOptions, GatherOptions, HandoffOptions } from "./delegation/options.js"
import type { GatherResults, InputOf, OutputOf } from "./delegation/target.js"
import type { PreviousAttempt } from "./journal/attempts.js"
import type { ModelTool } from "./step-calls.js"
import type { AnyTool, ToolFunctions } from "./tools/tool.js"
import type { WorkOutcome } from "./work-outcome.js"

/** What each kind of entry does to the state. */
// biome-ignore lint/suspicious/noExplicitAny: each entry has data of its own
export type Evolvers<S> = Readonly<Record<string, (state: S, data: any) => S>>

/** What a handler is given for one step. Everything that has an effect goes through it. */
export interface StepContext<
  S = unknown,
  E extends Evolvers<S> = Evolvers<S>,
  T extends readonly AnyTool[] = readonly AnyTool[],
> {
  /** The agent's name. */
  readonly agent: string
  /** The session's key: the entity that the event is about. */
  readonly key: string | undefined
  /** Which attempt this is, from 1. */
  readonly attempt: number
  /**
   * The event's W3C baggage by key: what whoever began this said along, such as a tenant. It goes on to all that is
   * emitted, by itself, and to no model. It is what outsiders may have set: no authority for anything.
   *
   * @example
   * const { tenant = "none" } = ctx.baggage
   */
  readonly baggage: Readonly<Record<string, string>>
  /** Aborted when the step's time is up, or when the node stops and cannot wait any longer. */
  readonly signal: AbortSignal
  readonly log: Log
  /**
   * Emits an event. Outputs are published when the handler has returned, all of them or, when it throws, none. Their
   * ids are derived from the step, so a step that runs again emits the same events and not new ones.
   *
   * @throws MurmurError `EMIT_UNDECLARED` when the type is not in `emits`, `EVENT_DATA` when the data does not fit
   */
  emit(draft: EventDraft): void
  /** The session's state: the fold of its log, with what this step has recorded so far. `undefined` without `state`. */
  readonly state: S
  /**
   * Records an entry: the one way to change the state. It is in effect when the step is committed.
   *
   * @throws MurmurError `STATE_ENTRY` when `evolve` does not know it, `STATE_NONE` when the agent has no `state`, `NOT_JSON`
   */
  record<N extends keyof E & string>(name: N, data: Parameters<E[N]>[1]): void
  /**
   * Does something once. The answer is written to the step's journal; when the step runs again, after a failure or a
   * crash, the recorded answer is returned and `work` does not run. What was under way when the process died runs again.
   *
   * @param name what it is, the same on each attempt; the answer has to be JSON
   * @throws NondeterminismError when the step asks for something else than it did before
   */
  run<T>(name: string, work: () => Promise<T> | T): Promise<T>
  /**
   * Tries something that makes calls of its own, and returns what came of it. That it failed is written to the journal:
   * when the step runs again it is not tried again. What a failed work has emitted and recorded counts not. For trying
   * several times there is `retry`.
   *
   * @param work makes its calls by the context that it is given
   * @throws what keeps the step itself from going on: its time, a budget, another node
   * @example
   * const page = await ctx.outcome("read the page", (ctx) => ctx.tools.fetch({ url }))
   * if (!page.ok) ctx.log.warn({ error: page.error }, "going on without the page")
   */
  outcome<T>(name: string, work: (ctx: BranchContext) => Promise<T> | T): Promise<WorkOutcome<T>>
  /**
   * The agent's tools, a function a tool. Calls are journaled: what was done once is not done again when the step runs
   * again. Where it is not known whether it was done, the tool's `effect` decides.
   *
   * @throws TerminalError `TOOL_INPUT`, `TOOL_OUTPUT`, `TOOL_OUTCOME_UNKNOWN`; RetryableError `TOOL_TIMEOUT`; what the
   *   tool throws
   * @example
   * const [log, run] = await Promise.all([ctx.tools.readLog({ url }), ctx.tools.readRun({ url })])
   */
  readonly tools: ToolFunctions<T>
  /** How the attempt before this one went, when there was one: also when its process died. */
  readonly previousAttempt: PreviousAttempt | undefined
  /**
   * Sleeps without holding anything: the event is acked, its key is free for later events, and the server keeps the time.
   * Then the handler runs again from its beginning, is given the answers that it was given before, and goes on from here,
   * with the state as it is then. What is not done through `ctx` is done again.
   *
   * @param ms how long, in milliseconds; also days and months
   * @throws MurmurError `SLEEP` when it is no such number
   */
  sleep(ms: number): Promise<void>
  /**
   * Asks a person, and waits for the answer as {@link sleep} does. The question is an event (`murmur.question.asked`)
   * and stands in `murmur ask ls` until somebody answers it or its time is up.
   *
   * @returns the answer; the default when nobody gave one in time
   * @throws MurmurError `ASK_OPTION` (what, wanted and found)
   * @example
   * const answer = await ctx.ask("Roll acme/web back?", { choices: ["yes", "no"], default: "no", timeoutMs: 3_600_000 })
   */
  ask(question: string, options: AskOptions): Promise<string>
  /**
   * Models. Each answer is journaled: what was answered once is not asked, and not paid, again when the step runs again.
   *
   * @example
   * const { object } = await ctx.llm.object(Diagnosis, [system("You read CI logs."), user(log)])
   */
  readonly llm: Llm<ModelTool>
  /**
   * Gives a task to another agent, which takes tasks (`input`), and waits for its reply as {@link sleep} does. The task is
   * an event to that agent alone, done in a session of its own, wherever it runs.
   *
   * @param to the agent, or its name where its code is not at hand
   * @throws TerminalError `DELEGATE_FAILED` when it is given up, `DELEGATE_TIMEOUT` when its time is up without a default;
   *   `DELEGATE_INPUT`, `DELEGATE_OUTPUT`, `DELEGATE_TARGET`; MurmurError `DELEGATE_OPTION`
   * @example
   * const { answer } = await ctx.delegate(researcher, { question: "Who else uses it?" }, { deadlineMs: 600_000 })
   */
  delegate<A extends AgentDefinition>(to: A, input: InputOf<A>, options?: DelegateOptions): Promise<OutputOf<A>>
  delegate<Out = unknown>(to: string, input: unknown, options?: DelegateOptions): Promise<Out>
  /**
   * Gives tasks to several agents at once, and waits until enough results are there. What is enough is decided once: later
   * results change nothing, however often the step runs again.
   *
   * @returns a result for each task, in their order; an error is a result as well
   * @throws as {@link delegate}, but for what becomes of the tasks
   * @example
   * const results = await ctx.gather(
   *   reviewers.map((agent) => ({ agent, input: { text } })),
   *   { mode: "majority", deadlineMs: 600_000 },
   * )
   */
  gather<const T extends readonly GatherTask[]>(tasks: T, options?: GatherOptions): Promise<GatherResults<T>>
  /**
   * Gives the task that this step handles to another agent, which replies in its place. In a step that handles no task it
   * is a task that nobody waits for.
   *
   * @throws as {@link delegate}; TerminalError `REPLY_TWICE`, `HANDOFF_LIMIT`
   */
  handoff<A extends AgentDefinition>(to: A, input: InputOf<A>, options?: HandoffOptions): Promise<void>
  handoff(to: string, input: unknown, options?: HandoffOptions): Promise<void>
  /**
   * Answers the task that this step handles: what `ctx.delegate` returns. It is told when the step is committed. A step
   * that ends without a reply answers `null`; an error, when the agent has an `output` that `null` does not fit.
   *
   * @throws MurmurError `REPLY_NO_TASK` when this step handles none; TerminalError `REPLY_OUTPUT`, `REPLY_TWICE`
   */
  reply(output: unknown): void
  /**
   * A context of its own for what runs beside something else in this step and makes several calls: so that the step is the
   * same on each attempt, whichever is faster. `parallel` and `mapReduce` do this by themselves.
   */
  branch(): BranchContext
  /** When the event was stored: the time of the step, the same on each attempt. */
  now(): Date
  /** A number from 0 to 1; the same sequence on each attempt. */
  random(): number
}

/** What a `react` function is given for one key. */
export interface ReactContext {
  readonly agent: string
  readonly key: string | undefined
  readonly log: Log
}

/** Checks drafts against what their producer may emit. */
export class EmitGate {
  readonly #allowed: ReadonlyMap<string, AnyEventDefinition>

  constructor(
    private readonly producer: string,
    emits: readonly AnyEventDefinition[],
  ) {
    this.#allowed = new Map(emits.map((definition) => [definition.type, definition]))
  }

  /**
   * The draft with its data as the schema returns it.
   *
   * @throws MurmurError `EMIT_UNDECLARED`, `EVENT_DATA`, `EVENT_KEY`, and what {@link checkDraft} throws
   */
  check(draft: EventDraft): EventDraft {
    const definition = this.#allowed.get(draft?.type)
    if (definition === undefined) {
      throw new MurmurError(
        `"${this.producer}" cannot emit "${draft?.type}": it declares ${[...this.#allowed.keys()].join(", ") || "nothing"} in "emits"`,
        { code: "EMIT_UNDECLARED", details: { producer: this.producer, type: draft?.type } },
      )
    }
    checkDraft(draft)
    const checked = definition.schema.safeParse(draft.data)
    if (checked.success) {
      return { ...draft, data: checked.data, key: this.#key(draft.type, draft.key ?? definition.keyOf(checked.data)) }
    }
    const issues = checked.error.issues.map((issue) => ({ path: issue.path.join("."), message: issue.message }))
    const first = issues[0]
    throw new MurmurError(
      `"${this.producer}" cannot emit "${draft.type}": its data does not fit the schema at "${first?.path}": ${first?.message}`,
      { code: "EVENT_DATA", details: { type: draft.type, issues } },
    )
  }

  #key(type: string, key: unknown): string | undefined {
    if (key === undefined || typeof key === "string") return key
    throw new MurmurError(
      `"${this.producer}" cannot emit "${type}": its key must be a string, is ${JSON.stringify(key)}`,
      {
        code: "EVENT_KEY",
      },
    )
  }
}
