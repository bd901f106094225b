/** No secret of an environment is longer than this without a space in it. */
const WORD_CHARS_MAX = 4_096

/** The end of a text that is no whole word yet. Other scripts need no spaces, and no secret is written in them. */
const UNFINISHED = /[\x21-\x7e]+$/

/**
 * Takes secrets out of a text that comes in pieces. A secret may go on in the next piece, so the last word is held back
 * until it is whole.
 */
export class WholeWords {
  #held = ""

  constructor(private readonly redact: (text: string) => string) {}

  /** @returns what is whole by now, without secrets */
  add(piece: string): string {
    const text = this.#held + piece
    const unfinished = UNFINISHED.exec(text)?.[0] ?? ""
    this.#held = unfinished.length > WORD_CHARS_MAX ? "" : unfinished
    return this.redact(text.slice(0, text.length - this.#held.length))
  }

  /** The text is at its end. @returns what was held back */
  rest(): string {
    const text = this.#held
    this.#held = ""
    return this.redact(text)
  }
}
