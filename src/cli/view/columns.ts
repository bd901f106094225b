import { printable } from "../text.js"

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u
const NARROWEST = /[\p{Mn}\p{Me}\p{Cf}]/u
// biome-ignore lint/suspicious/noControlCharactersInRegex: the whole of ASCII
const ASCII = /^[\u0000-\u007f]*$/

/** How many columns of a terminal a text takes: wide characters take two, combining ones none. */
export function columnsOf(text: string): number {
  if (ASCII.test(text)) return text.length
  let columns = 0
  for (const char of text) columns += widthOf(char)
  return columns
}

function widthOf(char: string): number {
  if (char < "\u0300") return 1
  if (NARROWEST.test(char)) return 0
  return WIDE.test(char) ? 2 : 1
}

/** A text cut to `width` columns, with an ellipsis where something is missing. */
export function shorten(text: string, width: number): string {
  if (columnsOf(text) <= width) return text
  if (width < 1) return ""
  let kept = ""
  let columns = 0
  for (const char of text) {
    columns += widthOf(char)
    if (columns > width - 1) break
    kept += char
  }
  return `${kept}…`
}

/** A text as a cell: exactly `width` columns. */
export function cell(text: string, width: number): string {
  const short = shorten(text, width)
  return short + " ".repeat(Math.max(0, width - columnsOf(short)))
}

/** Text from the mesh on one line, without anything that a terminal would obey. */
export function oneLine(text: string): string {
  return printable(text.replace(/\s+/g, " ").trim())
}
