import type { EventDraft, MurmurEvent } from "../../bus/event.js"
import type { BrokerEmbedRequest, BrokerRequest } from "../../gateways/broker/broker.js"
import type { LlmPort } from "../../gateways/llm/port.js"
import type { ToolCall } from "../../gateways/messages/message.js"
import type { Log } from "../../telemetry/ports.js"
import type { DeployedMind } from "../minds/mindful-context.js"
import type { ToolWay } from "../tools/perform-tool.js"
import type { EncodedError } from "./error-crossing.js"

/**
 * What a node and a worker say to each other. Data crosses by structured clone; what a step leaves behind (outputs,
 * entries, answers) crosses as JSON, since that is how it is stored.
 */

/** The first message: which agent the worker is for. */
export interface LoadMessage {
  readonly kind: "load"
  readonly agent: string
  readonly file: string
  readonly fingerprint: string
  readonly memoryMbMax: number
  /** Process id of the node: a worker does not outlive it. */
  readonly nodePid: number
}

/** What a handler may read of its step without asking the node. */
export interface StepFacts {
  readonly key: string | undefined
  readonly attempt: number
  /** The time of the step, milliseconds since the epoch. */
  readonly now: number
  /** With what the runtime keeps in it. */
  readonly state: unknown
  readonly previousAttempt: unknown
  /** What it asks of a model when it says nothing else. */
  readonly llm: LlmPort<never>["defaults"]
  /** What its deployment makes of its mind. */
  readonly mind: DeployedMind
}

/** How something went that one side did for the other. */
export type Answer =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: EncodedError }

/** What a node tells its worker. */
export type HostMessage =
  | LoadMessage
  | { readonly kind: "begin"; readonly run: number; readonly event: MurmurEvent; readonly facts: StepFacts }
  | { readonly kind: "answer"; readonly run: number; readonly call: number; readonly answer: Answer }
  /** Do what only the worker can: the function of one of its calls. */
  | { readonly kind: "work"; readonly run: number; readonly call: number; readonly input?: unknown }
  /** The step is over for the node: its time is up, it is suspended, or the node stops. */
  | { readonly kind: "abort"; readonly run: number; readonly error: EncodedError }

/** Where a call stands among those of its step; numbered by the worker. */
interface Position {
  readonly position: number
}

/** The branch that is a call's own: it stands for several. */
interface Path {
  readonly path: string
}

interface Urgency {
  readonly priority?: number | undefined
  readonly deadlineMs?: number | undefined
}

interface Task {
  readonly to: string
  readonly input: unknown
  readonly options: unknown
}

/** A call of the context that the node answers. */
export type Call =
  | ({ readonly method: "run"; readonly name: string } & Position)
  /** What a `run` has answered before. */
  | ({ readonly method: "recall"; readonly name: string } & Position)
  | ({ readonly method: "sleep"; readonly ms: number } & Position)
  | ({ readonly method: "ask"; readonly question: string; readonly options: unknown } & Position)
  | ({ readonly method: "tool"; readonly name: string; readonly input: unknown } & Position)
  | ({ readonly method: "complete"; readonly request: BrokerRequest } & Urgency & Position)
  | ({ readonly method: "embed"; readonly request: BrokerEmbedRequest } & Urgency & Position)
  /** A tool call that a model asks for. */
  | ({ readonly method: "model-tool"; readonly name: string; readonly call: ToolCall } & Path)
  /** What a model is shown of something: at most so much, without secrets. */
  | ({ readonly method: "show"; readonly output: unknown } & Path)
  | ({ readonly method: "delegate" | "handoff" } & Task & Path)
  | ({ readonly method: "gather"; readonly tasks: readonly unknown[]; readonly options: unknown } & Path)

/** What the code of a tool is to do. */
export interface ToolOrder {
  readonly way: ToolWay
  readonly idempotencyKey: string
}

/** A state entry as the handler recorded it. */
export interface RecordedEntry {
  readonly name: string
  readonly data: unknown
}

/** What a handler that has returned leaves to its node, as JSON. */
export interface Harvest {
  readonly drafts: readonly EventDraft[]
  readonly entries: readonly RecordedEntry[]
  /** Replies to the task that the step handles. */
  readonly replies: readonly unknown[]
}

/** What a worker tells its node about the step that it runs. */
export type RunMessage =
  | { readonly kind: "call"; readonly run: number; readonly call: number; readonly what: Call }
  /** The outcome of a `work`. */
  | { readonly kind: "worked"; readonly run: number; readonly call: number; readonly answer: Answer }
  | {
      readonly kind: "log"
      readonly run: number
      readonly level: keyof Log
      readonly fields: object
      readonly message: string
    }
  | { readonly kind: "done"; readonly run: number; readonly harvest: string }
  | { readonly kind: "failed"; readonly run: number; readonly error: EncodedError }
  /** The handler can do nothing more but wait, after it was given so many answers. */
  | { readonly kind: "idle"; readonly run: number; readonly answers: number }
  /** Nothing of an aborted run is left but promises that never settle. */
  | { readonly kind: "left"; readonly run: number }

/** What a worker tells its node. */
export type WorkerMessage =
  | RunMessage
  | { readonly kind: "ready" }
  /** It cannot work: the agent does not load here. */
  | { readonly kind: "unfit"; readonly error: EncodedError }
  /** Something was thrown outside of any step's promise: the worker ends. */
  | { readonly kind: "crashed"; readonly error: EncodedError }
