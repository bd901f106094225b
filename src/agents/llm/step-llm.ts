import { TerminalError } from "../../errors.js"
import type {
  Broker,
  BrokerCall,
  BrokerCompletion,
  BrokerEmbeddings,
  BrokerEmbedRequest,
  BrokerRequest,
} from "../../gateways/broker/broker.js"
import type { ToolSpec } from "../../gateways/completion.js"
import { jsonSchemaOf } from "../../gateways/llm/object.js"
import type { LlmCalls, LlmPort, Manner, ToolOutcome } from "../../gateways/llm/port.js"
import type { ToolCall } from "../../gateways/messages/message.js"
import type { AgentDefinition } from "../define-agent.js"
import type { Journal } from "../journal/journal.js"
import { shownRequest } from "../minds/shown-request.js"
import type { Positions } from "../positions.js"
import type { Caller, ModelTool } from "../step-calls.js"
import type { AttemptCore } from "../step-core.js"
import { fitResult } from "../tools/fit-result.js"
import type { Perform } from "../tools/perform-tool.js"
import type { AnyTool } from "../tools/tool.js"
import type { MindPorts } from "./ports.js"
import { redactAll } from "./redact-all.js"
import { runStepTool } from "./run-step-tool.js"
import { RunTeller } from "./run-teller.js"
import { isStepTool } from "./step-tool.js"
import { callForModel } from "./told-tool.js"

/** A context that asks a model. */
export interface Asking extends Caller {
  readonly core: AttemptCore
}

const specs = new WeakMap<ModelTool, ToolSpec>()

/** `ctx.llm`: each answer is journaled, so that a step that runs again is given what it was given before. */
export function llmPort(asking: Asking): LlmPort<ModelTool> {
  const { core, at } = asking
  const { definition, ports } = core
  return {
    who: `"${definition.name}"`,
    defaults: llmDefaults(definition, ports.minds),
    now: () => ports.clock.now(),
    specOf,
    begin: (several) => new StepLlmCalls(asking, several ? at.branch() : at),
  }
}

/** What an agent asks for when a call says nothing else: what its deployment says, else what it says itself. */
export function llmDefaults(
  { name, model, llm }: Pick<AgentDefinition, "name" | "model" | "llm">,
  minds: MindPorts | undefined,
): LlmPort<ModelTool>["defaults"] {
  const overrides = minds?.overridesOf(name)
  return { model: overrides?.model ?? model ?? minds?.defaultModel, options: { ...llm, ...overrides?.llm } }
}

/** What one call of a model asks and does, at positions that are numbered elsewhere. */
export function llmCalls(asking: Asking): StepLlmCalls {
  return new StepLlmCalls(asking, asking.at)
}

/** A tool as a model sees it. */
export function specOf(tool: ModelTool): ToolSpec {
  const known = specs.get(tool)
  if (known !== undefined) return known
  const spec = { name: tool.name, description: tool.description, parameters: jsonSchemaOf(tool.input) }
  specs.set(tool, spec)
  return spec
}

/** Whether a model was asked before, so that the mesh knows of the run. Other calls may well come before the first. */
function wasTold(attempt: number, journal: Journal): boolean {
  return attempt > 1 || journal.calls.some(({ call }) => call === "llm" || call === "embed")
}

/** So much of a tool's result a model is shown; where the rest is, it is told. */
const RESULT_BYTES_MAX = 32_768

/** What one `text`, `object`, `stream` or `embed` of a step asks and does. */
export class StepLlmCalls implements LlmCalls<ModelTool> {
  constructor(
    private readonly step: Asking,
    private readonly at: Positions,
  ) {}

  async complete(request: BrokerRequest, manner: Manner): Promise<BrokerCompletion> {
    const { messages, tools, toolChoice, object } = request
    // not the model: it may be another one when the step goes on, and what it has answered stands
    const asked = [messages, tools?.map(({ name }) => name) ?? null, toolChoice ?? null, object ?? null]
    return this.#ask("llm", asked, async (broker, call, teller) => {
      const { core, ctx } = this.step
      const shown = shownRequest(request, core.definition, core.ports.minds, ctx.previousAttempt)
      const telling = teller.asking(manner.onPart)
      const { onPart } = telling
      try {
        const how = { ...call, ...urgency(manner), ...(onPart && { onPart }) }
        const answer = redactAll(await broker.complete(shown, how), core.ports.redact)
        teller.answered(answer)
        telling.answered(answer.message)
        return answer
      } finally {
        telling.end()
      }
    })
  }

  async embed(request: BrokerEmbedRequest, manner: Manner): Promise<BrokerEmbeddings> {
    const asked = [request.texts, request.dimensions ?? null]
    return this.#ask("embed", asked, async (broker, call, teller) => {
      const answer = await broker.embed(request, { ...call, ...urgency(manner) })
      teller.answered(answer)
      return answer
    })
  }

  async #ask<T extends BrokerCompletion | BrokerEmbeddings>(
    label: string,
    asked: unknown,
    ask: (broker: Broker, call: BrokerCall, teller: RunTeller) => Promise<T>,
  ): Promise<T> {
    const { core, ctx } = this.step
    const { ports } = core
    core.mustBeOpen("asked a model")
    const { minds } = ports
    if (minds === undefined) throw noModels(core.definition.name)
    const make = async (journal: Journal, call: Parameters<Journal["call"]>[0]): Promise<T> => {
      await journal.settled(call.position) // an attempt that has failed may still be in it: its answer is paid
      const teller = this.#teller(journal)
      const work = async (): Promise<T> => {
        const { signal } = ctx
        const { deadlineMs } = core // a provider that is left alone for a while is waited for
        const asking = { signal, agent: core.definition.name, trace: teller.trace, meter: core.meter, deadlineMs }
        return ask(minds.broker, asking, teller)
      }
      return journal.call(call, work, core.effects.note)
    }
    const answer = await core.effects.journaled(label, asked, make, this.at)
    core.bill.add(answer)
    return answer
  }

  #teller(journal: Journal): RunTeller {
    const { core } = this.step
    const { of, ports, definition } = core
    const goesOn = wasTold(of.attempt, journal)
    const tainted = (): boolean => core.tainted
    of.input.teller ??= new RunTeller({ agent: definition.name, run: of, ports, goesOn, tainted })
    return of.input.teller
  }

  prepareTool(tool: ModelTool, call: ToolCall): () => Promise<ToolOutcome> {
    const at = this.at.branch()
    const { core } = this.step
    return () =>
      this.#told(call, () =>
        isStepTool(tool)
          ? runStepTool(tool, call, { core, parent: this.step.ctx, at, event: core.of.input.event }, (output) =>
              this.show(output),
            )
          : this.#tool(tool, call, at, core.performer(tool)),
      )
  }

  /** Makes a call of a tool whose code runs elsewhere. */
  toolElsewhere(tool: AnyTool, call: ToolCall, perform: (input: unknown) => Perform): Promise<ToolOutcome> {
    return this.#told(call, () => this.#tool(tool, call, this.at, perform))
  }

  async #told(call: ToolCall, run: () => Promise<ToolOutcome>): Promise<ToolOutcome> {
    const { core } = this.step
    core.mustBeOpen("called tool", call.name)
    const { input } = core.of
    input.teller?.toolStarted(call)
    const outcome = await run()
    input.teller?.toolEnded(call, outcome)
    return outcome
  }

  #tool(tool: AnyTool, call: ToolCall, at: Positions, perform: (input: unknown) => Perform): Promise<ToolOutcome> {
    const { core, ctx } = this.step
    return callForModel({
      core,
      tool,
      call,
      at,
      perform,
      signal: () => ctx.signal,
      show: (output) => this.show(output),
    })
  }

  /** What a model is shown of a tool's output. */
  async show(output: unknown): Promise<string> {
    const { effects, ports } = this.step.core
    const { redact, toolServices } = ports
    const release = effects.hold() // what is cut is kept, which takes a while: a person who is asked beside it can wait
    try {
      return (await fitResult(output, { maxBytes: RESULT_BYTES_MAX, artifacts: toolServices?.artifacts, redact })).text
    } finally {
      release()
    }
  }
}

function urgency({ priority, deadlineMs }: Manner): Pick<BrokerCall, "priority" | "deadlineMs"> {
  return { ...(priority !== undefined && { priority }), ...(deadlineMs !== undefined && { deadlineMs }) }
}

function noModels(agent: string): TerminalError {
  return new TerminalError(`"${agent}" cannot ask a model: this node has no models. See docs/models.md`, {
    code: "LLM_GATEWAY",
  })
}
