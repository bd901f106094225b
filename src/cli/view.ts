import type { WriteStream } from "node:tty"
import { styleText } from "node:util"
import type { Bus } from "../bus/bus.js"
import type { MurmurEvent } from "../bus/event.js"

/** Roots that nobody reacted to are counted rather than listed: a feed would drown everything else. */
const SUMMARY_EVERY_MS = 2_000
const ROOTS_MAX = 10_000

/**
 * Shows the mesh at work, one line an event: what came from outside, and under it what agents made of it.
 *
 * @returns ends it
 */
export function startView(bus: Bus, out: WriteStream | NodeJS.WriteStream): () => Promise<void> {
  const stopping = new AbortController()
  const view = new View(out)
  const timer = setInterval(() => view.summarise(), SUMMARY_EVERY_MS)
  const reading = (async () => {
    for await (const event of bus.observe(">", { from: "now", signal: stopping.signal })) view.show(event)
  })().catch((error) => out.write(`the view ended: ${String(error)}\n`))
  return async () => {
    clearInterval(timer)
    stopping.abort()
    await reading
  }
}

class View {
  readonly #roots = new Map<string, MurmurEvent>()
  readonly #shown = new Set<string>()
  readonly #quiet = new Map<string, { count: number; keys: Set<string> }>()

  constructor(private readonly out: NodeJS.WriteStream | WriteStream) {}

  show(event: MurmurEvent): void {
    if (event.hops === 0) {
      this.#remember(event)
      return
    }
    const root = this.#roots.get(event.correlationid)
    if (root !== undefined && !this.#shown.has(root.id)) {
      this.#shown.add(root.id)
      this.#forget(root)
      this.#line(root, 0)
    }
    this.#line(event, event.hops)
  }

  /** Says what came in and led to nothing. */
  summarise(): void {
    for (const [type, { count, keys }] of this.#quiet) {
      if (count === 0) continue
      const named = [...keys].slice(0, 4).join(", ") + (keys.size > 4 ? `, and ${keys.size - 4} more` : "")
      this.out.write(`${this.#style("dim", `${" ".repeat(10)}${String(count).padStart(4)} x ${type}  ${named}`)}\n`)
    }
    this.#quiet.clear()
  }

  #remember(event: MurmurEvent): void {
    this.#roots.set(event.id, event)
    if (this.#roots.size > ROOTS_MAX) {
      const oldest = this.#roots.keys().next().value ?? ""
      this.#roots.delete(oldest)
      this.#shown.delete(oldest)
    }
    const quiet = this.#quiet.get(event.type) ?? { count: 0, keys: new Set() }
    quiet.count += 1
    if (event.key !== undefined && quiet.keys.size < 100) quiet.keys.add(event.key)
    this.#quiet.set(event.type, quiet)
  }

  #forget(root: MurmurEvent): void {
    const quiet = this.#quiet.get(root.type)
    if (quiet !== undefined && quiet.count > 0) quiet.count -= 1
  }

  #line(event: MurmurEvent, depth: number): void {
    const time = new Date().toTimeString().slice(0, 8)
    const branch = depth === 0 ? "" : `${"   ".repeat(depth - 1)}└─ `
    const head = `${branch}${event.type}`.padEnd(34)
    const who = depth === 0 ? `from ${event.producer}` : `by ${event.producer}`
    const data = JSON.stringify(event.data) ?? ""
    const width = Math.max(40, (this.out.columns ?? 140) - 84)
    const short = data.length > width ? `${data.slice(0, width - 1)}…` : data
    const colour = depth === 0 ? "cyan" : depth === 1 ? "green" : "yellow"
    const line = [this.#style("dim", time), this.#style(colour, head), (event.key ?? "").padEnd(24), who.padEnd(18)]
    this.out.write(`${line.join("  ")} ${this.#style("dim", short)}\n`)
  }

  #style(format: "dim" | "cyan" | "green" | "yellow", text: string): string {
    const plain = !this.out.isTTY || process.env.NO_COLOR !== undefined
    return plain ? text : styleText(format, text)
  }
}
