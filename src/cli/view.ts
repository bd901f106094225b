import { styleText } from "node:util"
import type { Bus } from "../bus/bus.js"
import type { MurmurEvent } from "../bus/event.js"
import { ensureError } from "../errors.js"
import { counted, duration } from "./text.js"
import { oneLine } from "./view/columns.js"
import { Feeds } from "./view/feeds.js"
import { Forest, type Tree } from "./view/forest.js"
import { answerHint, hintLines, isSample } from "./view/hints.js"
import { asideLine, type Paint, treeLines } from "./view/layout.js"

/** What the view is told besides the events. */
export interface ViewOptions {
  /** Events stored from then on are shown. Default: from now on. */
  readonly since?: Date
  /** Where the node answers HTTP, if it does. */
  readonly http?: string | undefined
  /** Flags that other commands need to find this mesh, such as ` --mesh demo`. */
  readonly flags?: string
  /** Whether the node takes GitHub's webhooks. */
  readonly takesGithub?: boolean
}

const LOOK_EVERY_MS = 100
const SUMMARY_EVERY_MS = 10_000
/** More than this many lines a second cannot be read; a burst may be as large as a screen. */
const LINES_PER_SECOND = 8
const LINES_BURST = 50
const WIDTH_UNKNOWN = 160
/** How to look further is said soon after the first tree of three levels, or at the latest after this time. */
const HINT_AFTER_MS = 15_000
const HINT_SOON_MS = 4_000

/**
 * Shows the mesh at work: what came from outside, and under it what agents made of it, a tree at a time. What leads to
 * nothing is counted, and so is what comes too fast to be read.
 *
 * @returns ends it
 */
export function startView(bus: Bus, out: NodeJS.WriteStream, options: ViewOptions = {}): () => Promise<void> {
  const stopping = new AbortController()
  const view = new View(out, options)
  const looking = setInterval(() => view.look(performance.now()), LOOK_EVERY_MS)
  const read = async (): Promise<void> => {
    for await (const event of bus.observe(">", { from: options.since ?? "now", signal: stopping.signal })) {
      view.take(event, performance.now())
    }
  }
  const reading = read().catch((error) => {
    if (!stopping.signal.aborted) out.write(`The view has ended: ${oneLine(ensureError(error).message)}\n`)
  })
  return async () => {
    clearInterval(looking)
    stopping.abort()
    await reading
    view.end(performance.now())
  }
}

/** How a run goes on is for those who follow it (`murmur tail 'murmur.run.*'`); what comes of it has lines of its own. */
function isTalk({ type }: MurmurEvent): boolean {
  return type.startsWith("murmur.run.") && type !== "murmur.run.failed"
}

class View {
  readonly #forest = new Forest()
  readonly #feeds = new Feeds()
  readonly #began = performance.now()
  readonly #paint: Paint
  #summarised = performance.now()
  #budget = { lines: LINES_BURST, at: performance.now() }
  /** The newest root that was reacted to, and when the hints about it are due. */
  #hintAbout: MurmurEvent | undefined
  #hintAt = performance.now() + HINT_AFTER_MS
  #hinted = false
  #sample: MurmurEvent | undefined
  #events = 0
  #reactions = 0

  constructor(
    private readonly out: NodeJS.WriteStream,
    private readonly options: ViewOptions,
  ) {
    const coloured = out.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb"
    this.#paint = coloured ? (look, text) => styleText(look, text) : (_, text) => text
  }

  take(event: MurmurEvent, now: number): void {
    this.#events += 1
    if (isTalk(event)) return
    if (event.hops === 0) {
      this.#feeds.came(event)
      if (this.#sample === undefined && isSample(event)) this.#sample = event
    } else this.#reactions += 1
    const root = this.#forest.add(event, now)
    if (root !== undefined) this.#feeds.reacted(root)
  }

  /** Prints what has settled, and now and then a summary of the rest. */
  look(now: number): void {
    this.#budget = {
      lines: Math.min(LINES_BURST, this.#budget.lines + ((now - this.#budget.at) / 1_000) * LINES_PER_SECOND),
      at: now,
    }
    for (const tree of this.#forest.ripe(now)) this.#show(tree, now)
    if (now - this.#summarised >= SUMMARY_EVERY_MS) this.#summarise(now)
    if (now >= this.#hintAt && !this.#hinted) this.#hint()
  }

  end(now: number): void {
    if (this.out.isTTY) this.#print([""]) // the terminal has echoed ^C
    for (const tree of this.#forest.ripe(Number.POSITIVE_INFINITY)) this.#show(tree, now)
    this.#summarise(now)
    const seen = `${counted(this.#events, "event")}, ${counted(this.#reactions, "reaction")}`
    this.#print([`Seen in ${duration(now - this.#began)}: ${seen}.`])
  }

  #show(tree: Tree, now: number): void {
    if (tree.hidden || this.#budget.lines < tree.fresh.length) {
      tree.hide()
      this.#feeds.flooded(tree)
      return
    }
    const answers = tree.fresh.flatMap(({ event }) => answerHint(event, this.options.flags ?? "") ?? [])
    const lines = [
      ...treeLines(tree, this.#width, this.#paint),
      ...answers.map((command) => asideLine(command, this.#width, this.#paint)),
    ]
    this.#budget.lines -= lines.length
    this.#print(lines)
    this.#hintAbout = tree.root?.event ?? this.#hintAbout
    if (tree.fresh.some(({ event }) => event.hops > 1)) this.#hintAt = Math.min(this.#hintAt, now + HINT_SOON_MS)
  }

  #summarise(now: number): void {
    this.#summarised = now
    this.#print(this.#feeds.take().map((text) => asideLine(text, this.#width, this.#paint)))
  }

  /** Says once how to look more closely. */
  #hint(): void {
    this.#hinted = true
    const { http, flags = "", takesGithub = false } = this.options
    const facts = { http, flags, root: this.#hintAbout, sample: this.#sample, takesGithub }
    this.#print(["", ...hintLines(facts), ""])
  }

  #print(lines: readonly string[]): void {
    if (lines.length > 0) this.out.write(`${lines.join("\n")}\n`)
  }

  get #width(): number {
    return this.out.columns ?? WIDTH_UNKNOWN
  }
}
