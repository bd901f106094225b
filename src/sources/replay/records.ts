import { createReadStream } from "node:fs"
import { errorCode, MurmurError } from "../../errors.js"
import { CsvSplitter, LineSplitter, type RawRecord, type Splitter } from "./csv.js"

/** A record of a file: columns by name, or the fields of a JSON object. */
export type Row = Readonly<Record<string, unknown>>

/** A record that was read; `text` is all of it, to tell two versions of a file apart. */
export type FileRecord = { readonly line: number; readonly text: string } & (
  | { readonly row: Row }
  | { readonly problem: string }
)

export interface RecordFile {
  readonly source: string
  readonly path: string
  readonly format: "csv" | "jsonl"
  readonly delimiter: string
}

/**
 * Reads the records of a file one after the other, in constant memory.
 *
 * @throws MurmurError `SOURCE_PATH` when it cannot be opened, `REPLAY_FILE` when it is not of its format at all
 */
export async function* readRecords(file: RecordFile, signal: AbortSignal): AsyncGenerator<FileRecord> {
  if (file.format === "jsonl") {
    for await (const record of split(file, new LineSplitter(), signal)) yield parseJson(record)
    return
  }
  let header: string[] | undefined
  for await (const record of split(file, new CsvSplitter(file.delimiter), signal)) {
    if (header === undefined) header = checkHeader(file, record)
    else yield nameColumns(header, record)
  }
}

async function* split<T>(file: RecordFile, splitter: Splitter<T>, signal: AbortSignal): AsyncGenerator<RawRecord<T>> {
  let first = true
  try {
    for await (const chunk of createReadStream(file.path, { encoding: "utf8", signal })) {
      const text = first ? String(chunk).replace(/^\uFEFF/, "") : String(chunk)
      first = false
      yield* splitter.push(text)
    }
  } catch (error) {
    if (signal.aborted) return
    if (error instanceof MurmurError) throw error
    const problem = errorCode(error) === "ENOENT" ? "it does not exist" : String(error)
    throw new MurmurError(`Cannot replay ${file.path} for source "${file.source}": ${problem}. Correct "file"`, {
      code: "SOURCE_PATH",
      cause: error,
      details: { path: file.path },
    })
  }
  yield* splitter.end()
}

function parseJson({ line, value: text }: RawRecord<string>): FileRecord {
  try {
    const row: unknown = JSON.parse(text)
    if (typeof row === "object" && row !== null && !Array.isArray(row)) return { line, text, row: row as Row }
    return { line, text, problem: "it is JSON, but no object" }
  } catch (error) {
    return { line, text, problem: `it is no JSON: ${error instanceof Error ? error.message : String(error)}` }
  }
}

function nameColumns(header: readonly string[], { line, value, problem }: RawRecord<string[]>): FileRecord {
  const text = JSON.stringify(value)
  if (problem !== undefined) return { line, text, problem }
  if (value.length !== header.length) {
    return { line, text, problem: `it has ${value.length} fields, the header has ${header.length}` }
  }
  return { line, text, row: Object.fromEntries(header.map((name, index) => [name, value[index]])) }
}

function checkHeader(file: RecordFile, { value, problem }: RawRecord<string[]>): string[] {
  const names = value.map((name) => name.trim())
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  const found =
    problem ??
    (names.includes("") ? "a column has no name" : undefined) ??
    (twice === undefined ? undefined : `two columns are named "${twice}"`)
  if (found === undefined) return names
  throw new MurmurError(`Cannot replay ${file.path}: its first line must name the columns, but ${found}`, {
    code: "REPLAY_FILE",
    details: { path: file.path, header: names },
  })
}
