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

interface GenerateBody {
  readonly contents: readonly { readonly role: "user" | "model"; readonly parts: readonly Part[] }[]
  readonly systemInstruction?: { readonly parts: readonly Part[] }
  readonly tools?: readonly { readonly functionDeclarations: readonly Declaration[] }[]
  readonly toolConfig?: { readonly functionCallingConfig?: { readonly mode: "AUTO" | "ANY" | "NONE" } }
  readonly generationConfig?: {
    readonly temperature?: number
    readonly maxOutputTokens?: number
    readonly seed?: number
    readonly stopSequences?: readonly string[]
    readonly thinkingConfig?: unknown
    readonly responseJsonSchema?: unknown
  }
}

interface Part {
  readonly text?: string
  readonly thought?: boolean
  readonly inlineData?: { readonly mimeType: string; readonly data: string }
  readonly fileData?: { readonly fileUri: string }
  readonly functionCall?: { readonly id?: string; readonly name: string; readonly args?: unknown }
  readonly functionResponse?: {
    readonly id?: string
    readonly name: string
    readonly response: Record<string, unknown>
  }
}

interface Declaration {
  readonly name: string
  readonly description?: string
  readonly parametersJsonSchema?: unknown
}

interface EmbedBody {
  readonly requests: readonly {
    readonly content: { readonly parts: readonly Part[] }
    readonly outputDimensionality?: number
  }[]
}

/** As much of the Gemini API as generating, embeddings and the list of models take. */
export const geminiProtocol: Protocol = {
  read,
  write(answer, seen) {
    if (seen.kind === "models") return json({ models: (answer.models ?? ["fake-model"]).map(modelRow) })
    if (seen.kind === "embed") return json(embeddings(answer, seen))
    return seen.stream ? stream(answer, seen) : json(whole(answer, seen))
  },
  error: (code, message) => ({ error: { code, message, status: statusWord(code) } }),
}

function read(call: ReceivedCall): SeenRequest {
  const [, model = "", verb = ""] = /\/v1beta\/models\/([^:?]+):(\w+)/.exec(call.path) ?? []
  if (verb === "batchEmbedContents") return readEmbed(model, call.body as EmbedBody)
  if (verb === "") return { ...nothingSeen, kind: call.path.includes("/models") ? "models" : "other" }
  const body = call.body as GenerateBody
  const { generationConfig: config = {}, toolConfig } = body
  const choices = { AUTO: "auto", ANY: "required", NONE: "none" } as const
  const mode = toolConfig?.functionCallingConfig?.mode
  return {
    ...nothingSeen,
    kind: "chat",
    model,
    stream: verb === "streamGenerateContent",
    system: textOf(body.systemInstruction?.parts ?? [], "\n\n"),
    messages: body.contents.flatMap(readContent),
    tools: (body.tools ?? []).flatMap(({ functionDeclarations }) => functionDeclarations).map(readTool),
    ...(mode !== undefined && { toolChoice: choices[mode] }),
    ...(config.responseJsonSchema !== undefined && { schema: config.responseJsonSchema }),
    options: {
      ...(config.temperature !== undefined && { temperature: config.temperature }),
      ...(config.maxOutputTokens !== undefined && { maxTokens: config.maxOutputTokens }),
      ...(config.seed !== undefined && { seed: config.seed }),
      ...(config.stopSequences !== undefined && { stop: config.stopSequences }),
      ...(config.thinkingConfig !== undefined && { reasoning: config.thinkingConfig }),
    },
  }
}

function readEmbed(model: string, { requests }: EmbedBody): SeenRequest {
  const dimensions = requests[0]?.outputDimensionality
  const texts = requests.map(({ content }) => textOf(content.parts, ""))
  return { ...nothingSeen, kind: "embed", model, texts, ...(dimensions !== undefined && { dimensions }) }
}

const readTool = ({ parametersJsonSchema, ...tool }: Declaration) => ({ ...tool, parameters: parametersJsonSchema })

function readContent({ role, parts }: GenerateBody["contents"][number]): SeenMessage[] {
  const results = parts.flatMap(({ functionResponse }): SeenMessage[] =>
    functionResponse === undefined ? [] : [readResult(functionResponse)],
  )
  const own = parts.filter(({ functionResponse }) => functionResponse === undefined)
  if (own.length === 0 && results.length > 0) return results
  const spoken: SeenMessage = {
    role: role === "model" ? "assistant" : "user",
    text: textOf(own, ""),
    images: own.flatMap(readImage),
    toolCalls: own.flatMap(({ functionCall: called }) =>
      called === undefined
        ? []
        : [{ ...(called.id !== undefined && { id: called.id }), name: called.name, arguments: called.args ?? {} }],
    ),
  }
  return [...results, spoken]
}

function readResult({ id, name, response }: NonNullable<Part["functionResponse"]>): SeenMessage {
  const text = String(response.output ?? response.error ?? "")
  return { role: "tool", text, images: [], toolCalls: [], toolName: name, ...(id !== undefined && { toolCallId: id }) }
}

function readImage({ inlineData, fileData }: Part): SeenMessage["images"][number][] {
  if (fileData !== undefined) return [{ url: fileData.fileUri }]
  return inlineData === undefined ? [] : [{ mediaType: inlineData.mimeType, base64: inlineData.data }]
}

const textOf = (parts: readonly Part[], between: string): string =>
  parts.flatMap(({ text }) => (text === undefined ? [] : [text])).join(between)

function statusWord(code: number): string {
  const words: Record<number, string> = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
  }
  return words[code] ?? "INTERNAL"
}

const json = (body: object): WireAnswer => ({
  contentType: "application/json; charset=UTF-8",
  pieces: [JSON.stringify(body)],
})

const modelRow = (id: string): object => ({
  name: `models/${id}`,
  displayName: id,
  inputTokenLimit: 1_048_576,
  outputTokenLimit: 65_536,
  supportedGenerationMethods: ["generateContent", "countTokens"],
})

function embeddings(answer: FakeAnswer, seen: SeenRequest): object {
  const vectors = answer.vectors ?? seen.texts.map((text) => [text.length, 0.5, -1])
  return { embeddings: vectors.map((values) => ({ values })) }
}

function whole(answer: FakeAnswer, seen: SeenRequest): object {
  const thought = answer.reasoning === undefined ? [] : [{ text: answer.reasoning, thought: true }]
  const parts = [...thought, ...spoken(answer, answer.text === undefined ? [] : [answer.text])]
  return chunk(answer, seen, parts, finishReason(answer))
}

function stream(answer: FakeAnswer, seen: SeenRequest): WireAnswer {
  const words = (text = ""): string[] => text.match(/\S+\s*|\s+/g) ?? []
  const parts = [
    ...words(answer.reasoning).map((text) => ({ text, thought: true })),
    ...spoken(answer, words(answer.text)),
  ]
  const chunks = [
    ...parts.map((part) => chunk({ ...answer, usage: null }, seen, [part])),
    chunk(answer, seen, [{ text: "" }], finishReason(answer)),
  ]
  return {
    contentType: "text/event-stream",
    pieces: chunks.map((each) => `data: ${JSON.stringify(each)}\r\n\r\n`),
  }
}

/** A model that has thought signs the first of its parts, or the first of its calls. */
function spoken({ reasoning, toolCalls = [] }: FakeAnswer, texts: readonly string[]): object[] {
  const signature = reasoning === undefined ? {} : { thoughtSignature: signatureOf(reasoning) }
  const said = texts.map((text, index) => ({ text, ...(index === 0 && toolCalls.length === 0 && signature) }))
  return [...said, ...toolCalls.map((call, index) => ({ ...functionCall(call), ...(index === 0 && signature) }))]
}

/** What the fake signs a thought with: any other thought has another signature. */
export function signatureOf(thought: string): string {
  return Buffer.from(`signed:${thought}`).toString("base64")
}

/** Most models of Gemini give their calls no ids. */
function functionCall({ id, name, arguments: given }: FakeToolCall): object {
  return { functionCall: { ...(id !== undefined && { id }), name, args: given } }
}

function chunk(answer: FakeAnswer, seen: SeenRequest, parts: readonly object[], finish?: string): object {
  return {
    candidates: [
      { content: { parts, role: "model" }, ...(finish !== undefined && { finishReason: finish }), index: 0 },
    ],
    ...(answer.usage !== null && { usageMetadata: usageRow(answer) }),
    modelVersion: answer.model ?? seen.model,
    responseId: "resp-fake",
  }
}

function finishReason({ finish }: FakeAnswer): string {
  if (finish === "length") return "MAX_TOKENS"
  return finish === "filtered" ? "SAFETY" : "STOP"
}

/** Gemini counts thoughts beside the other output, not within it. */
function usageRow({ usage }: FakeAnswer): object {
  const { inputTokens, outputTokens, cachedTokens, reasoningTokens } = usage ?? { inputTokens: 11, outputTokens: 7 }
  return {
    promptTokenCount: inputTokens,
    candidatesTokenCount: outputTokens - (reasoningTokens ?? 0),
    totalTokenCount: inputTokens + outputTokens,
    ...(cachedTokens !== undefined && { cachedContentTokenCount: cachedTokens }),
    ...(reasoningTokens !== undefined && { thoughtsTokenCount: reasoningTokens }),
  }
}
