import { MurmurError } from "../errors.js"

/** One line of an input. */
export interface Line {
  /** From 1. */
  readonly number: number
  readonly text: string
}

/** No event is so large: a line that grows beyond it is no NDJSON. */
const LINE_BYTES_MAX = 16 * 1024 * 1024
const NEWLINE = 0x0a

/**
 * The lines of a byte stream that are not blank, read no faster than they are taken. Only `\n` (or `\r\n`) ends a line:
 * NDJSON may hold the other separators that Node's own line reader stops at.
 *
 * @throws MurmurError `INPUT_LINE` for a line that is not UTF-8 or longer than 16 MiB, with its number
 */
export async function* readLines(input: AsyncIterable<Uint8Array>): AsyncGenerator<Line> {
  const text = new TextDecoder("utf-8", { fatal: true })
  let parts: Uint8Array[] = []
  let bytes = 0
  let number = 0
  const take = (rest: Uint8Array): Line => {
    number += 1
    const whole = parts.length === 0 ? rest : Buffer.concat([...parts, rest])
    parts = []
    bytes = 0
    try {
      return { number, text: text.decode(whole).trim() }
    } catch {
      throw inputError(number, "it is not UTF-8")
    }
  }
  for await (const chunk of input) {
    let from = 0
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      const line = take(chunk.subarray(from, at))
      from = at + 1
      if (line.text !== "") yield line
    }
    bytes += chunk.length - from
    if (bytes > LINE_BYTES_MAX) throw inputError(number + 1, `it is longer than ${LINE_BYTES_MAX / 1024 / 1024} MiB`)
    if (from < chunk.length) parts.push(chunk.subarray(from))
  }
  const last = take(new Uint8Array())
  if (last.text !== "") yield last
}

/** An error of one line of the input. */
export function inputError(line: number, reason: string): MurmurError {
  return new MurmurError(`Cannot read line ${line} of the input: ${reason}`, { code: "INPUT_LINE", details: { line } })
}
