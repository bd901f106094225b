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

interface ChatBody {
  readonly model: string
  readonly stream?: boolean
  readonly messages?: readonly WireMessage[]
  readonly tools?: readonly { readonly function: { readonly name: string; readonly description?: string } }[]
  readonly format?: unknown
  readonly think?: unknown
  readonly options?: {
    readonly temperature?: number
    readonly num_predict?: number
    readonly num_ctx?: number
    readonly seed?: number
    readonly stop?: readonly string[]
  }
}

interface WireMessage {
  readonly role: string
  readonly content: string
  readonly images?: readonly string[]
  readonly tool_calls?: readonly { readonly id?: string; readonly function: WireFunction }[]
  readonly tool_name?: string
  readonly tool_call_id?: string
}

interface WireFunction {
  readonly name: string
  readonly arguments: unknown
}

/** As much of Ollama's API as chat, embeddings, the list of models, what a model can do, and pulls take. */
export const ollamaProtocol: Protocol = {
  read,
  write(answer, seen, call) {
    const path = call.path
    if (path === "/api/tags") return json({ models: (answer.models ?? ["fake-model"]).map(modelRow) })
    if (path === "/api/show") return json(shown)
    if (seen.kind === "embed") return json(embeddings(answer, seen))
    if (seen.kind === "pull") return lines(answer.progress ?? pulled)
    return seen.stream ? lines(chunks(answer, seen)) : json(completion(answer, seen))
  },
  error: (_status, message) => ({ error: message }),
}

function read(call: ReceivedCall): SeenRequest {
  const body = (call.body ?? {}) as ChatBody & { name?: string; input?: string | string[]; dimensions?: number }
  if (call.path === "/api/tags") return { ...nothingSeen, kind: "models" }
  if (call.path === "/api/pull") return { ...nothingSeen, kind: "pull", model: body.name ?? "", stream: true }
  if (call.path === "/api/embed") return readEmbed(body)
  if (call.path !== "/api/chat") return nothingSeen
  const { messages = [], tools = [], options = {} } = body
  return {
    ...nothingSeen,
    kind: "chat",
    model: body.model,
    // Ollama streams unless it is told not to.
    stream: body.stream !== false,
    system: messages.flatMap(({ role, content }) => (role === "system" ? [content] : [])).join("\n\n"),
    messages: messages.filter(({ role }) => role !== "system").map(readMessage),
    tools: tools.map(({ function: tool }) => tool),
    ...(body.format !== undefined && { schema: body.format }),
    options: {
      ...(options.temperature !== undefined && { temperature: options.temperature }),
      ...(options.num_predict !== undefined && { maxTokens: options.num_predict }),
      ...(options.num_ctx !== undefined && { contextTokens: options.num_ctx }),
      ...(options.seed !== undefined && { seed: options.seed }),
      ...(options.stop !== undefined && { stop: options.stop }),
      ...(body.think !== undefined && { reasoning: body.think }),
    },
  }
}

function readEmbed(body: { model: string; input?: string | string[]; dimensions?: number }): SeenRequest {
  const { model, input = [], dimensions } = body
  const seen: SeenRequest = { ...nothingSeen, kind: "embed", model, texts: [input].flat() }
  return dimensions === undefined ? seen : { ...seen, dimensions }
}

function readMessage(message: WireMessage): SeenMessage {
  return {
    role: message.role as SeenMessage["role"],
    text: message.content,
    images: (message.images ?? []).map((base64) => ({ base64 })),
    toolCalls: (message.tool_calls ?? []).map(({ id, function: called }) => ({
      ...(id !== undefined && { id }),
      ...called,
    })),
    ...(message.tool_call_id !== undefined && { toolCallId: message.tool_call_id }),
    ...(message.tool_name !== undefined && { toolName: message.tool_name }),
  }
}

const json = (body: object): WireAnswer => ({
  contentType: "application/json; charset=utf-8",
  pieces: [JSON.stringify(body)],
})

const lines = (rows: readonly object[]): WireAnswer => ({
  contentType: "application/x-ndjson",
  pieces: rows.map((row) => `${JSON.stringify(row)}\n`),
})

const modelRow = (name: string): object => ({
  name,
  model: name,
  modified_at: "2026-01-01T00:00:00Z",
  size: 4_000_000_000,
  digest: "fake",
  details: { format: "gguf", family: "fake", parameter_size: "8B", quantization_level: "Q4_K_M" },
})

const shown = {
  details: { family: "fake" },
  model_info: { "general.architecture": "fake", "fake.context_length": 40_960 },
  capabilities: ["completion", "tools", "vision"],
}

const pulled = [
  { status: "pulling manifest" },
  { status: "pulling aaa", digest: "sha256:aaa", total: 1_000 },
  { status: "pulling aaa", digest: "sha256:aaa", total: 1_000, completed: 400 },
  { status: "pulling aaa", digest: "sha256:aaa", total: 1_000, completed: 1_000 },
  { status: "pulling bbb", digest: "sha256:bbb", total: 50, completed: 50 },
  { status: "verifying sha256 digest" },
  { status: "success" },
]

function embeddings(answer: FakeAnswer, seen: SeenRequest): object {
  return {
    model: answer.model ?? seen.model,
    embeddings: answer.vectors ?? seen.texts.map((text) => [text.length, 0.5, -1]),
    total_duration: 1_000,
    load_duration: 1_000,
    ...(answer.usage !== null && { prompt_eval_count: answer.usage?.inputTokens ?? 11 }),
  }
}

function completion(answer: FakeAnswer, seen: SeenRequest): object {
  const { text = "", reasoning, toolCalls = [] } = answer
  const message = {
    role: "assistant",
    content: text,
    ...(reasoning !== undefined && { thinking: reasoning }),
    ...(toolCalls.length > 0 && { tool_calls: toolCalls.map(toolCall) }),
  }
  return { ...head(answer, seen), message, ...tail(answer) }
}

function chunks(answer: FakeAnswer, seen: SeenRequest): object[] {
  const chunk = (message: object): object => ({
    ...head(answer, seen),
    message: { role: "assistant", content: "", ...message },
    done: false,
  })
  const words = (text = ""): string[] => text.match(/\S+\s*|\s+/g) ?? []
  return [
    ...words(answer.reasoning).map((thinking) => chunk({ thinking })),
    ...words(answer.text).map((content) => chunk({ content })),
    ...(answer.toolCalls ?? []).map((call, index) => chunk({ tool_calls: [toolCall(call, index)] })),
    { ...head(answer, seen), message: { role: "assistant", content: "" }, ...tail(answer) },
  ]
}

/** The real one sends no id before version 0.12, and arguments that are an object. */
function toolCall({ id, name, arguments: given }: FakeToolCall, index: number): object {
  return { ...(id !== undefined && { id }), function: { index, name, arguments: given } }
}

function head(answer: FakeAnswer, seen: SeenRequest): object {
  return { model: answer.model ?? seen.model, created_at: "2026-01-01T00:00:00.000Z" }
}

function tail({ finish, usage }: FakeAnswer): object {
  const counts = usage ?? { inputTokens: 11, outputTokens: 7 }
  return {
    done: true,
    done_reason: finish === "length" ? "length" : "stop",
    total_duration: 5_000,
    load_duration: 1_000,
    ...(usage !== null && { prompt_eval_count: counts.inputTokens, eval_count: counts.outputTokens }),
  }
}
