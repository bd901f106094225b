import {
  type FakeAnswer,
  type FakeToolCall,
  type FakeUsage,
  nothingSeen,
  type Protocol,
  type ReceivedCall,
  type SeenMessage,
  type SeenRequest,
  type WireAnswer,
} from "./fake-protocol.js"

// biome-ignore lint/suspicious/noExplicitAny: the wire is checked by what the tests read of it
type Json = any

/** As much of OpenAI's API as chat completions, embeddings and the list of models take. */
export const openAiProtocol: Protocol = {
  read,
  write(answer, seen, call) {
    if (seen.kind === "models") return json({ object: "list", data: (answer.models ?? ["fake-model"]).map(modelRow) })
    if (seen.kind === "embed") return json(embeddings(answer, seen, (call.body as Json).encoding_format))
    if (seen.stream) return stream(answer, seen, (call.body as Json).stream_options?.include_usage === true)
    return json(completion(answer, seen))
  },
  error: (status, message) => ({ error: { message, type: `fake_${status}`, param: null, code: null } }),
}

function read(call: ReceivedCall): SeenRequest {
  const body: Json = call.body ?? {}
  if (call.path.endsWith("/models")) return { ...nothingSeen, kind: "models" }
  if (call.path.endsWith("/embeddings")) {
    return { ...nothingSeen, kind: "embed", model: body.model, texts: [body.input].flat(), dimensions: body.dimensions }
  }
  if (!call.path.endsWith("/chat/completions")) return nothingSeen
  const roles = ["system", "developer"]
  return {
    ...nothingSeen,
    kind: "chat",
    model: body.model,
    stream: body.stream === true,
    system: body.messages
      .filter((message: Json) => roles.includes(message.role))
      .map(textOf)
      .join("\n\n"),
    messages: body.messages.filter((message: Json) => !roles.includes(message.role)).map(readMessage),
    tools: (body.tools ?? []).map(({ function: tool }: Json) => tool),
    toolChoice: body.tool_choice,
    schema: body.response_format?.json_schema?.schema,
    options: {
      temperature: body.temperature,
      maxTokens: body.max_completion_tokens ?? body.max_tokens,
      seed: body.seed,
      stop: body.stop,
      reasoning: body.reasoning_effort,
    },
  }
}

function readMessage(message: Json): SeenMessage {
  const parts: Json[] = Array.isArray(message.content) ? message.content : []
  return {
    role: message.role,
    text: textOf(message),
    images: parts.filter((part) => part.type === "image_url").map(({ image_url: { url } }) => readImage(url)),
    toolCalls: (message.tool_calls ?? []).map(({ id, function: called }: Json) => ({
      id,
      name: called.name,
      arguments: called.arguments === "" ? "" : parsed(called.arguments),
    })),
    toolCallId: message.tool_call_id,
  }
}

function textOf({ content }: Json): string {
  if (typeof content === "string") return content
  return (content ?? [])
    .filter((part: Json) => part.type === "text")
    .map((part: Json) => part.text)
    .join("")
}

function readImage(url: string): SeenMessage["images"][number] {
  const [, mediaType, base64] = /^data:([^;]+);base64,(.*)$/s.exec(url) ?? []
  return mediaType !== undefined && base64 !== undefined ? { mediaType, base64 } : { url }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const json = (body: object): WireAnswer => ({ contentType: "application/json", pieces: [JSON.stringify(body)] })

const modelRow = (id: string): object => ({ id, object: "model", created: 1_700_000_000, owned_by: "fake" })

function embeddings(answer: FakeAnswer, seen: SeenRequest, format: string | undefined): object {
  const vectors = answer.vectors ?? seen.texts.map((text) => [text.length, 0.5, -1])
  const data = vectors.map((vector, index) => ({
    object: "embedding",
    index,
    embedding: format === "base64" ? Buffer.from(Float32Array.from(vector).buffer).toString("base64") : vector,
  }))
  const { inputTokens = 11 } = answer.usage ?? {}
  const usage = answer.usage === null ? {} : { usage: { prompt_tokens: inputTokens, total_tokens: inputTokens } }
  return { object: "list", data, model: answer.model ?? seen.model, ...usage }
}

function completion(answer: FakeAnswer, seen: SeenRequest): object {
  const toolCalls = (answer.toolCalls ?? []).map(toolCall)
  const message = {
    role: "assistant",
    content: answer.text ?? null,
    refusal: null,
    ...(answer.reasoning !== undefined && { reasoning_content: answer.reasoning }),
    ...(toolCalls.length > 0 && { tool_calls: toolCalls }),
  }
  return {
    ...head(answer, seen, "chat.completion"),
    choices: [{ index: 0, message, logprobs: null, finish_reason: finish(answer) }],
    ...(answer.usage !== null && { usage: usageRow(answer.usage) }),
  }
}

function stream(answer: FakeAnswer, seen: SeenRequest, withUsage: boolean): WireAnswer {
  const base = head(answer, seen, "chat.completion.chunk")
  const chunk = (delta: object, reason: string | null = null): object => ({
    ...base,
    choices: [{ index: 0, delta, logprobs: null, finish_reason: reason }],
    ...(withUsage && { usage: null }),
  })
  const words = (text = ""): string[] => text.match(/\S+\s*|\s+/g) ?? []
  const chunks = [
    chunk({ role: "assistant", content: "", refusal: null }),
    ...words(answer.reasoning).map((text) => chunk({ reasoning_content: text })),
    ...words(answer.text).map((text) => chunk({ content: text })),
    ...(answer.toolCalls ?? []).flatMap((call, index) => toolDeltas(call, index).map((delta) => chunk(delta))),
    chunk({}, finish(answer)),
    ...(withUsage && answer.usage !== null ? [{ ...base, choices: [], usage: usageRow(answer.usage) }] : []),
  ]
  const pieces = [...chunks.map((each) => `data: ${JSON.stringify(each)}\n\n`), "data: [DONE]\n\n"]
  return { contentType: "text/event-stream; charset=utf-8", pieces }
}

/** As the real one does: id and name first, the arguments a few letters at a time. */
function toolDeltas(call: FakeToolCall, index: number): object[] {
  const { function: called, ...named } = toolCall(call, index)
  const first = { tool_calls: [{ index, ...named, function: { name: called.name, arguments: "" } }] }
  const rest = (called.arguments.match(/[\s\S]{1,7}/g) ?? []).map((text) => ({
    tool_calls: [{ index, function: { arguments: text } }],
  }))
  return [first, ...rest]
}

function toolCall({ id, name, arguments: given }: FakeToolCall, index: number) {
  const text = typeof given === "string" ? given : JSON.stringify(given)
  return { id: id ?? `call_${index}`, type: "function", function: { name, arguments: text } }
}

function head(answer: FakeAnswer, seen: SeenRequest, object: string): object {
  return { id: "chatcmpl-fake", object, created: 1_700_000_000, model: answer.model ?? seen.model }
}

function finish({ finish: reason, toolCalls = [] }: FakeAnswer): string {
  const words = { stop: "stop", length: "length", "tool-calls": "tool_calls", filtered: "content_filter" }
  return words[reason ?? (toolCalls.length > 0 ? "tool-calls" : "stop")]
}

function usageRow(usage: FakeUsage = { inputTokens: 11, outputTokens: 7 }): object {
  const { inputTokens, outputTokens, cachedTokens = 0, reasoningTokens = 0 } = usage
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: reasoningTokens, audio_tokens: 0 },
  }
}
