import { journalSubject } from "../../../src/agents/journal/records.js"
import type { MindPorts } from "../../../src/agents/llm/ports.js"
import { RetryableError } from "../../../src/errors.js"
import type { Broker, BrokerCompletion, BrokerRequest } from "../../../src/gateways/broker/broker.js"
import { knownModel } from "../../../src/gateways/models/known-model.js"
import type { Process } from "../world/process.js"
import type { SimMesh } from "./mesh.js"
import { mindOf } from "./mind-plan.js"

/** Which conversation of which step a prompt begins. */
export interface Topic {
  readonly agent: string
  readonly event: string
  readonly conversation: number
}

/** What answers of models and results of tools say: which call they answer, and the number of the invoice. */
export interface Receipt {
  readonly call: string
  readonly number: number
}

/** What the nodes of a simulated mesh think with: a model that says what the plan of the step says, and sends an invoice. */
export function simMinds(mesh: SimMesh, process: Process): MindPorts {
  return {
    broker: new SimModel(mesh, process),
    defaultModel: "sim/m",
    tellContent: false,
    overridesOf: () => undefined,
    tell: () => {},
  }
}

class SimModel implements Broker {
  constructor(
    private readonly mesh: SimMesh,
    private readonly process: Process,
  ) {}

  async complete(request: BrokerRequest, { signal }: { readonly signal: AbortSignal }): Promise<BrokerCompletion> {
    const { mesh, process } = this
    signal.throwIfAborted()
    const topic = JSON.parse(String(request.messages[0]?.content)) as Topic
    const { agent, event, conversation } = topic
    const turn = request.messages.filter(({ role }) => role === "assistant").length
    const plan = mindOf(mesh.options.seed, agent, event, mesh.options.plans)
    const planned = plan.conversations[conversation]?.turns[turn]
    if (planned === undefined) throw new Error(`Conversation ${conversation} of ${event} has no turn ${turn}`)
    const call = `turn ${conversation}/${turn}`
    const invoice = mesh.bill.begin(process.name, journalSubject(mesh.names.mesh, agent, event), call)
    await process.clock.delay(planned.ms, signal)
    invoice.end()
    signal.throwIfAborted()
    if (plan.flaky && mesh.world.random.chance(0.15)) throw new RetryableError("busy", { code: "LLM_BUSY" })
    const said: Receipt = { call, number: invoice.number }
    const toolCalls = planned.calls.map(({ tool, ms }, n) => {
      const id = `${conversation}/${turn}/${n}`
      return { id, name: tool, arguments: { agent, event, call: `${tool} ${id}`, ms } }
    })
    return {
      message: { role: "assistant", content: JSON.stringify(said), ...(toolCalls.length > 0 && { toolCalls }) },
      finishReason: toolCalls.length > 0 ? "tool-calls" : "stop",
      usage: { inputTokens: 1, outputTokens: 1 },
      ...{ model: "m", answeredBy: "sim/m", cached: false, tries: 1, durationMs: planned.ms },
    }
  }

  embed(): Promise<never> {
    throw new Error("The simulated model makes no vectors")
  }

  model(name: string): ReturnType<typeof knownModel> {
    return knownModel(name)
  }

  status(): readonly never[] {
    return []
  }

  async close(): Promise<void> {}
}
