import { styleText } from "node:util"
import { cut, printable } from "./text.js"

/** How a piece of text may look on a terminal. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan"

/**
 * What a command prints. A terminal gets tables and colour; a pipe gets plain rows whose columns are separated by one
 * tab, without a heading, so that they stay the same for scripts.
 */
export class Output {
  /** Whether somebody looks at it. */
  readonly terminal: boolean
  readonly #coloured: boolean
  #closed = false

  constructor(private readonly stream: NodeJS.WriteStream = process.stdout) {
    this.terminal = stream.isTTY === true
    this.#coloured = this.terminal && !process.env.NO_COLOR && process.env.TERM !== "dumb"
    // whoever reads may stop reading (`| head`): that is their right and no error
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error
      this.#closed = true
      this.onClosed()
    })
  }

  /** Called when nobody reads any more. Default: the command ends well. */
  onClosed: () => void = () => process.exit(0)

  /** How many characters a line has. */
  get width(): number {
    return this.stream.columns ?? 120
  }

  paint(style: Style, text: string): string {
    return this.#coloured ? styleText(style, text, { validateStream: false }) : text
  }

  /** Prints a line. Await it where much is printed: it resolves when there is room for more. */
  async line(text = ""): Promise<void> {
    if (this.#closed || this.stream.write(`${text}\n`) || this.stream.destroyed) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        for (const name of ["drain", "error", "close"]) this.stream.off(name, done)
        resolve()
      }
      for (const name of ["drain", "error", "close"]) this.stream.on(name, done)
    })
  }

  /** Prints a piece of text as it is: for what comes in pieces. */
  write(text: string): void {
    if (!this.#closed) this.stream.write(text)
  }

  /** Prints one JSON value: indented for a terminal, else on one line. */
  json(value: unknown): Promise<void> {
    return this.line(JSON.stringify(value, null, this.terminal ? 2 : 0))
  }

  /** Prints rows: a table with headings for a terminal, else plain columns. */
  async table(headings: readonly string[], rows: readonly (readonly (string | number)[])[]): Promise<void> {
    const cells = rows.map((row) => row.map((cell) => printable(String(cell))))
    if (!this.terminal) {
      for (const row of cells) await this.line(row.join("\t"))
      return
    }
    const widths = headings.map((heading, at) => Math.max(heading.length, ...cells.map((row) => row[at]?.length ?? 0)))
    const show = (row: readonly string[]): string =>
      cut(
        row
          .map((cell, at) => cell.padEnd(widths[at] ?? 0))
          .join("  ")
          .trimEnd(),
        this.width,
      )
    await this.line(this.paint("dim", show(headings.map((heading) => heading.toUpperCase()))))
    for (const row of cells) await this.line(show(row))
  }

  /** Resolves when all that was printed is out of our hands. */
  flushed(): Promise<void> {
    if (this.#closed || this.stream.destroyed) return Promise.resolve()
    return new Promise((resolve) => {
      this.stream.write("", () => resolve())
    })
  }
}

/** Says something beside the result: to standard error. */
export function warn(message: string): void {
  process.stderr.write(`murmur: ${printable(message)}\n`)
}
