import type { z } from "zod"
import { type AnyEventDefinition, defineEvent, type EventSelection, isEventDefinition } from "../bus/define-event.js"
import type { EventDraft, MurmurEvent } from "../bus/event.js"
import { derivedId } from "../bus/ids.js"
import { checkName } from "../bus/subjects.js"
import { MurmurError } from "../errors.js"
import { parseFilter } from "../router/filter.js"
import type { Labels } from "../router/labels.js"
import { parsePattern } from "../router/pattern.js"
import { taskType } from "../router/reserved.js"
import type { Evolvers, StepContext } from "./context.js"
import { type TaskData, taskSchema } from "./delegation/task.js"
import type { CheckedMind, InstructedOptions, MindOptions } from "./mind-options.js"
import { instructedHandle } from "./minds/instructed.js"
import { checkOptions } from "./options.js"
import type { Reaction } from "./reaction.js"
import type { StateDefinition } from "./sessions/session.js"
import { isTool, toolCode } from "./tools/define-tool.js"
import type { AnyTool } from "./tools/tool.js"

const AGENT = Symbol.for("murmur.agent")

/** A route written out: a pattern on types, with a JSON filter that every node can evaluate. */
export interface RouteTrigger<T = unknown> {
  readonly pattern: string
  readonly definition?: AnyEventDefinition | undefined
  /** CloudEvents Subscriptions dialect on attributes, `data` for a query on the data. */
  readonly filter?: unknown
  /** Of the exclusive routes that match an event only the one with the highest priority delivers. */
  readonly exclusive?: boolean
  /** Higher first. Default 0. */
  readonly priority?: number
  /** Only for the type of `T`. */
  readonly event?: (event: MurmurEvent<T>) => void
}

// biome-ignore lint/suspicious/noExplicitAny: a list of selections of different data has no common parameter type
type AnyEventSelection = EventSelection<any>

/** What an agent may name in `on`: an event, an event narrowed by a predicate, a route, or a pattern. */
export type Trigger = AnyEventDefinition | AnyEventSelection | RouteTrigger<never> | string

/** The event type that a trigger delivers. */
export type EventOf<T> = T extends (data: infer D, ...rest: never[]) => EventDraft
  ? MurmurEvent<D>
  : T extends EventSelection<infer D>
    ? MurmurEvent<D>
    : T extends RouteTrigger<infer D>
      ? MurmurEvent<D>
      : MurmurEvent

/** How failed attempts are repeated. */
export interface RetryOptions {
  /** How often a step is tried in all. Default 5. Then the event goes to the dead letters. */
  readonly attempts?: number
  /** Wait before the second attempt, in milliseconds; each further wait is four times as long. Default 1_000. */
  readonly backoffMs?: number
  /** The longest wait, in milliseconds. Default 120_000. */
  readonly backoffMsMax?: number
}

/** When an agent that fails again and again is kept from its events for a while, on the node where it does. */
export interface SupervisionOptions {
  /** So many events that failed, with no success in between, are too many; each counts once, however often it was tried. Default 5. */
  readonly intensity?: number
  /** Within what time they are, in milliseconds. Default 60_000. */
  readonly withinMs?: number
  /** How long the first quarantine is, in milliseconds; each further one in a row is twice as long. Default 30_000. */
  readonly quarantineMs?: number
  /** The longest quarantine, in milliseconds. Default 600_000. */
  readonly quarantineMsMax?: number
}

/** Event-time windows of a `react` agent. */
export interface WindowOptions {
  /** How late an event may be, behind the newest of its key, in milliseconds. Later ones are counted and dropped. Default 0. */
  readonly latenessMs?: number
  /** A key from which nothing has come for so long has its windows closed, in milliseconds. Default 30_000. */
  readonly idleTimeoutMs?: number
  /**
   * How many events the open windows of a partition may hold, each counted once for every window that it is in. At the
   * bound nothing more is taken in and the agent shows `blocked: window`, until windows close. Default 50_000.
   */
  readonly openEventsMax?: number
}

/** Options of {@link defineAgent} that all agents share. */
export interface AgentOptions<On extends readonly Trigger[] = readonly Trigger[]> {
  readonly on: On
  /** The events it may emit. Anything else it emits is an error. */
  readonly emits?: readonly AnyEventDefinition[]
  /** One sentence for `murmur agents`. */
  readonly description?: string
  /** How many keys a node works on at a time. Default 64. Events of one key are always handled one after the other. */
  readonly concurrency?: number
  /** Over how many nodes its keys may spread. Default 1. Changing it needs a new deployment of its consumers. */
  readonly partitions?: 1 | 8 | 64
  /**
   * Labels that a node must have to host it, all of them: `{ gpu: "true" }`. A node is labelled by `murmur up --label`.
   * Default: any node may.
   */
  readonly nodeSelector?: Labels
  /** How many events a node may hold unfinished. Default 1_000. */
  readonly inflightMax?: number
  /** Where its history begins when it is new: `now` (default), `start`, or a time. */
  readonly from?: "now" | "start" | Date
  readonly retry?: RetryOptions
  /** How long one attempt may take, in milliseconds. `ctx.signal` is aborted then and the attempt has failed. Default 600_000. */
  readonly stepTimeoutMs?: number
  /** Events deeper than this in their causal tree go to the dead letters as a loop. Default 16. */
  readonly hopsMax?: number
  /** Triggered so often by its own descendants, it is warned about: log, metric and `murmur.guard.warned`. Default 3. */
  readonly cyclesWarn?: number
  /** Triggered more often than this by its own descendants, the event goes to the dead letters as a loop. Default 8. */
  readonly cyclesMax?: number
  readonly window?: WindowOptions
  /** How much of the recent past a `react` agent is fed again at start, in milliseconds, to warm operators that are not windows. */
  readonly horizonMs?: number
}

/** The state of an agent's sessions. */
export interface StateOptions<S, E extends Evolvers<S>> {
  /** The state of a session that has no log yet. */
  readonly initial: S
  /** What each kind of entry does to the state: pure functions, since the log is folded through them again and again. */
  readonly evolve: E
  /** Raise it when `evolve` means something else: snapshots are made anew. Default 1. */
  readonly version?: number
  /** A snapshot is written after so many commits of a session. Default 200. */
  readonly snapshotEvery?: number
  /**
   * How many commits of a session are kept behind its newest snapshot; older ones are deleted, and time travel ends
   * there. Default: all.
   */
  readonly keepCommits?: number
  /** Turns the state of an older `version` into one of this version: needed only where the commits that made it are deleted. */
  readonly migrate?: (state: unknown, version: number) => S
  /** How many bytes of sessions a node keeps in memory; those used longest ago are read again. Default 64 MiB. */
  readonly warmBytesMax?: number
}

/** An agent that handles one event in one step. */
export interface HandlerOptions<
  On extends readonly Trigger[] = readonly Trigger[],
  S = undefined,
  E extends Evolvers<S> = Evolvers<S>,
  T extends readonly AnyTool[] = readonly AnyTool[],
  I extends z.ZodObject | undefined = undefined,
  O extends z.ZodType | undefined = z.ZodType | undefined,
> extends StepOptions<On, S, E, T, I, O> {
  handle(event: EventOf<On[number]> | TaskOf<I>, ctx: StepContext<S, E, T>): Promise<void> | void
  readonly react?: never
  readonly instructions?: never
}

/** An agent whose model decides, with tools, what is done with an event. */
export interface InstructionOptions<
  On extends readonly Trigger[] = readonly Trigger[],
  S = undefined,
  E extends Evolvers<S> = Evolvers<S>,
  T extends readonly AnyTool[] = readonly AnyTool[],
  I extends z.ZodObject | undefined = undefined,
  O extends z.ZodType | undefined = z.ZodType | undefined,
> extends StepOptions<On, S, E, T, I, O>,
    InstructedOptions {
  readonly handle?: never
  readonly react?: never
}

/** Options of agents that handle one event in one step. */
export interface StepOptions<
  On extends readonly Trigger[],
  S,
  E extends Evolvers<S>,
  T extends readonly AnyTool[],
  I extends z.ZodObject | undefined,
  O extends z.ZodType | undefined = z.ZodType | undefined,
> extends AgentOptions<On>,
    Omit<MindOptions, "input" | "output"> {
  /** What its tasks are about: with it other agents may delegate to it (`ctx.delegate`). */
  readonly input?: I
  /** What it replies to a task. Default: anything. */
  readonly output?: O
  /** What it may call as `ctx.tools.<name>`, made by `defineTool`. */
  readonly tools?: T
  /**
   * `key`: events of one key are handled one after the other, in the order in which they were stored. `none`: any node
   * takes any event, and slow ones hold up nobody. Sessions of agents with `state` take one event at a time all the same,
   * in no order. Default `key`.
   */
  readonly ordering?: "key" | "none"
  /** When it is quarantined: nothing is handed to it for a while, its backlog is kept. */
  readonly supervision?: SupervisionOptions
  /**
   * Where its steps run. `worker`: in processes of their own, so that a handler that never ends, or takes all memory,
   * ends its own step and neither its node nor another agent. Default `none`: in the node.
   */
  readonly isolation?: "none" | "worker"
  /** How much memory a worker may take, in MiB: heap and buffers. Goes with `isolation: "worker"`. Default 256. */
  readonly memoryMbMax?: number
  /** With it each key has a state of its own, kept as a log of entries. */
  readonly state?: StateOptions<S, E>
}

/** The event that brings a task to an agent with `input`. */
export type TaskOf<I> = I extends z.ZodObject ? MurmurEvent<TaskData & { readonly input: z.output<I> }> : never

/** What the tasks of an agent are about, and what it replies, by its schemas. */
export interface TasksOf<I, O> {
  readonly input: I
  readonly output: O
}

/** An agent that is a function from a stream of events to a stream of events, one stream per key. */
export interface ReactOptions<On extends readonly Trigger[] = readonly Trigger[]> extends AgentOptions<On> {
  readonly react: Reaction<EventOf<On[number]>>
  readonly handle?: never
  readonly instructions?: never
}

/** A trigger in one form: a route with an optional predicate and an optional definition. */
export interface NormalTrigger {
  readonly pattern: string
  readonly definition: AnyEventDefinition | undefined
  readonly predicate: ((event: MurmurEvent) => boolean) | undefined
  readonly filter: unknown
  readonly exclusive: boolean
  readonly priority: number
}

/** The state of an agent, checked. */
export interface AgentState extends StateDefinition {
  readonly snapshotEvery: number
  readonly keepCommits: number
  readonly warmBytesMax: number
}

/** What {@link defineAgent} returns: everything checked, every default filled in. */
export interface AgentDefinition extends CheckedMind {
  readonly name: string
  readonly description: string | undefined
  readonly triggers: readonly NormalTrigger[]
  readonly emits: readonly AnyEventDefinition[]
  readonly concurrency: number
  readonly partitions: 1 | 8 | 64
  readonly nodeSelector: Labels
  readonly ordering: "key" | "none"
  readonly inflightMax: number
  readonly from: "now" | "start" | Date
  readonly retry: Required<RetryOptions>
  readonly supervision: Required<SupervisionOptions>
  readonly stepTimeoutMs: number
  readonly hopsMax: number
  readonly cyclesWarn: number
  readonly cyclesMax: number
  readonly window: Required<WindowOptions>
  readonly horizonMs: number
  readonly isolation: "none" | "worker"
  readonly memoryMbMax: number
  readonly state: AgentState | undefined
  readonly tools: readonly AnyTool[]
  /** A hash of the definition, code included: which code committed what. */
  readonly code: string
  readonly behaviour:
    | { readonly kind: "handle"; handle(event: MurmurEvent, ctx: StepContext): Promise<void> | void }
    | { readonly kind: "react"; readonly react: Reaction }
}

/**
 * Defines an agent: what it reacts to, how, and what it may emit.
 *
 * @param name its name on the bus: producer of its events, part of its consumers' names
 * @throws MurmurError `NAME_INVALID`, `AGENT_OPTION` (option, wanted and found), `ROUTE_PATTERN`, `ROUTE_FILTER`
 * @example
 * export default defineAgent("triage", {
 *   on: [RunCompleted.where((e) => e.data.conclusion === "failure")],
 *   emits: [Incident],
 *   handle(event, ctx) {
 *     ctx.emit(Incident({ repository: event.data.repository, url: event.data.url }))
 *   },
 * })
 */
export function defineAgent<
  const On extends readonly Trigger[],
  S = undefined,
  E extends Evolvers<S> = Evolvers<S>,
  const T extends readonly AnyTool[] = readonly [],
  I extends z.ZodObject | undefined = undefined,
  O extends z.ZodType | undefined = undefined,
>(
  name: string,
  options: HandlerOptions<On, S, E, T, I, O> | InstructionOptions<On, S, E, T, I, O> | ReactOptions<On>,
): AgentDefinition & TasksOf<NoInfer<I>, NoInfer<O>> {
  checkName(name, "agent")
  const checked = checkOptions(name, options)
  const triggers = options.on.map((trigger) => normalise(name, trigger))
  if (checked.input !== undefined) triggers.push(normalise(name, taskEvent(name, checked.input)))
  const definition: AgentDefinition = {
    name,
    ...checked,
    triggers,
    emits: options.emits ?? [],
    code: codeOf(options),
    behaviour: behaviourOf(name, options, checked),
  }
  return Object.defineProperty(definition, AGENT, { value: true }) as AgentDefinition & TasksOf<I, O>
}

function behaviourOf(
  name: string,
  options: { readonly handle?: unknown; readonly react?: unknown; readonly emits?: readonly AnyEventDefinition[] },
  checked: CheckedMind & Pick<AgentDefinition, "tools">,
): AgentDefinition["behaviour"] {
  const { react, handle, emits = [] } = options
  if (typeof react === "function") return { kind: "react", react: react.bind(options) }
  if (typeof handle === "function") return { kind: "handle", handle: handle.bind(options) }
  const { instructions = "" } = checked
  return { kind: "handle", handle: instructedHandle({ name, emits, ...checked, instructions }) }
}

function taskEvent(name: string, input: z.ZodObject): AnyEventDefinition {
  return defineEvent(taskType(name), taskSchema(input)) as unknown as AnyEventDefinition
}

function codeOf(options: object): string {
  const text = JSON.stringify(options, (_, value) => {
    if (isTool(value)) return toolCode(value)
    return typeof value === "function" ? String(value) : value
  })
  return derivedId(text).slice(0, 10)
}

/** Whether `value` came from {@link defineAgent} (also of another loaded copy of murmur). */
export function isAgent(value: unknown): value is AgentDefinition {
  return typeof value === "object" && value !== null && AGENT in value
}

/**
 * A trigger with a JSON filter, which travels to every node, so that it may be exclusive.
 *
 * @example
 * on: [route(PullRequest, { filter: { prefix: { subject: "acme/" } }, exclusive: true, priority: 10 })]
 */
export function route<T>(
  event: ((data: T, ...rest: never[]) => EventDraft) | string,
  options: { filter?: unknown; exclusive?: boolean; priority?: number } = {},
): RouteTrigger<T> {
  if (typeof event === "string") return { pattern: event, ...options }
  const definition = event as unknown as AnyEventDefinition
  return { pattern: definition.type, definition, ...options }
}

const ROUTE_OPTIONS = ["pattern", "definition", "filter", "exclusive", "priority", "event"]

function checkRoute(agent: string, { pattern, definition, exclusive, priority, ...more }: RouteTrigger<never>): void {
  const fail = (why: string): never => {
    throw new MurmurError(`Cannot create agent "${agent}": the route on "${String(pattern)}" ${why}`, {
      code: "AGENT_OPTION",
    })
  }
  const unknown = Object.keys(more).find((name) => !ROUTE_OPTIONS.includes(name))
  if (unknown !== undefined) fail(`has the unknown option "${unknown}" (known: filter, exclusive, priority)`)
  if (definition !== undefined && !isEventDefinition(definition)) fail("has a definition that defineEvent did not make")
  if (exclusive !== undefined && typeof exclusive !== "boolean") {
    fail(`must be exclusive or not: true or false, is ${String(exclusive)}`)
  }
  if (priority !== undefined && !Number.isSafeInteger(priority))
    fail(`must have an integer priority, is ${String(priority)}`)
}

function normalise(agent: string, trigger: Trigger): NormalTrigger {
  const plain = { predicate: undefined, filter: undefined, definition: undefined, exclusive: false, priority: 0 }
  if (typeof trigger === "string") return { ...plain, pattern: parsePattern(trigger) }
  if (isEventDefinition(trigger)) return { ...plain, pattern: trigger.type, definition: trigger }
  if (typeof trigger === "object" && trigger !== null && "predicate" in trigger) {
    const { type, definition, predicate } = trigger
    return {
      ...plain,
      pattern: type,
      definition: definition as unknown as AnyEventDefinition,
      predicate: predicate as never,
    }
  }
  if (typeof trigger !== "object" || trigger === null || !("pattern" in trigger)) {
    throw new MurmurError(
      `Cannot create agent "${agent}": an entry of "on" must be an event, Event.where(...), route(...) or a pattern, is ${String(trigger)}`,
      { code: "AGENT_OPTION" },
    )
  }
  checkRoute(agent, trigger)
  return {
    ...plain,
    pattern: parsePattern(trigger.pattern),
    definition: trigger.definition,
    filter: trigger.filter === undefined ? undefined : parseFilter(trigger.filter),
    exclusive: trigger.exclusive ?? false,
    priority: trigger.priority ?? 0,
  }
}
