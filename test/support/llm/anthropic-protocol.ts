import {
  type FakeAnswer,
  type FakeToolCall,
  nothingSeen,
  type Protocol,
  type ReceivedCall,
  type SeenMessage,
  type SeenRequest,
  type WireAnswer,
} from "./fake-protocol.js"

interface MessagesBody {
  readonly model: string
  readonly max_tokens: number
  readonly stream?: boolean
  readonly system?: string
  readonly messages: readonly { readonly role: "user" | "assistant"; readonly content: string | readonly Block[] }[]
  readonly tools?: readonly { readonly name: string; readonly description?: string; readonly input_schema: unknown }[]
  readonly tool_choice?: { readonly type: "auto" | "any" | "none" | "tool"; readonly name?: string }
  readonly temperature?: number
  readonly stop_sequences?: readonly string[]
  readonly thinking?: unknown
  readonly output_config?: { readonly effort?: string; readonly format?: { readonly schema: unknown } }
}

type Block =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image"; readonly source: ImageSource }
  | { readonly type: "tool_use"; readonly id: string; readonly name: string; readonly input: unknown }
  | { readonly type: "tool_result"; readonly tool_use_id: string; readonly content?: string }
  | { readonly type: "thinking"; readonly thinking: string; readonly signature: string }
  | { readonly type: "redacted_thinking"; readonly data: string }

type ImageSource =
  | { readonly type: "base64"; readonly media_type: string; readonly data: string }
  | { readonly type: "url"; readonly url: string }

/** As much of Anthropic's API as messages and the list of models take. */
export const anthropicProtocol: Protocol = {
  read,
  write(answer, seen, call) {
    if (seen.kind === "models") return json(modelList(answer.models ?? ["fake-model"]))
    return seen.stream ? stream(answer, seen) : json(message(answer, seen, (call.body as MessagesBody).tool_choice))
  },
  error: (status, text) => ({ type: "error", error: { type: errorType(status), message: text }, request_id: "req_1" }),
}

function read(call: ReceivedCall): SeenRequest {
  if (call.path.startsWith("/v1/models")) return { ...nothingSeen, kind: "models" }
  if (!call.path.startsWith("/v1/messages")) return nothingSeen
  const body = call.body as MessagesBody
  return {
    ...nothingSeen,
    kind: "chat",
    model: body.model,
    stream: body.stream === true,
    system: body.system ?? "",
    messages: body.messages.flatMap(readMessage),
    tools: (body.tools ?? []).map(({ input_schema, ...tool }) => ({ ...tool, parameters: input_schema })),
    ...choiceOf(body),
    ...(body.output_config?.format !== undefined && { schema: body.output_config.format.schema }),
    options: {
      maxTokens: body.max_tokens,
      ...(body.temperature !== undefined && { temperature: body.temperature }),
      ...(body.stop_sequences !== undefined && { stop: body.stop_sequences }),
      ...(body.thinking !== undefined && {
        reasoning: { thinking: body.thinking, effort: body.output_config?.effort },
      }),
    },
  }
}

function choiceOf({ tool_choice }: MessagesBody): Pick<SeenRequest, "toolChoice"> {
  if (tool_choice === undefined || tool_choice.type === "tool") return {}
  return { toolChoice: tool_choice.type === "any" ? "required" : tool_choice.type }
}

/** Tool results stand within a user's message; here each is a message of its own. */
function readMessage({ role, content }: MessagesBody["messages"][number]): SeenMessage[] {
  const blocks: readonly Block[] = typeof content === "string" ? [{ type: "text", text: content }] : content
  const results = blocks.flatMap((block): SeenMessage[] =>
    block.type === "tool_result"
      ? [{ role: "tool", text: block.content ?? "", images: [], toolCalls: [], toolCallId: block.tool_use_id }]
      : [],
  )
  const own = blocks.filter(({ type }) => type !== "tool_result")
  if (own.length === 0 && results.length > 0) return results
  const spoken: SeenMessage = {
    role,
    text: own.flatMap((block) => (block.type === "text" ? [block.text] : [])).join(""),
    images: own.flatMap((block) => (block.type === "image" ? [readImage(block.source)] : [])),
    toolCalls: own.flatMap((block) =>
      block.type === "tool_use" ? [{ id: block.id, name: block.name, arguments: block.input }] : [],
    ),
  }
  return [...results, spoken]
}

function readImage(source: ImageSource): SeenMessage["images"][number] {
  return source.type === "url" ? { url: source.url } : { mediaType: source.media_type, base64: source.data }
}

function errorType(status: number): string {
  const types: Record<number, string> = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
  }
  return types[status] ?? "api_error"
}

const json = (body: object): WireAnswer => ({ contentType: "application/json", pieces: [JSON.stringify(body)] })

function modelList(ids: readonly string[]): object {
  const data = ids.map((id) => ({
    type: "model",
    id,
    display_name: id,
    created_at: "2026-01-01T00:00:00Z",
    max_input_tokens: 200_000,
    max_tokens: 64_000,
    capabilities: { image_input: { supported: true } },
  }))
  return { data, has_more: false, first_id: ids[0] ?? null, last_id: ids.at(-1) ?? null }
}

function message(answer: FakeAnswer, seen: SeenRequest, choice: MessagesBody["tool_choice"]): object {
  const content = blocks(answer, choice?.type === "tool" ? choice.name : undefined)
  return { ...head(answer, seen), content, stop_reason: stopReason(answer), usage: usageRow(answer) }
}

/** A model that is made to call one tool says what it has to say as that tool's arguments. */
function blocks({ text, reasoning, toolCalls = [] }: FakeAnswer, forced: string | undefined): object[] {
  const said = forced !== undefined && text !== undefined ? [{ name: forced, arguments: JSON.parse(text) }] : []
  return [
    ...(reasoning === undefined ? [] : [{ type: "thinking", thinking: reasoning, signature: signatureOf(reasoning) }]),
    ...(text === undefined || said.length > 0 ? [] : [{ type: "text", text, citations: null }]),
    ...[...said, ...toolCalls].map((call, index) => ({ ...toolUse(call, index), input: call.arguments })),
  ]
}

/** What the fake signs a thought with: any other thought has another signature. */
export function signatureOf(thought: string): string {
  return `signed:${Buffer.from(thought).toString("base64")}`
}

function stream(answer: FakeAnswer, seen: SeenRequest): WireAnswer {
  const words = (text = ""): string[] => text.match(/\S+\s*|\s+/g) ?? []
  const { text, reasoning, toolCalls = [] } = answer
  const opened = [
    ...(reasoning === undefined
      ? []
      : [
          {
            start: { type: "thinking", thinking: "", signature: "" },
            deltas: [
              ...words(reasoning).map((thinking) => ({ type: "thinking_delta", thinking })),
              { type: "signature_delta", signature: signatureOf(reasoning) },
            ],
          },
        ]),
    ...(text === undefined
      ? []
      : [
          {
            start: { type: "text", text: "", citations: null },
            deltas: words(text).map((word) => ({ type: "text_delta", text: word })),
          },
        ]),
    ...toolCalls.map((call, index) => ({
      start: { ...toolUse(call, index), input: {} },
      deltas: argumentDeltas(call),
    })),
  ]
  const usage = usageRow(answer)
  const events = [
    {
      type: "message_start",
      message: { ...head(answer, seen), content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } },
    },
    { type: "ping" },
    ...opened.flatMap(({ start, deltas }, index) => [
      { type: "content_block_start", index, content_block: start },
      ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })),
      { type: "content_block_stop", index },
    ]),
    { type: "message_delta", delta: { stop_reason: stopReason(answer), stop_sequence: null }, usage },
    { type: "message_stop" },
  ]
  const pieces = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
  return { contentType: "text/event-stream; charset=utf-8", pieces }
}

/** As the real one does: an empty piece first, then the arguments a few letters at a time. */
function argumentDeltas({ arguments: given }: FakeToolCall): object[] {
  const text = typeof given === "string" ? given : JSON.stringify(given)
  const pieces = ["", ...(text.match(/[\s\S]{1,7}/g) ?? [])]
  return pieces.map((partial_json) => ({ type: "input_json_delta", partial_json }))
}

const toolUse = ({ id, name }: FakeToolCall, index: number): object => ({
  type: "tool_use",
  id: id ?? `call_${index}`,
  name,
})

function head(answer: FakeAnswer, seen: SeenRequest): object {
  return { id: "msg_fake", type: "message", role: "assistant", model: answer.model ?? seen.model, stop_sequence: null }
}

function stopReason({ finish, toolCalls = [] }: FakeAnswer): string {
  const words = { stop: "end_turn", length: "max_tokens", "tool-calls": "tool_use", filtered: "refusal" }
  return words[finish ?? (toolCalls.length > 0 ? "tool-calls" : "stop")]
}

/** Anthropic counts what came from its cache beside the other input, not within it. */
function usageRow({ usage }: FakeAnswer): object {
  if (usage === null) return {}
  const { inputTokens, outputTokens, cachedTokens = 0, reasoningTokens } = usage ?? { inputTokens: 11, outputTokens: 7 }
  return {
    input_tokens: inputTokens - cachedTokens,
    output_tokens: outputTokens,
    cache_read_input_tokens: cachedTokens,
    cache_creation_input_tokens: 0,
    ...(reasoningTokens !== undefined && { output_tokens_details: { thinking_tokens: reasoningTokens } }),
  }
}
