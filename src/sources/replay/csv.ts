import { MurmurError } from "../../errors.js"

/** One record of a file, as it was found. */
export interface RawRecord<T> {
  /** The line that it begins on, from 1. */
  readonly line: number
  readonly value: T
  /** Why it cannot be used. */
  readonly problem?: string
}

/** Takes text in pieces, cut anywhere, and gives the records that are complete. */
export interface Splitter<T> {
  push(text: string): RawRecord<T>[]
  /** What is left when the text ends. */
  end(): RawRecord<T>[]
}

/** Longest record, in characters: an unclosed quote must not gather the rest of a large file. */
export const RECORD_LENGTH_MAX = 1_048_576

/** Where the splitter is: `closed` is behind a quote that ended a field, or began an escaped one. */
type State = "start" | "plain" | "quoted" | "closed"

/**
 * Splits CSV after RFC 4180: quoted fields may hold delimiters, line ends and doubled quotes; lines end with LF or
 * CRLF; empty lines are no records. A record with a quote where none may stand is given with its problem, and the next
 * line begins anew. A byte order mark must be taken off before.
 */
export class CsvSplitter implements Splitter<string[]> {
  readonly #delimiter: string
  #state: State = "start"
  #fields: string[] = []
  #field = ""
  #length = 0
  #line = 1
  #startLine = 1
  #problem: string | undefined

  constructor(delimiter = ",") {
    this.#delimiter = delimiter
  }

  push(text: string): RawRecord<string[]>[] {
    const records: RawRecord<string[]>[] = []
    for (const char of text) {
      if (char === "\n") this.#line += 1
      const done = this.#take(char)
      if (done !== undefined) records.push(done)
    }
    return records
  }

  end(): RawRecord<string[]>[] {
    if (this.#state === "quoted") this.#problem ??= "its last field has an opening quote and no closing one"
    const last = this.#endRecord()
    return last === undefined ? [] : [last]
  }

  #take(char: string): RawRecord<string[]> | undefined {
    this.#length += 1
    if (this.#length > RECORD_LENGTH_MAX) throw tooLong(this.#startLine)
    if (this.#state === "quoted") {
      if (char === '"') this.#state = "closed"
      else this.#field += char
      return undefined
    }
    if (char === "\n") return this.#endRecord()
    if (char === this.#delimiter) this.#endField()
    else if (char === '"') this.#quote()
    else this.#character(char)
    return undefined
  }

  #quote(): void {
    if (this.#state === "plain") {
      this.#problem ??= "a quote stands in the middle of a field that does not begin with one"
      return
    }
    // Behind a closing quote it is the second half of an escaped one.
    if (this.#state === "closed") this.#field += '"'
    this.#state = "quoted"
  }

  #character(char: string): void {
    if (this.#state === "closed") {
      if (char !== "\r") this.#problem ??= "something stands between a closing quote and the end of its field"
      return
    }
    this.#state = "plain"
    this.#field += char
  }

  #endField(): void {
    this.#fields.push(this.#field)
    this.#field = ""
    this.#state = "start"
  }

  #endRecord(): RawRecord<string[]> | undefined {
    if (this.#state === "plain" && this.#field.endsWith("\r")) this.#field = this.#field.slice(0, -1)
    const empty = this.#fields.length === 0 && this.#field === "" && this.#state !== "closed"
    this.#endField()
    const record = { line: this.#startLine, value: this.#fields }
    const problem = this.#problem
    this.#fields = []
    this.#length = 0
    this.#startLine = this.#line
    this.#problem = undefined
    if (empty) return undefined
    return problem === undefined ? record : { ...record, problem }
  }
}

/** Splits text into lines that end with LF or CRLF, and leaves out empty ones. Other line separators are part of a line. */
export class LineSplitter implements Splitter<string> {
  #rest = ""
  #line = 1

  push(text: string): RawRecord<string>[] {
    const lines = (this.#rest + text).split("\n")
    this.#rest = lines.pop() ?? ""
    if (this.#rest.length > RECORD_LENGTH_MAX) throw tooLong(this.#line + lines.length)
    return lines.flatMap((line) => this.#record(line))
  }

  end(): RawRecord<string>[] {
    return this.#record(this.#rest)
  }

  #record(text: string): RawRecord<string>[] {
    const record = { line: this.#line, value: text.endsWith("\r") ? text.slice(0, -1) : text }
    this.#line += 1
    return record.value.trim() === "" ? [] : [record]
  }
}

function tooLong(line: number): MurmurError {
  return new MurmurError(
    `Cannot read the record that begins on line ${line}: it has more than ${RECORD_LENGTH_MAX} characters. Is a quote not closed, or is this another format?`,
    { code: "REPLAY_FILE", details: { line } },
  )
}
