import type { MurmurEvent, TraceContext } from "../bus/event.js"
import type { Span, Telemetry } from "../telemetry/ports.js"
import type { Attempt } from "./dead-letters.js"
import type { EffectPorts, OpenJournal } from "./effects.js"
import type { StepGuards, StepMeter } from "./guards/guards.js"
import type { PreviousAttempt } from "./journal/attempts.js"
import type { Journal } from "./journal/journal.js"
import type { MindPorts } from "./llm/ports.js"
import type { RunTeller } from "./llm/run-teller.js"
import type { EventPort } from "./ports.js"
import type { CommitRecord, GivenUpRecord } from "./sessions/record.js"
import type { Session } from "./sessions/session.js"
import type { ToolServices } from "./tools/node-services.js"

/** Where the sessions of an agent with state are. */
export interface Sessions {
  load(key: string | undefined): Promise<Session>
  commit(session: Session, record: CommitRecord | GivenUpRecord): Promise<"stored" | "conflict">
  /** The commit that an event caused, if the log still has it. */
  findCommit(session: Session, causeId: string): Promise<CommitRecord | undefined>
  /** How an event was given up, if the log still tells. */
  findGivenUp(session: Session, causeId: string): Promise<GivenUpRecord | undefined>
  /** Forgets what is in memory: another writer was there, or may have been. */
  forget(key: string | undefined): void
}

/** The part of a node that a step needs. */
export interface StepPorts extends EffectPorts {
  readonly openJournal: OpenJournal
  readonly telemetry: Telemetry
  readonly names: { readonly mesh: string }
  readonly events: Pick<EventPort, "store" | "ids">
  /** Only for agents with state. */
  readonly sessions: Sessions | undefined
  readonly guards: StepGuards
  readonly nodeId: string
  /** What agents think with; `undefined` where the node has no models. */
  readonly minds?: MindPorts | undefined
  /** For the tools that the node runs itself. */
  readonly toolServices?: ToolServices | undefined
  /** Waits without holding one of the agent's places. */
  pause(wait: Promise<unknown>): Promise<unknown>
  /** Takes secrets out of what is written down of errors. */
  redact(text: string): string
}

/** One event for one step. */
export interface StepInput {
  readonly event: MurmurEvent
  /** When the server stored the event. */
  readonly storedAtMs: number
  /** Whether it came in stream order. What was sent to the agent alone did not. */
  readonly ordered: boolean
  /** Whether it is a dead letter that was sent back: given up before, it may be committed after all. */
  readonly sentBack: boolean
  /** Whether a process died that may have been in this step: then it is noted what is begun. */
  readonly careful: boolean
  /** The step's journal, once somebody has opened it: one for all attempts of this process. */
  journal: Promise<Journal> | undefined
  /** How the attempt before went, if there was one. */
  previousAttempt: PreviousAttempt | undefined
  /** Whether the guards have let it in: they are asked once, however often it is tried or suspended. */
  admitted: boolean
  /** What a suspended step goes on because of, besides its event: for its span. */
  readonly links?: readonly TraceContext[]
  /** Tells how the attempt goes on, once it has asked a model. */
  teller?: RunTeller | undefined
}

/** How one attempt ended. */
export type Outcome =
  /** `given-up`: before, or by another node that ran the same step. */
  | { readonly ok: true; readonly end: "done" | "suspended" | "given-up" }
  | { readonly ok: false; readonly error: Error; readonly attempt: Attempt }

/** What one attempt is made with. */
export interface Run {
  readonly input: StepInput
  readonly attempt: number
  readonly span: Span | undefined
  readonly stopping: AbortSignal
  /** Counts what the step spends on models, once it has asked one. */
  meter?: StepMeter | undefined
}
