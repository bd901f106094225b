#!/usr/bin/env node

/*
 * Draws what a terminal shows as an SVG, for the README. It reads text with ANSI colours from standard input:
 *
 *   tmux new-session -d -s shot -x 116 -y 70 'npm start'
 *   tmux capture-pane -t shot -ep | node scripts/terminal-picture.mjs --title "npm start" > docs/images/watchtower.svg
 *
 * Every run of text is given its exact width, so columns stay aligned whatever monospaced font the reader has.
 */

import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"

const CHAR = 8.4
const LINE = 19
const PAD = 18
const BAR = 34
const COLOURS = ["#484f58", "#ff7b72", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#39c5cf", "#c9d1d9"]
const PLAIN = "#c9d1d9"
const DIM = "#7d8590"
const ESC = "\u001b"
/** Selects colours and weights; all other sequences are left out. */
const SGR = new RegExp(`${ESC}\\[([\\d;]*)m`, "g")
const OTHERS = new RegExp(`${ESC}(?:\\[[\\d;?]*[A-Za-ln-z]|[()][A-Z0-9]|[=>])`, "g")

/** A piece of a line in one style. */
class Style {
  colour = undefined
  bold = false
  dim = false

  apply(code) {
    if (code === 0) Object.assign(this, new Style())
    else if (code === 1) this.bold = true
    else if (code === 2) this.dim = true
    else if (code === 22) Object.assign(this, { bold: false, dim: false })
    else if (code === 39) this.colour = undefined
    else if (code >= 30 && code <= 37) this.colour = COLOURS[code - 30]
    else if (code >= 90 && code <= 97) this.colour = COLOURS[code - 90]
  }

  attributes() {
    const fill = this.colour ?? (this.dim ? DIM : PLAIN)
    return `fill="${fill}"${this.bold ? ' font-weight="bold"' : ""}`
  }
}

/** The lines of a text, each as runs of one style. Styles go on from line to line, as on a terminal. */
function parse(text) {
  const style = new Style()
  return text
    .replace(OTHERS, "")
    .split("\n")
    .map((line) => {
      const runs = []
      let column = 0
      let from = 0
      const push = (part) => {
        if (part.trim() !== "") runs.push({ column, text: part, attributes: style.attributes() })
        column += part.length
      }
      for (const match of line.matchAll(SGR)) {
        push(line.slice(from, match.index))
        from = match.index + match[0].length
        for (const code of match[1].split(";")) style.apply(Number(code))
      }
      push(line.slice(from))
      return { runs, columns: column }
    })
}

const xml = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

function draw(lines, title) {
  const columns = Math.max(...lines.map((line) => line.columns), 40)
  const width = Math.ceil(columns * CHAR + 2 * PAD)
  const height = Math.ceil(BAR + lines.length * LINE + PAD)
  const dots = ["#ff5f57", "#febc2e", "#28c840"].map(
    (fill, at) => `<circle cx="${PAD + 4 + at * 18}" cy="17" r="5.5" fill="${fill}"/>`,
  )
  const texts = lines.flatMap(({ runs }, row) =>
    runs.map(({ column, text, attributes }) => {
      // spaces at the edges of a run are left to the positions: readers of SVG treat them differently
      const start = column + (text.length - text.trimStart().length)
      const shown = text.trim()
      const x = (PAD + start * CHAR).toFixed(1)
      const y = BAR + row * LINE + 13
      return `<text x="${x}" y="${y}" textLength="${(shown.length * CHAR).toFixed(1)}" ${attributes}>${xml(shown)}</text>`
    }),
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${xml(title)}">
<rect width="${width}" height="${height}" rx="9" fill="#0d1117"/>
${dots.join("")}
<text x="${width / 2}" y="21" text-anchor="middle" fill="${DIM}" font-family="system-ui, sans-serif" font-size="12">${xml(title)}</text>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" xml:space="preserve" lengthAdjust="spacingAndGlyphs">
${texts.join("\n")}
</g>
</svg>
`
}

const { values } = parseArgs({ options: { title: { type: "string", default: "murmur" } } })
const text = readFileSync(0, "utf8").replace(/\s+$/, "")
process.stdout.write(draw(parse(text), values.title))
