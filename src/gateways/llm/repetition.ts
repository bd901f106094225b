import { TerminalError } from "../../errors.js"
import type { ToolCall } from "../messages/message.js"

/** The third time in a row that a model makes the same call, it is not made. */
const REPEATED_MAX = 2

/** Notices a model that makes the same call turn after turn: it will not stop by itself. */
export class Repetition {
  #before = new Map<string, number>()

  constructor(private readonly who: string) {}

  /** @throws TerminalError `LLM_LOOP` */
  check(calls: readonly ToolCall[]): void {
    const now = new Map<string, number>()
    for (const { name, arguments: given, malformed } of calls) {
      const same = `${name} ${malformed ?? JSON.stringify(sorted(given))}`
      const times = (this.#before.get(same) ?? 0) + 1
      if (times > REPEATED_MAX) throw this.#loops(name, times)
      now.set(same, times)
    }
    this.#before = now
  }

  #loops(tool: string, times: number): TerminalError {
    return new TerminalError(
      `${this.who} goes round in circles: the model calls "${tool}" with the same arguments ${times} turns in a row`,
      { code: "LLM_LOOP", details: { tool, times } },
    )
  }
}

/** The same arguments in another order are the same. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== "object" || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([name, inner]) => [name, sorted(inner)]))
}
