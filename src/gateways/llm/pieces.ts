import type { TextPiece } from "./llm.js"

/**
 * The pieces of an answer between who hears them and who reads them. They are kept until they are read, so no more than an
 * answer is kept; of several readers each is given what no other was.
 */
export class Pieces implements AsyncIterable<TextPiece> {
  readonly #waiting: TextPiece[] = []
  #end: { readonly error?: unknown } | undefined
  /** Who waits for the next piece. */
  readonly #readers: (() => void)[] = []

  push(piece: TextPiece): void {
    this.#waiting.push(piece)
    this.#wake()
  }

  end(error?: unknown): void {
    this.#end = error === undefined ? {} : { error }
    this.#wake()
  }

  #wake(): void {
    for (const read of this.#readers.splice(0)) read()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TextPiece> {
    for (;;) {
      const piece = this.#waiting.shift()
      if (piece !== undefined) yield piece
      else if (this.#end !== undefined) {
        if ("error" in this.#end) throw this.#end.error
        return
      } else await new Promise<void>((resolve) => this.#readers.push(resolve))
    }
  }
}
