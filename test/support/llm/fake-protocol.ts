/** What all fake providers are told to answer, and how they tell what they were asked: words that no protocol owns. */

/** An answer, as a test words it. What is not said is left out of it. */
export interface FakeAnswer {
  readonly text?: string
  readonly reasoning?: string
  readonly toolCalls?: readonly FakeToolCall[]
  /** Default: `tool-calls` where there are any, else `stop`. */
  readonly finish?: "stop" | "length" | "tool-calls" | "filtered"
  /** Default: 11 in, 7 out. `null`: the provider says nothing. */
  readonly usage?: FakeUsage | null
  /** Which model it says that it was. Default: the one that was asked. */
  readonly model?: string
  readonly vectors?: readonly (readonly number[])[]
  /** The models that it has. */
  readonly models?: readonly string[]
  /** Lines of a pull, as the protocol writes them. */
  readonly progress?: readonly object[]
  /** Sent in place of all this, as it is. */
  readonly raw?: { readonly contentType?: string; readonly pieces: readonly string[] }
  /** Before the headers, in milliseconds. */
  readonly delayMs?: number
  /** Between two pieces, in milliseconds. */
  readonly pieceDelayMs?: number
}

export interface FakeToolCall {
  /** Default `call_0`, `call_1`, ... */
  readonly id?: string
  readonly name: string
  /** A string is sent as it is, also when it is no JSON. */
  readonly arguments: Readonly<Record<string, unknown>> | string
}

export interface FakeUsage {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly cachedTokens?: number
  readonly reasoningTokens?: number
}

/** What goes wrong with an answer on its way. */
export type Fault =
  /** The request is read, and nothing is ever said. */
  | "hang"
  /** Headers and half of the answer, then silence. */
  | "stall"
  /** A byte a second. */
  | "trickle"
  /** The connection is reset before the headers. */
  | "reset"
  /** Headers and half of the answer, then a reset. */
  | "break"
  /** Half of the answer, which ends as if it were whole. */
  | "cut"
  /** A page for people, with status 200. */
  | "html"
  /** Status 200 and no body. */
  | "empty"
  | {
      readonly status: number
      readonly message?: string
      readonly headers?: Readonly<Record<string, string>>
      /** In place of the protocol's own error. */
      readonly body?: string
    }

/** What a fake provider does with a request. */
export type FakeReply = FakeAnswer & { readonly fault?: Fault }

/** Decides what is answered. */
export type FakeHandler = (seen: SeenRequest, call: ReceivedCall) => FakeReply | Promise<FakeReply>

/** A request as it came. */
export interface ReceivedCall {
  /** From 0. */
  readonly index: number
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** Parsed JSON; `undefined` without a body. */
  readonly body: unknown
  /** When it had come in whole, in milliseconds since 1970. */
  readonly atMs: number
  /** Whether the client went away before it had the answer. */
  readonly brokenOff: boolean
}

/** A request in the words that all protocols share. */
export interface SeenRequest {
  readonly kind: "chat" | "embed" | "models" | "pull" | "other"
  readonly model: string
  readonly stream: boolean
  /** All system texts, joined by an empty line. */
  readonly system: string
  /** Without the system's. Tool results are messages of their own. */
  readonly messages: readonly SeenMessage[]
  readonly tools: readonly { readonly name: string; readonly description?: string; readonly parameters?: unknown }[]
  readonly toolChoice?: "auto" | "none" | "required"
  /** What the answer is held to. */
  readonly schema?: unknown
  readonly options: {
    readonly temperature?: number
    readonly maxTokens?: number
    readonly contextTokens?: number
    readonly seed?: number
    readonly stop?: readonly string[]
    /** As it stands on the wire: a level, a budget, a switch. */
    readonly reasoning?: unknown
  }
  /** To be embedded. */
  readonly texts: readonly string[]
  readonly dimensions?: number
}

export interface SeenMessage {
  readonly role: "user" | "assistant" | "tool"
  readonly text: string
  readonly images: readonly ({ readonly url: string } | { readonly mediaType?: string; readonly base64: string })[]
  readonly toolCalls: readonly { readonly id?: string; readonly name: string; readonly arguments: unknown }[]
  /** Of a tool's result, where the protocol has it. */
  readonly toolCallId?: string
  readonly toolName?: string
}

/** A request that asks for nothing: the others are written as differences to it. */
export const nothingSeen: SeenRequest = {
  kind: "other",
  model: "",
  stream: false,
  system: "",
  messages: [],
  tools: [],
  options: {},
  texts: [],
}

/** An answer on the wire. */
export interface WireAnswer {
  readonly contentType: string
  /** Written one by one. */
  readonly pieces: readonly string[]
}

/** How one provider speaks. */
export interface Protocol {
  read(call: ReceivedCall): SeenRequest
  write(answer: FakeAnswer, seen: SeenRequest, call: ReceivedCall): WireAnswer
  /** The body of an error: JSON. */
  error(status: number, message: string): object
}
