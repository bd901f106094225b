import type { Completion, CompletionRequest, StreamPart } from "../../gateways/completion.js"
import type { Gateway } from "../../gateways/gateway.js"
import type { ToolCall } from "../../gateways/messages/message.js"

/** What a model of a test answers. */
export interface Says {
  readonly text?: string
  readonly reasoning?: string
  readonly calls?: readonly (Partial<ToolCall> & { readonly name: string })[]
  readonly finish?: Completion["finishReason"]
}

/** A model that answers what a test tells it to, and remembers what it was asked. */
export class TestGateway implements Gateway {
  readonly provider = "test"
  readonly account = "test"
  readonly asked: CompletionRequest[] = []

  constructor(private readonly answer: (request: CompletionRequest, times: number) => Says | Promise<Says>) {}

  async complete(request: CompletionRequest): Promise<Completion> {
    this.asked.push(request)
    return completion(await this.answer(request, this.asked.length), this.asked.length)
  }

  completeObject(request: CompletionRequest): Promise<Completion> {
    return this.complete(request)
  }

  async *stream(request: CompletionRequest): AsyncGenerator<StreamPart> {
    const whole = await this.complete(request)
    for (const word of whole.message.content.split(/(?<= )/)) yield { type: "text", text: word }
    for (const call of whole.message.toolCalls ?? []) yield { type: "tool-call", call }
    yield { type: "end", completion: whole }
  }

  async embed({ texts }: { readonly texts: readonly string[] }) {
    return {
      vectors: texts.map((text) => [text.length, 1]),
      usage: { inputTokens: texts.length, outputTokens: 0 },
      model: "m",
    }
  }

  async models() {
    return [{ name: "m" }]
  }
}

function completion({ text = "", reasoning, calls, finish }: Says, times: number): Completion {
  const toolCalls = calls?.map((call, n) => ({ id: `call-${times}-${n}`, arguments: {}, ...call }))
  return {
    message: {
      role: "assistant",
      content: text,
      ...(reasoning !== undefined && { reasoning }),
      ...(toolCalls !== undefined && { toolCalls }),
    },
    finishReason: finish ?? (toolCalls === undefined ? "stop" : "tool-calls"),
    usage: { inputTokens: 10, outputTokens: 5 },
    model: "m",
  }
}
