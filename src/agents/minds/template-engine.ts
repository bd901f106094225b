import { createRequire } from "node:module"
import type { Liquid, Template } from "liquidjs"
import { delimited } from "./delimited.js"

/** Bounds of one template: its text, what it renders to, how long that may take, and what it may build on the way. */
export const TEMPLATE_CHARS_MAX = 262_144
export const OUTPUT_CHARS_MAX = 524_288
const RENDER_MS_MAX = 500
const BUILT_MAX = 4_000_000

/** They read files. */
const FILE_TAGS = ["include", "render", "layout", "block"]
/** They give something else each time. */
const CHANCE_FILTERS = ["sample"]
const DATE_FILTERS = ["date", "date_to_xmlschema", "date_to_rfc822", "date_to_string", "date_to_long_string"]

type Liquidjs = typeof import("liquidjs")

/** LiquidJS, and an engine without files, clock and chance: what it renders follows from its variables alone. */
export interface TemplateEngine {
  readonly liquid: Liquid
  parse(text: string): Template[]
  render(templates: Template[], variables: object): string
}

let made: TemplateEngine | undefined

/**
 * Loaded when a template is first looked at. By `require`, since agents are defined, and their templates checked, in one
 * turn: there is no waiting for an import.
 */
export function templateEngine(): TemplateEngine {
  made ??= makeEngine(createRequire(import.meta.url)("liquidjs") as Liquidjs)
  return made
}

function makeEngine({ Liquid, Context, toValueSync }: Liquidjs): TemplateEngine {
  const liquid = new Liquid({
    strictVariables: true,
    strictFilters: true,
    lenientIf: true,
    ownPropertyOnly: true,
    templates: {},
    locale: "en-US",
    timezoneOffset: 0,
    parseLimit: TEMPLATE_CHARS_MAX,
    renderLimit: RENDER_MS_MAX,
    memoryLimit: BUILT_MAX,
  })
  for (const tag of FILE_TAGS) delete liquid.tags[tag]
  for (const filter of CHANCE_FILTERS) delete liquid.filters[filter]
  for (const filter of DATE_FILTERS) withoutClock(liquid, filter)
  liquid.registerFilter("as_data", (value: unknown, kind?: unknown) =>
    delimited(value, { kind: typeof kind === "string" ? kind : "value" }),
  )
  return {
    liquid,
    parse: (text) => liquid.parse(text),
    render: (templates, variables) => {
      const output = new BoundedOutput()
      const context = new Context(variables, liquid.options, { sync: true })
      toValueSync(liquid.renderer.renderTemplates(templates, context, output) as Generator)
      return output.buffer
    },
  }
}

/** A prompt is the same on each attempt, so it has no "now": the event has a time. */
function withoutClock(liquid: Liquid, name: string): void {
  const filter = liquid.filters[name]
  if (typeof filter !== "function") return
  liquid.registerFilter(name, function (value: unknown, ...rest: unknown[]) {
    if (value === "now" || value === "today") {
      throw new Error(`"${value}" is another time on each attempt: use event.time`)
    }
    return filter.call(this, value, ...rest)
  })
}

class BoundedOutput {
  buffer = ""

  write(piece: unknown): void {
    this.buffer += textOf(piece)
    if (this.buffer.length > OUTPUT_CHARS_MAX) {
      throw new Error(`it renders to more than ${OUTPUT_CHARS_MAX} characters`)
    }
  }
}

function textOf(piece: unknown): string {
  if (piece === null || piece === undefined) return ""
  return typeof piece === "object" ? JSON.stringify(piece) : String(piece)
}
