import { createHash } from "node:crypto"
import type { SourceState } from "../source.js"

const KEY = "position"

/** How far a replay has come: all rows up to this one are done. */
export interface Position {
  /** How often the file was played before. */
  readonly pass: number
  /** Rows of this pass that are done. */
  readonly row: number
  /** Hash over all rows up to this one: tells whether the file is still the same so far. */
  readonly chain: string
}

export const START_OF_FILE = { row: 0, chain: "" } as const

/** The hash over all rows up to the one with this text. It names the row: with its pass it is the event's id. */
export function chainOf(before: string, text: string): string {
  return createHash("sha256").update(before).update("\n").update(text).digest("base64url")
}

/** Remembers the position up to which nothing is open. Rows may be done in any order, and a row that is not done holds it. */
export class Progress {
  readonly #state: SourceState
  readonly #open: { readonly position: Position; done: boolean }[] = []
  #reached: Position
  #written: Position | undefined

  constructor(state: SourceState, reached: Position) {
    this.#state = state
    this.#reached = reached
  }

  static async read(state: SourceState): Promise<Position | undefined> {
    return state.get<Position>(KEY)
  }

  /** Takes up the next row; call what it returns when the row is done. */
  begin(position: Position): () => void {
    const entry = { position, done: false }
    this.#open.push(entry)
    return () => {
      entry.done = true
      let at = 0
      for (; this.#open[at]?.done; at++) this.#reached = this.#open[at]?.position ?? this.#reached
      this.#open.splice(0, at)
    }
  }

  /** Writes the position if it moved. */
  async write(): Promise<void> {
    const reached = this.#reached
    if (reached === this.#written) return
    await this.#state.put(KEY, reached)
    this.#written = reached
  }
}
