import type { TerminalError } from "../../errors.js"
import { Completion, CompletionOptions, type CompletionRequest } from "../completion.js"
import type { Gateway } from "../gateway.js"
import type { KnownModel } from "../models/known-model.js"
import { estimateTextTokens, estimateTokens } from "../tokens/estimate-tokens.js"
import type { BrokerCall, BrokerRequest } from "./broker.js"
import { badOption, brokenOff, issuesText, tooLarge, unsupported } from "./refusals.js"
import { JSON_BYTES_MAX, jsonBytesOver } from "./reply-size.js"
import { inputContent, outputContent } from "./span-content.js"
import type { Work, WorkSending } from "./work.js"

const ADVICE = "Ask for a shorter one (maxTokens), or for less at a time"

/**
 * What a model is to say.
 *
 * @throws TerminalError `LLM_OPTION` for options that are not known or out of range
 */
export function completionWork(request: BrokerRequest, { onPart }: Pick<BrokerCall, "onPart">): Work<Completion> {
  const read = CompletionOptions.safeParse(request.options)
  if (!read.success) throw badOption("ask a model", issuesText(read.error.issues, "options"))
  const options = read.data as CompletionRequest["options"]
  const hasImages = request.messages.some(({ content }) => typeof content !== "string" && content.some(isImage))
  let inputTokens: number | undefined
  return {
    operation: "chat",
    timeoutMs: options.timeoutMs,
    maxTokens: options.maxTokens,
    cacheMs: request.cacheMs,
    unfit: (model, others) => unfit(request, hasImages, model, others),
    ask: (gateway, model, sending) => ask(gateway, model, request, options, onPart, sending),
    inputTokens: () => {
      inputTokens ??= estimateTokens(request.messages, request.tools) + schemaTokens(request)
      return inputTokens
    },
    usage: ({ usage }) => usage,
    describe: ({ model, finishReason, id }) => ({ model, finishReason, ...(id !== undefined && { id }) }),
    check: (name, completion) => {
      const bytes = completionBytesOver(completion)
      if (bytes !== undefined) throw tooLarge(name, bytes, JSON_BYTES_MAX, ADVICE)
    },
    identity: () => (pointsElsewhere(request) ? undefined : identity(request, options)),
    keepable: ({ finishReason }) => finishReason === "stop" || finishReason === "tool-calls",
    restore,
    deliver: (completion, cached) => deliver(completion, cached, onPart),
    content: (completion) => ({
      "gen_ai.input.messages": inputContent(request.messages),
      "gen_ai.output.messages": completion && outputContent(completion),
    }),
  }
}

function unfit(
  { tools, object }: BrokerRequest,
  hasImages: boolean,
  model: KnownModel,
  others: readonly KnownModel[],
): TerminalError | undefined {
  if (hasImages && !model.images) return unsupported(model.name, "see images", "images")
  if (tools !== undefined && tools.length > 0 && !model.tools) return unsupported(model.name, "call tools", "tools")
  // Without a schema a model can still write JSON: better than nothing, but not better than one that is held to it.
  if (object !== undefined && !model.schema && others.some(({ schema }) => schema)) {
    return unsupported(model.name, "keep to a schema", "schema")
  }
  return undefined
}

function ask(
  gateway: Gateway,
  model: KnownModel,
  { messages, tools, toolChoice, object }: BrokerRequest,
  options: CompletionRequest["options"],
  onPart: BrokerCall["onPart"],
  sending: WorkSending,
): Promise<Completion> {
  const request: CompletionRequest = {
    model: model.model,
    messages,
    ...(tools !== undefined && { tools }),
    ...(toolChoice !== undefined && { toolChoice }),
    options,
  }
  const { signal } = sending
  if (object !== undefined) {
    return gateway.completeObject({ ...request, schemaName: object.name, schema: object.schema }, { signal })
  }
  if (onPart === undefined) return gateway.complete(request, { signal })
  return streamed(gateway, model, request, onPart, sending)
}

async function streamed(
  gateway: Gateway,
  { name }: KnownModel,
  request: CompletionRequest,
  onPart: NonNullable<BrokerCall["onPart"]>,
  { signal, piece, first }: WorkSending,
): Promise<Completion> {
  let begun = false
  for await (const part of gateway.stream(request, { signal })) {
    signal.throwIfAborted()
    if (!begun) first()
    begun = true
    piece()
    if (part.type === "end") return part.completion
    onPart(part)
  }
  throw brokenOff(name)
}

function deliver(completion: Completion, cached: boolean, onPart: BrokerCall["onPart"]): void {
  if (onPart === undefined) return
  const { content, reasoning, toolCalls = [] } = completion.message
  if (cached) {
    if (reasoning !== undefined) onPart({ type: "reasoning", text: reasoning })
    if (content !== "") onPart({ type: "text", text: content })
    for (const call of toolCalls) onPart({ type: "tool-call", call })
  }
  onPart({ type: "end", completion })
}

function restore(kept: unknown): Completion | undefined {
  const read = Completion.safeParse(kept)
  return read.success ? { ...read.data, usage: { inputTokens: 0, outputTokens: 0 } } : undefined
}

const isImage = (part: { readonly type: string }): boolean => part.type === "image"

/** Whether something is meant that is not in the request: a file, or what is at an address. */
function pointsElsewhere({ messages }: BrokerRequest): boolean {
  return messages.some(
    ({ content }) =>
      typeof content !== "string" && content.some((part) => part.type === "image" && !("data" in part.image)),
  )
}

function identity(
  { messages, tools = [], toolChoice, object }: BrokerRequest,
  { timeoutMs: _, ...options }: CompletionRequest["options"],
): unknown {
  return { messages, tools, toolChoice, object, options }
}

function schemaTokens({ object }: BrokerRequest): number {
  return object === undefined ? 0 : estimateTextTokens(JSON.stringify(object.schema))
}

function completionBytesOver(completion: Completion): number | undefined {
  const { content, reasoning = "", toolCalls, provider } = completion.message
  const plain = toolCalls === undefined && provider === undefined
  return jsonBytesOver(completion, plain ? content.length + reasoning.length : undefined)
}
