import type { EventDraft, TraceContext } from "../../bus/event.js"
import { errorCode } from "../../errors.js"
import type { BrokerCompletion } from "../../gateways/broker/broker.js"
import type { StreamPart } from "../../gateways/completion.js"
import { Bill, type ToolOutcome } from "../../gateways/llm/port.js"
import type { ToolCall } from "../../gateways/messages/message.js"
import type { Span } from "../../telemetry/ports.js"
import { GuardTripped } from "../guards/guard-tripped.js"
import type { Outcome, Run, StepPorts } from "../step-ports.js"
import { redactAll } from "./redact-all.js"
import { RunEvents } from "./run-events.js"
import { TextBatch } from "./text-batch.js"
import { WholeWords } from "./whole-words.js"

/** A run that is told about. */
export interface Told {
  readonly agent: string
  readonly run: Run
  readonly ports: StepPorts
  /** Whether it has begun before: in an earlier attempt, or before it waited. */
  readonly goesOn: boolean
}

/** Tells the mesh and the trace how one run goes on, from the first time that it asks a model. */
export class RunTeller {
  readonly #bill = new Bill()
  readonly #span: Span | undefined
  readonly #content: TextBatch
  readonly #reasoning: TextBatch
  #reasons = false
  /** Whether the answer that comes now was told piece by piece. */
  #streamed = false

  constructor(private readonly told: Told) {
    const { agent, run, ports, goesOn } = told
    const { clock } = ports
    this.#span = ports.telemetry.tracing.enabled
      ? ports.telemetry.tracing.start(`invoke_agent ${agent}`, {
          kind: "internal",
          ...(run.span !== undefined && { parent: run.span.context }),
          attributes: { "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": agent },
        })
      : undefined
    this.#content = new TextBatch(clock, (text) => this.#tell(RunEvents.content({ ...this.#of, text })))
    this.#reasoning = new TextBatch(clock, (text) => this.#tell(RunEvents.reasoningStep({ ...this.#of, text })))
    this.#tell(goesOn ? RunEvents.continued(this.#of) : RunEvents.started(this.#of))
  }

  /** Parent of the spans of what the run asks. */
  get trace(): TraceContext | undefined {
    return this.#span?.context ?? this.told.run.span?.context ?? this.told.run.input.event.trace
  }

  /** Who hears the pieces of an answer: whoever asked, and the mesh. `undefined` where nobody has to. */
  listen(onPart: ((part: StreamPart) => void) | undefined): ((part: StreamPart) => void) | undefined {
    this.#streamed = onPart !== undefined
    if (onPart === undefined) return undefined
    const { redact } = this.told.ports
    const words = { text: new WholeWords(redact), reasoning: new WholeWords(redact) }
    const pass = (type: "text" | "reasoning", text: string): void => {
      if (text === "") return
      onPart({ type, text })
      if (type === "text") this.#says(text)
      else this.#thinks(text)
    }
    return (part) => {
      if (part.type !== "reasoning") pass("reasoning", words.reasoning.rest())
      if (part.type !== "text") pass("text", words.text.rest())
      if (part.type === "text" || part.type === "reasoning") pass(part.type, words[part.type].add(part.text))
      else onPart(redactAll(part, redact))
    }
  }

  /** A model has answered, secrets are taken out; not told of what the step was given before. */
  answered(answer: BrokerCompletion): void {
    this.#bill.add(answer)
    const { content, reasoning } = answer.message
    if (!this.#streamed && reasoning !== undefined && reasoning !== "") this.#thinks(reasoning)
    this.#thoughtThrough()
    if (!this.#streamed && content !== "") this.#says(content)
    this.#content.flush()
    this.#streamed = false
  }

  #thinks(text: string): void {
    if (!this.#reasons) this.#tell(RunEvents.reasoningStarted(this.#of))
    this.#reasons = true
    if (this.told.ports.minds?.tellContent === true) this.#reasoning.add(text)
  }

  #thoughtThrough(): void {
    if (!this.#reasons) return
    this.#reasoning.flush()
    this.#reasons = false
    this.#tell(RunEvents.reasoningCompleted(this.#of))
  }

  #says(text: string): void {
    this.#thoughtThrough()
    if (this.told.ports.minds?.tellContent === true) this.#content.add(text)
  }

  toolStarted({ id, name, arguments: input }: ToolCall): void {
    const shown = this.told.ports.minds?.tellContent === true ? redactAll(input, this.told.ports.redact) : null
    this.#tell(RunEvents.toolCallStarted({ ...this.#of, call: id, tool: name, input: shown }))
  }

  toolEnded({ id, name }: ToolCall, { content, isError }: ToolOutcome): void {
    const shown = this.told.ports.minds?.tellContent === true ? content.slice(0, SHOWN_MAX) : ""
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

  /** The attempt is over. */
  ended(outcome: Outcome): void {
    this.#content.flush()
    this.#thoughtThrough()
    this.#tell(this.#last(outcome))
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

  #tell(draft: EventDraft): void {
    const { agent, run, ports } = this.told
    const cause = run.input.event
    const keyed = cause.key === undefined ? draft : { ...draft, key: cause.key }
    ports.minds?.tell(keyed, { agent, cause })
  }
}

const SHOWN_MAX = 2_000
