import type {
  Completion,
  CompletionRequest,
  Embeddings,
  EmbedRequest,
  ObjectRequest,
  StreamPart,
} from "../../../src/gateways/completion.js"
import { providerError } from "../../../src/gateways/errors.js"
import type { Gateway, GatewayCall, OfferedModel } from "../../../src/gateways/gateway.js"

/** What a fake gateway does with a request: answers, or throws. */
export type Reply = (request: CompletionRequest, call: GatewayCall) => Promise<Completion> | Completion

/** A gateway in a few lines: it records what it is asked, and does what a test says. */
export class FakeGateway implements Gateway {
  readonly account = "test"
  readonly requests: CompletionRequest[] = []
  /** How many requests are on their way, and how many there were at most. */
  running = 0
  runningMost = 0
  #reply: Reply = () => answer("ok")

  constructor(readonly provider: string = "fake") {}

  /** From now on: the same each time, or one after the other, the last one again and again. */
  reply(...replies: readonly Reply[]): this {
    const queue = [...replies]
    this.#reply = (request, call) => {
      const next = queue.length > 1 ? queue.shift() : queue[0]
      if (next === undefined) throw new Error("This gateway was given no reply")
      return next(request, call)
    }
    return this
  }

  async complete(request: CompletionRequest, call: GatewayCall): Promise<Completion> {
    this.requests.push(request)
    this.running++
    this.runningMost = Math.max(this.runningMost, this.running)
    try {
      return await this.#reply(request, call)
    } finally {
      this.running--
    }
  }

  completeObject(request: ObjectRequest, call: GatewayCall): Promise<Completion> {
    return this.complete(request, call)
  }

  async *stream(request: CompletionRequest, call: GatewayCall): AsyncIterable<StreamPart> {
    const completion = await this.complete(request, call)
    for (const word of completion.message.content.split(/(?<= )/)) yield { type: "text", text: word }
    yield { type: "end", completion }
  }

  async embed({ model, texts }: EmbedRequest): Promise<Embeddings> {
    const vectors = texts.map((text) => [text.length, 1])
    return { vectors, usage: { inputTokens: texts.length, outputTokens: 0 }, model }
  }

  async models(): Promise<readonly OfferedModel[]> {
    return []
  }
}

/** An answer of so many tokens. */
export function answer(content: string, more: Partial<Completion> = {}): Completion {
  return {
    ...{ message: { role: "assistant", content }, finishReason: "stop", model: "m-1" },
    ...{ usage: { inputTokens: 10, outputTokens: 5 }, ...more },
  }
}

/** A provider's no, as a reply. */
export function fault(status: number | undefined, more: { retryAfterMs?: number; cause?: unknown } = {}): Reply {
  return ({ model }) => {
    throw providerError({ provider: "fake", model, status, message: `says ${status ?? "nothing"}`, ...more })
  }
}

/** Never answers, and does not heed its signal either. */
export const hang: Reply = () => new Promise(() => {})

/** Replies that come when a test says so. */
export class Gate {
  readonly #waiting: {
    request: CompletionRequest
    done: (completion: Completion) => void
    fail: (e: unknown) => void
  }[] = []

  readonly reply: Reply = (request) =>
    new Promise((done, fail) => {
      this.#waiting.push({ request, done, fail })
    })

  /** The requests that wait for their answer, as the text of their last message. */
  get waiting(): readonly string[] {
    return this.#waiting.map(({ request }) => String(request.messages.at(-1)?.content))
  }

  /** Answers the oldest. */
  open(): void {
    this.#waiting.shift()?.done(answer("ok"))
  }

  /** Fails the oldest. */
  refuse(error: unknown): void {
    this.#waiting.shift()?.fail(error)
  }
}
