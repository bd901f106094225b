import type { EventDraft, TraceContext } from "../../bus/event.js"
import { errorCode } from "../../errors.js"
import type { BrokerCompletion, BrokerEmbeddings } from "../../gateways/broker/broker.js"
import type { StreamPart } from "../../gateways/completion.js"
import { Bill, type ToolOutcome } from "../../gateways/llm/port.js"
import type { ToolCall } from "../../gateways/messages/message.js"
import type { Span } from "../../telemetry/ports.js"
import { GuardTripped } from "../guards/guard-tripped.js"
import type { Outcome, Run, StepPorts } from "../step-ports.js"
import { AnswerTeller } from "./answer-teller.js"
import { redactAll } from "./redact-all.js"
import { RunEvents } from "./run-events.js"

/** A run that is told about. */
export interface Told {
  readonly agent: string
  readonly run: Run
  readonly ports: StepPorts
  /** Whether it has begun before: in an earlier attempt, or before it waited. */
  readonly goesOn: boolean
  /** Whether outsiders have a say in the run by now. */
  readonly tainted: () => boolean
}

/** Tells the mesh and the trace how one run goes on, from the first time that it asks a model. */
export class RunTeller {
  readonly #bill = new Bill()
  readonly #span: Span | undefined
  #over = false

  constructor(private readonly told: Told) {
    const { agent, run, ports, goesOn } = told
    this.#span = ports.telemetry.tracing.enabled
      ? ports.telemetry.tracing.start(`invoke_agent ${agent}`, {
          kind: "internal",
          ...(run.span !== undefined && { parent: run.span.context }),
          attributes: { "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent },
        })
      : undefined
    this.#tell(goesOn ? RunEvents.continued(this.#of) : RunEvents.started(this.#of))
  }

  /** Parent of the spans of what the run asks. */
  get trace(): TraceContext | undefined {
    return this.#span?.context ?? this.told.run.span?.context ?? this.told.run.input.event.trace
  }

  /** A model is asked. @param onPart of whoever asks, for an answer that comes piece by piece */
  asking(onPart: ((part: StreamPart) => void) | undefined): AnswerTeller {
    const { clock, redact } = this.told.ports
    return new AnswerTeller(
      {
        clock,
        redact,
        tellContent: this.#tellContent,
        onContent: (text) => this.#tell(RunEvents.content({ ...this.#of, text })),
        onReasoning: (what) => this.#tell(this.#reasoning(what)),
      },
      onPart,
    )
  }

  #reasoning(what: "started" | "completed" | { readonly step: string }): EventDraft {
    if (what === "started") return RunEvents.reasoningStarted(this.#of)
    if (what === "completed") return RunEvents.reasoningCompleted(this.#of)
    return RunEvents.reasoningStep({ ...this.#of, text: what.step })
  }

  /** A model has answered; not told of what the step was given before. */
  answered(answer: BrokerCompletion | BrokerEmbeddings): void {
    this.#bill.add(answer)
  }

  toolStarted({ id, name, arguments: input }: ToolCall): void {
    const shown = this.#tellContent ? shortened(redactAll(input, this.told.ports.redact)) : null
    this.#tell(RunEvents.toolCallStarted({ ...this.#of, call: id, tool: name, input: shown }))
  }

  toolEnded({ id, name }: ToolCall, { content, isError }: ToolOutcome): void {
    const shown = this.#tellContent ? content.slice(0, SHOWN_MAX) : ""
    const of = { ...this.#of, call: id, tool: name }
    this.#tell(
      isError
        ? RunEvents.toolCallFailed({ ...of, message: shown })
        : RunEvents.toolCallCompleted({ ...of, output: shown }),
    )
  }

  memoryUpdate(phase: "started" | "completed"): void {
    this.#tell(
      phase === "started" ? RunEvents.memoryUpdateStarted(this.#of) : RunEvents.memoryUpdateCompleted(this.#of),
    )
  }

  handoff(to: string, ok?: boolean): void {
    const of = { ...this.#of, to }
    this.#tell(ok === undefined ? RunEvents.handoffStarted(of) : RunEvents.handoffCompleted({ ...of, ok }))
  }

  /** The attempt is over. What goes on in it all the same is told no more. */
  ended(outcome: Outcome): void {
    this.#tell(this.#last(outcome))
    this.#over = true
    const { usage } = this.#bill.total
    this.#span?.set({
      "gen_ai.usage.input_tokens": usage.inputTokens,
      "gen_ai.usage.output_tokens": usage.outputTokens,
    })
    if (!outcome.ok) this.#span?.fail(outcome.error)
    this.#span?.end()
  }

  #last(outcome: Outcome): EventDraft {
    const { redact } = this.told.ports
    const { usage, costMicroUsd, turns } = this.#bill.total
    const run = { ...this.#of, usage, turns, ...(costMicroUsd !== undefined && { costMicroUsd }) }
    if (outcome.ok) {
      if (outcome.end === "suspended") return RunEvents.paused(run)
      return outcome.end === "done" ? RunEvents.completed(run) : RunEvents.cancelled(run)
    }
    const { error } = outcome
    if (this.told.run.stopping.aborted && !(error instanceof GuardTripped)) return RunEvents.cancelled(run)
    return RunEvents.failed({ ...run, error: { code: errorCode(error), message: redact(error.message) } })
  }

  get #of(): { run: string; agent: string; attempt: number } {
    const { agent, run } = this.told
    return { run: run.input.event.id, agent, attempt: run.attempt }
  }

  get #tellContent(): boolean {
    return this.told.ports.minds?.tellContent === true
  }

  #tell(draft: EventDraft): void {
    if (this.#over) return
    const { agent, run, ports } = this.told
    const cause = run.input.event
    const keyed = cause.key === undefined ? draft : { ...draft, key: cause.key }
    ports.minds?.tell(keyed, { agent, cause, trust: this.told.tainted() ? "external" : undefined })
  }
}

const SHOWN_MAX = 2_000

/** What a tool is called with; of much the beginning, as text. */
function shortened(input: unknown): unknown {
  const text = JSON.stringify(input) ?? ""
  return text.length > SHOWN_MAX ? text.slice(0, SHOWN_MAX) : input
}
