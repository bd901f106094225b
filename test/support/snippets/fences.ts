/** A fenced code block as it stands in a page. */
export interface Fence {
  /** First word after the fence: `ts`, `sh`, `text`. */
  readonly language: string
  /** The words after the language. */
  readonly flags: readonly string[]
  /** Line of the opening fence, from 1. The code begins on the next one. */
  readonly line: number
  /** The code, without the indentation of the fence. */
  readonly code: readonly string[]
  readonly closed: boolean
}

const OPENING = /^(\s*)(`{3,}|~{3,})\s*([^`]*)$/

/** Finds the fenced code blocks of a Markdown page, also those inside of lists. */
export function readFences(markdown: string): Fence[] {
  const lines = markdown.split(/\r?\n/)
  const fences: Fence[] = []
  for (let at = 0; at < lines.length; at++) {
    const [, indent = "", marks = "", info = ""] = OPENING.exec(lines[at] ?? "") ?? []
    if (marks === "") continue
    const end = lines.findIndex((line, index) => index > at && closes(line, marks))
    const [language = "", ...flags] = info.trim().split(/\s+/)
    const code = lines.slice(at + 1, end < 0 ? undefined : end).map((line) => withoutIndent(line, indent.length))
    fences.push({ language, flags, line: at + 1, code, closed: end >= 0 })
    at = end < 0 ? lines.length : end
  }
  return fences
}

/** A closing fence is at least as long as the opening one, of the same mark, and alone on its line. */
function closes(line: string, marks: string): boolean {
  const text = line.trim()
  return text.length >= marks.length && text === text.charAt(0).repeat(text.length) && text[0] === marks[0]
}

function withoutIndent(line: string, width: number): string {
  return /^\s*$/.test(line.slice(0, width)) ? line.slice(width) : line
}
