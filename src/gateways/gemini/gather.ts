import type { CompletionRequest, FinishReason, StreamPart } from "../completion.js"
import { readReply } from "../http/read-reply.js"
import { CallNames, type NamedPart } from "./call-names.js"
import { Reply, toFinishReason, type WholeReply } from "./convert.js"

/** Puts an answer together, from one piece or many. */
export class Gathered {
  readonly #names: CallNames
  readonly #parts: NamedPart[] = []
  #finishReason: FinishReason | undefined
  #head: WholeReply["head"] = {}

  constructor(request: CompletionRequest) {
    this.#names = new CallNames(request)
  }

  /** The whole answer; `undefined` as long as it has no end. */
  get whole(): WholeReply | undefined {
    if (this.#finishReason === undefined) return undefined
    return { parts: this.#parts, finishReason: this.#finishReason, head: this.#head }
  }

  /** What is new. @throws Error when it is no piece of an answer */
  add(piece: unknown): readonly StreamPart[] {
    const { candidates, promptFeedback, ...head } = readReply(Reply, piece)
    this.#head = { ...this.#head, ...head }
    const [candidate] = candidates ?? []
    const parts = (candidate?.content?.parts ?? []).map((part) => this.#names.name(part))
    this.#parts.push(...parts)
    if (candidate?.finishReason !== undefined) this.#finishReason = toFinishReason(candidate.finishReason)
    else if (promptFeedback?.blockReason !== undefined) this.#finishReason = "filtered"
    return parts.flatMap(toStreamPart)
  }
}

function toStreamPart({ call, text = "", thought }: NamedPart): StreamPart[] {
  if (call !== undefined) return [{ type: "tool-call", call }]
  if (text === "") return []
  return [{ type: thought === true ? "reasoning" : "text", text }]
}
