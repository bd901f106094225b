import type {
  BrokerCompletion,
  BrokerEmbeddings,
  BrokerEmbedRequest,
  BrokerRequest,
  MicroUsd,
} from "../broker/broker.js"
import type { CompletionOptions, StreamPart, ToolSpec } from "../completion.js"
import type { Message, ToolCall } from "../messages/message.js"

/** How urgently a request is made, and who hears of its answer while it comes. */
export interface Manner {
  readonly priority: number | undefined
  /** Milliseconds since 1970. */
  readonly deadlineMs: number | undefined
  readonly onPart: ((part: StreamPart) => void) | undefined
}

/** What became of a tool call, as the model is told. */
export interface ToolOutcome {
  readonly content: string
  readonly isError: boolean
}

/** What one call of `text`, `object`, `stream` or `embed` asks and does. */
export interface LlmCalls<Tool> {
  complete(request: BrokerRequest, manner: Manner): Promise<BrokerCompletion>
  embed(request: BrokerEmbedRequest, manner: Manner): Promise<BrokerEmbeddings>
  /**
   * A tool call that is to be made. What is prepared in the same order on each attempt may run in any.
   *
   * @returns makes it. What goes wrong in the tool is an outcome; it rejects only when nothing can go on
   */
  prepareTool(tool: Tool, call: ToolCall): () => Promise<ToolOutcome>
}

/** Conversation that is about to be had: who is asked, and what was said so far. */
export interface LlmPort<Tool> {
  /** What is asked for when a call says nothing else. */
  readonly defaults: { readonly model: string | readonly string[] | undefined; readonly options: CompletionOptions }
  /** Who asks, for error messages: `"ci-triage"`. */
  readonly who: string
  now(): number
  specOf(tool: Tool): ToolSpec
  /** @param several whether it may ask more than once, or call tools */
  begin(several: boolean): LlmCalls<Tool>
}

/** A conversation's cost, turn by turn. */
export class Bill {
  turns = 0
  #input = 0
  #output = 0
  #cached = 0
  #reasoning = 0
  #cost: MicroUsd | undefined = 0
  #model = ""

  add(answer: Pick<BrokerCompletion | BrokerEmbeddings, "usage" | "costMicroUsd" | "answeredBy">): void {
    const { usage, costMicroUsd, answeredBy } = answer
    this.turns += 1
    this.#input += usage.inputTokens
    this.#output += usage.outputTokens
    this.#cached += usage.cachedTokens ?? 0
    this.#reasoning += usage.reasoningTokens ?? 0
    this.#cost = this.#cost === undefined || costMicroUsd === undefined ? undefined : this.#cost + costMicroUsd
    this.#model = answeredBy
  }

  get total() {
    return {
      usage: {
        inputTokens: this.#input,
        outputTokens: this.#output,
        ...(this.#cached > 0 && { cachedTokens: this.#cached }),
        ...(this.#reasoning > 0 && { reasoningTokens: this.#reasoning }),
      },
      costMicroUsd: this.#cost,
      model: this.#model,
      turns: this.turns,
    }
  }
}

/** A conversation as it stands. */
export interface Conversation {
  readonly messages: Message[]
  /** What was added since it began. */
  readonly added: Message[]
}
