import type { Clock } from "../clock.js"

const CHARS_MAX = 1_000
const AFTER_MS = 250

/** Puts small pieces of text together: an event for each word would be many. */
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
    if (text !== "") this.onText(text)
  }
}
