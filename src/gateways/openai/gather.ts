import type OpenAI from "openai"
import type { StreamPart } from "../completion.js"
import { contentOf, type RawAnswer, type RawToolCall, reasoningOf } from "./convert.js"

type Piece = Extract<StreamPart, { readonly type: "text" | "reasoning" }>
type ToolDelta = OpenAI.ChatCompletionChunk.Choice.Delta.ToolCall
type MutableCall = { -readonly [Key in keyof RawToolCall]: RawToolCall[Key] }

/** Puts the chunks of a stream together. */
export class Gathered {
  #head: Pick<RawAnswer, "id" | "model"> = {}
  #content = ""
  #refusal = ""
  #reasoning = ""
  #finishReason: string | undefined
  #usage: RawAnswer["usage"]
  readonly #calls = new Map<number, MutableCall>()

  /** Takes one chunk, and gives what it adds for people to read. */
  add(chunk: OpenAI.ChatCompletionChunk): readonly Piece[] {
    this.#head = { id: this.#head.id || chunk.id, model: this.#head.model || chunk.model }
    if (chunk.usage != null) this.#usage = chunk.usage
    const choice = chunk.choices?.[0]
    if (choice === undefined) return []
    if (choice.finish_reason) this.#finishReason = choice.finish_reason
    return this.#delta(choice.delta ?? {})
  }

  /** The answer; `undefined` when the stream ended before the model had. */
  get answer(): RawAnswer | undefined {
    if (this.#finishReason === undefined) return undefined
    return {
      ...this.#head,
      content: this.#content,
      refusal: this.#refusal,
      reasoning: this.#reasoning || undefined,
      toolCalls: [...this.#calls.values()],
      finishReason: this.#finishReason,
      usage: this.#usage,
    }
  }

  #delta(delta: OpenAI.ChatCompletionChunk.Choice.Delta): readonly Piece[] {
    for (const call of delta.tool_calls ?? []) this.#toolCall(call)
    const pieces: Piece[] = []
    const reasoning = reasoningOf(delta)
    if (reasoning !== undefined) {
      this.#reasoning += reasoning
      pieces.push({ type: "reasoning", text: reasoning })
    }
    const text = contentOf(delta.content)
    if (text !== "") {
      this.#content += text
      pieces.push({ type: "text", text })
    }
    if (delta.refusal) this.#refusal += delta.refusal
    return pieces
  }

  /** Servers without an index send each call whole, under an id of its own. */
  #toolCall(delta: ToolDelta): void {
    const index = (delta.index as number | undefined) ?? this.#indexOf(delta.id)
    const call = this.#calls.get(index)
    const { name = "", arguments: added = "" } = delta.function ?? {}
    if (call === undefined) {
      this.#calls.set(index, { id: delta.id || `call_${index}`, name, arguments: added })
      return
    }
    if (call.name === "") call.name = name
    call.arguments += added
  }

  #indexOf(id: string | undefined): number {
    const known = [...this.#calls].find(([, call]) => call.id === id)?.[0]
    if (known !== undefined) return known
    return id === undefined ? Math.max(this.#calls.size - 1, 0) : this.#calls.size
  }
}
