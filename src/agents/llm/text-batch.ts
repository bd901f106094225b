import type { Clock } from "../clock.js"

const CHARS_MAX = 1_000
const AFTER_MS = 250
/** More than that is told in several parts: an event has to fit a message. */
const PART_CHARS_MAX = 32_000

/** Puts small pieces of text together, and takes large ones apart: an event for each word would be many. */
export class TextBatch {
  #text = ""
  #cancel: (() => void) | undefined

  constructor(
    private readonly clock: Pick<Clock, "after">,
    private readonly onText: (text: string) => void,
  ) {}

  add(piece: string): void {
    this.#text += piece
    if (this.#text.length >= CHARS_MAX) this.flush()
    else this.#cancel ??= this.clock.after(AFTER_MS, () => this.flush())
  }

  flush(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const text = this.#text
    this.#text = ""
    for (let from = 0; from < text.length; from += PART_CHARS_MAX) this.onText(text.slice(from, from + PART_CHARS_MAX))
  }
}
