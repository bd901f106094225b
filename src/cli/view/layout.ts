import type { MurmurEvent } from "../../bus/event.js"
import { duration } from "../text.js"
import { cell, columnsOf, oneLine, shorten } from "./columns.js"
import type { Seen, Tree } from "./forest.js"
import { type Gist, gistOf, type Tone } from "./gist.js"

/** How a part of a line looks. */
export type Look = "dim" | "bold" | "cyan" | "green" | "yellow" | "red"

/** Puts a look on a text, or leaves it as it is where there is no colour. */
export type Paint = (look: Look, text: string) => string

/** The widths of the columns, after the time. Where keys have no column (0) they stand before the text. */
interface Columns {
  readonly who: number
  readonly type: number
  readonly key: number
}

const TIME = 8
const GAP = "  "
const LINES_MAX = 14
const DEPTH_SHOWN_MAX = 5
const KEY_NARROW = 24
const LOOKS: Readonly<Record<Tone, Look | undefined>> = { bad: "red", warning: "yellow", plain: undefined }

/** The lines of a tree: what came from outside, and under it what agents made of it. */
export function treeLines(tree: Tree, width: number, paint: Paint): string[] {
  const page = new Page(width, paint)
  const lines = [page.root(tree), ...page.reactions(tree)]
  if (lines.length <= LINES_MAX) return lines
  return [...lines.slice(0, LINES_MAX), page.aside(`… and ${lines.length - LINES_MAX} more events of this tree`)]
}

/** A line beside the trees. */
export function asideLine(text: string, width: number, paint: Paint): string {
  return new Page(width, paint).aside(text)
}

class Page {
  readonly #columns: Columns

  constructor(
    private readonly width: number,
    private readonly paint: Paint,
  ) {
    this.#columns = columnsFor(width)
  }

  aside(text: string): string {
    return this.paint("dim", `${" ".repeat(TIME)}${GAP}${shorten(text, Math.max(10, this.width - TIME - 2))}`)
  }

  root({ root, rootId, continued }: Tree): string {
    if (root === undefined) return this.aside(`○ an event from before, ${oneLine(rootId)}`)
    const { event, at } = root
    const time = this.paint("dim", clock(at))
    const mark = continued ? "○" : "●"
    const gist = continued ? { grade: "", tone: "plain" as const, text: "(goes on)" } : gistOf(event.data, event.key)
    const look = continued ? "dim" : "cyan"
    const name = oneLine(event.key ?? "")
    const key = this.#columns.key === 0 ? shorten(name, KEY_NARROW) : cell(name, this.#columns.key)
    return this.#line(time, this.paint(look, this.#who(`${mark} ${event.producer}`)), event, key, gist, "dim")
  }

  reactions(tree: Tree): string[] {
    const children = new Map<string | undefined, Seen[]>()
    const here = new Set(tree.fresh.map(({ event }) => event.id))
    for (const seen of tree.fresh) {
      const cause = seen.event.causationid
      const parent = cause !== undefined && here.has(cause) ? cause : undefined
      children.set(parent, [...(children.get(parent) ?? []), seen])
    }
    const lines: string[] = []
    const walk = (parent: string | undefined, indent: string, depth: number): void => {
      const siblings = children.get(parent) ?? []
      for (const [at, seen] of siblings.entries()) {
        const last = at === siblings.length - 1
        lines.push(this.#reaction(tree, seen, `${indent}${last ? "└─" : "├─"} `))
        const deeper = depth < DEPTH_SHOWN_MAX ? `${indent}${last ? "   " : "│  "}` : indent
        walk(seen.event.id, deeper, depth + 1)
      }
    }
    walk(undefined, "", 1)
    return lines
  }

  #reaction(tree: Tree, { event, at }: Seen, branch: string): string {
    const cause = tree.find(event.causationid ?? "")
    const took = cause === undefined ? "" : `+${duration(Math.max(1, at - cause.at))}`
    const time = this.paint("dim", took.padStart(TIME))
    const name = shorten(oneLine(event.producer), Math.max(1, this.#columns.who - columnsOf(branch)))
    const rest = " ".repeat(Math.max(0, this.#columns.who - columnsOf(branch) - columnsOf(name)))
    const who = `${this.paint("dim", branch)}${this.paint("green", name)}${rest}`
    // a key that stays the same down the tree is said once
    const key = event.key === (cause?.key ?? tree.root?.event.key) ? "" : oneLine(event.key ?? "")
    return this.#line(time, who, event, shorten(key, this.#columns.key), gistOf(event.data, event.key))
  }

  #line(time: string, who: string, { type }: MurmurEvent, key: string, gist: Gist, look?: Look): string {
    const { who: whoWidth, type: typeWidth } = this.#columns
    const room = this.width - TIME - whoWidth - typeWidth - GAP.length * 3
    const short = shorten(key, room)
    const text = this.#say(gist, short === "" ? room : room - columnsOf(short) - GAP.length, look)
    const parts = [time, who, cell(oneLine(type), typeWidth), short, text]
    return parts
      .filter((part) => part !== "")
      .join(GAP)
      .trimEnd()
  }

  #say({ grade, tone, text }: Gist, width: number, look: Look | undefined): string {
    if (width < 8) return ""
    const whole = shorten([grade, text].filter((part) => part !== "").join(grade === "" ? "" : "  "), width)
    const graded = grade !== "" && whole.startsWith(grade) ? grade : ""
    const rest = whole.slice(graded.length)
    const toned = LOOKS[tone]
    return (toned === undefined ? this.#plain(graded, look) : this.paint(toned, graded)) + this.#plain(rest, look)
  }

  #plain(text: string, look: Look | undefined): string {
    return look === undefined || text === "" ? text : this.paint(look, text)
  }

  #who(text: string): string {
    return cell(oneLine(text), this.#columns.who)
  }
}

function columnsFor(width: number): Columns {
  if (width >= 140) return { who: 24, type: 22, key: 26 }
  if (width >= 100) return { who: 22, type: 18, key: 22 }
  if (width >= 70) return { who: 21, type: 17, key: 0 }
  return {
    who: Math.max(10, Math.floor((width - TIME) * 0.5)),
    type: Math.max(8, Math.floor((width - TIME) * 0.4)),
    key: 0,
  }
}

/** The time of day of a moment on the clock that only runs forward. */
function clock(at: number): string {
  return new Date(performance.timeOrigin + at).toTimeString().slice(0, 8)
}
