import { ensureError, isMurmurError, TerminalError } from "../../errors.js"
import type {
  Broker,
  BrokerCall,
  BrokerCompletion,
  BrokerEmbeddings,
  BrokerEmbedRequest,
  BrokerRequest,
} from "../../gateways/broker/broker.js"
import type { ToolSpec } from "../../gateways/completion.js"
import type { Llm } from "../../gateways/llm/llm.js"
import { llmOf } from "../../gateways/llm/llm-of.js"
import { jsonSchemaOf } from "../../gateways/llm/object.js"
import type { LlmCalls, LlmPort, Manner, ToolOutcome } from "../../gateways/llm/port.js"
import type { ToolCall } from "../../gateways/messages/message.js"
import { Branch, type WholeContext } from "../branch-context.js"
import type { Journal } from "../journal/journal.js"
import { withAttemptNote } from "../minds/attempt-note.js"
import type { Positions } from "../positions.js"
import type { ModelTool, StepCore } from "../step-calls.js"
import type { Run, StepPorts } from "../step-ports.js"
import { redactAll } from "./redact-all.js"
import { RunTeller } from "./run-teller.js"
import { isStepTool, type StepTool } from "./step-tool.js"
import { callForModel } from "./told-tool.js"

/** A context that asks a model. */
export interface Asking {
  readonly core: StepCore
  readonly ctx: WholeContext
  readonly at: Positions
  readonly run: Run
}

/** The step that asks, and its node. */
export interface AskingStep extends Asking {
  readonly ports: StepPorts
}

const specs = new WeakMap<ModelTool, ToolSpec>()

/** `ctx.llm`: each answer is journaled, so that a step that runs again is given what it was given before. */
export function stepLlm(step: AskingStep): Llm<ModelTool> {
  const { core, ports, at } = step
  const { name, model, llm } = core.definition
  const overrides = ports.minds?.overridesOf(name)
  const port: LlmPort<ModelTool> = {
    who: `"${name}"`,
    defaults: {
      model: overrides?.model ?? model ?? ports.minds?.defaultModel,
      options: { ...llm, ...overrides?.llm },
    },
    now: () => ports.clock.now(),
    specOf,
    begin: (several) => new StepLlmCalls(step, several ? at.branch() : at),
  }
  return llmOf(port)
}

function specOf(tool: ModelTool): ToolSpec {
  const known = specs.get(tool)
  if (known !== undefined) return known
  const spec = { name: tool.name, description: tool.description, parameters: jsonSchemaOf(tool.input) }
  specs.set(tool, spec)
  return spec
}

/** What one `text`, `object`, `stream` or `embed` of a step asks and does. */
class StepLlmCalls implements LlmCalls<ModelTool> {
  constructor(
    private readonly step: AskingStep,
    private readonly at: Positions,
  ) {}

  async complete(request: BrokerRequest, manner: Manner): Promise<BrokerCompletion> {
    const { messages, tools, toolChoice, object } = request
    // not the model: it may be another one when the step goes on, and what it has answered stands
    const asked = [messages, tools?.map(({ name }) => name) ?? null, toolChoice ?? null, object ?? null]
    return this.#ask("llm", asked, async (broker, call, teller) => {
      const onPart = teller.listen(manner.onPart)
      const answer = await broker.complete(this.#noted(request), {
        ...call,
        ...urgency(manner),
        ...(onPart && { onPart }),
      })
      teller.answered(answer)
      return answer
    })
  }

  /** The model of an agent with instructions is told how the attempt before went: beside what makes it the same call. */
  #noted(request: BrokerRequest): BrokerRequest {
    const { core, ctx } = this.step
    if (core.definition.instructions === undefined) return request
    return { ...request, messages: withAttemptNote(request.messages, ctx.previousAttempt) }
  }

  async embed(request: BrokerEmbedRequest, manner: Manner): Promise<BrokerEmbeddings> {
    const asked = [request.texts, request.dimensions ?? null]
    return this.#ask("embed", asked, (broker, call) => broker.embed(request, { ...call, ...urgency(manner) }))
  }

  async #ask<T extends BrokerCompletion | BrokerEmbeddings>(
    label: string,
    asked: unknown,
    ask: (broker: Broker, call: BrokerCall, teller: RunTeller) => Promise<T>,
  ): Promise<T> {
    const { core, ctx, ports } = this.step
    core.mustBeOpen("asked a model")
    const { minds } = ports
    if (minds === undefined) throw noModels(core.definition.name)
    const make = async (journal: Journal, call: Parameters<Journal["call"]>[0]): Promise<T> => {
      const teller = this.#teller(journal)
      const work = async (): Promise<T> => {
        const { signal } = ctx
        const asking = { signal, agent: core.definition.name, trace: teller.trace, meter: core.meter }
        return redactAll(await ask(minds.broker, asking, teller), ports.redact)
      }
      return journal.call(call, work, core.effects.note)
    }
    const answer = await core.effects.journaled(label, asked, make, this.at)
    core.bill.add(answer)
    return answer
  }

  #teller(journal: Journal): RunTeller {
    const { run, ports, core } = this.step
    run.input.teller ??= new RunTeller({ agent: core.definition.name, run, ports, goesOn: journal.size > 0 })
    return run.input.teller
  }

  prepareTool(tool: ModelTool, call: ToolCall): () => Promise<ToolOutcome> {
    const at = this.at.branch()
    const { run } = this.step
    return async () => {
      run.input.teller?.toolStarted(call)
      const outcome = isStepTool(tool) ? await this.#stepTool(tool, call, at) : await this.#tool(tool, call, at)
      run.input.teller?.toolEnded(call, outcome)
      return outcome
    }
  }

  #tool(tool: Exclude<ModelTool, StepTool>, call: ToolCall, at: Positions): Promise<ToolOutcome> {
    const { core, ctx } = this.step
    const perform = (input: unknown) => core.performer(tool, input)
    return callForModel({
      core,
      tool,
      call,
      at,
      perform,
      signal: () => ctx.signal,
      show: (output) => this.#show(output),
    })
  }

  /** What it emits and records is part of the step once it has returned; nothing of it when it throws. */
  async #stepTool(tool: StepTool, call: ToolCall, at: Positions): Promise<ToolOutcome> {
    const { core, ctx, run } = this.step
    const checked = tool.input.safeParse(call.arguments)
    if (!checked.success) {
      const issues = checked.error.issues.map(({ path, message }) => `${path.join(".") || "the whole"}: ${message}`)
      return { content: `The arguments of "${tool.name}" do not fit: ${issues.join("; ")}`, isError: true }
    }
    const branch = new Branch({ core, parent: ctx, event: run.input.event, at })
    try {
      const output = await tool.run(checked.data, branch)
      branch.end()
      return { content: await this.#show(output), isError: false }
    } catch (error) {
      if (!isMurmurError(error) || !(error instanceof TerminalError || TELLABLE.has(error.code))) throw error
      return { content: await this.#show(`Error: ${ensureError(error).message}`), isError: true }
    }
  }

  async #show(output: unknown): Promise<string> {
    const text = typeof output === "string" ? output : (JSON.stringify(output) ?? "done")
    return this.step.ports.redact(text)
  }
}

/** What the step's own tools say is wrong with what the model wants; the same on each attempt. */
const TELLABLE = new Set([
  "EMIT_UNDECLARED",
  "EVENT_DATA",
  "EVENT_KEY",
  "STATE_ENTRY",
  "STATE_NONE",
  "NOT_JSON",
  "ASK_OPTION",
])

function urgency({ priority, deadlineMs }: Manner): Pick<BrokerCall, "priority" | "deadlineMs"> {
  return { ...(priority !== undefined && { priority }), ...(deadlineMs !== undefined && { deadlineMs }) }
}

function noModels(agent: string): TerminalError {
  return new TerminalError(`"${agent}" cannot ask a model: this node has no models. See docs/models.md`, {
    code: "LLM_GATEWAY",
  })
}
