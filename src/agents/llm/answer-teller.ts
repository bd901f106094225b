import type { StreamPart } from "../../gateways/completion.js"
import type { AssistantMessage } from "../../gateways/messages/message.js"
import type { Clock } from "../clock.js"
import { redactAll } from "./redact-all.js"
import { TextBatch } from "./text-batch.js"
import { WholeWords } from "./whole-words.js"

/** Who is told of an answer while it comes. */
export interface AnswerListener {
  readonly clock: Pick<Clock, "after">
  /** Whether what the model says is told, or only that it does. */
  readonly tellContent: boolean
  redact(text: string): string
  onContent(text: string): void
  onReasoning(what: "started" | "completed" | { readonly step: string }): void
}

type OnPart = (part: StreamPart) => void

/** Tells of one answer of a model. Of several that come side by side each has its own. */
export class AnswerTeller {
  /** Hears the pieces, for whoever asked and for the mesh; `undefined` where nobody has to. */
  readonly onPart: OnPart | undefined
  readonly #content: TextBatch
  readonly #reasoning: TextBatch
  #reasons = false

  constructor(
    private readonly listener: AnswerListener,
    asker: OnPart | undefined,
  ) {
    const { clock } = listener
    this.#content = new TextBatch(clock, (text) => listener.onContent(text))
    this.#reasoning = new TextBatch(clock, (step) => listener.onReasoning({ step }))
    this.onPart = asker && this.#listening(asker)
  }

  /** The whole answer is there. Secrets are taken out. */
  answered({ content, reasoning = "" }: AssistantMessage): void {
    if (this.onPart !== undefined) return // it was told piece by piece
    if (reasoning !== "") this.#thinks(reasoning)
    if (content !== "") this.#says(content)
  }

  /** Nothing more comes. */
  end(): void {
    this.#thoughtThrough()
    this.#content.flush()
  }

  #listening(asker: OnPart): OnPart {
    const { redact } = this.listener
    const words = { text: new WholeWords(redact), reasoning: new WholeWords(redact) }
    const pass = (type: "text" | "reasoning", text: string): void => {
      if (text === "") return
      asker({ type, text })
      if (type === "text") this.#says(text)
      else this.#thinks(text)
    }
    return (part) => {
      if (part.type !== "reasoning") pass("reasoning", words.reasoning.rest())
      if (part.type !== "text") pass("text", words.text.rest())
      if (part.type === "text" || part.type === "reasoning") pass(part.type, words[part.type].add(part.text))
      else asker(redactAll(part, redact))
    }
  }

  #thinks(text: string): void {
    if (!this.#reasons) this.listener.onReasoning("started")
    this.#reasons = true
    if (this.listener.tellContent) this.#reasoning.add(text)
  }

  #thoughtThrough(): void {
    if (!this.#reasons) return
    this.#reasoning.flush()
    this.#reasons = false
    this.listener.onReasoning("completed")
  }

  #says(text: string): void {
    this.#thoughtThrough()
    if (this.listener.tellContent) this.#content.add(text)
  }
}
