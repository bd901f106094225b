import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { CsvSplitter, LineSplitter, RECORD_LENGTH_MAX, type Splitter } from "./csv.js"

function split<T>(splitter: Splitter<T>, text: string, cuts: readonly number[] = []) {
  const at = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b)
  const pieces = [0, ...at].map((from, index) => text.slice(from, at[index] ?? text.length))
  return [...pieces.flatMap((piece) => splitter.push(piece)), ...splitter.end()]
}

const values = (text: string) => split(new CsvSplitter(), text).map((record) => record.value)
const quote = (field: string): string => (/[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field)

describe("CsvSplitter", () => {
  it("reads back any fields that were written as RFC 4180 says, wherever the text is cut", () => {
    const field = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(",", '"', "\r", "\n", "a", " ") }))
    const record = fc.array(field, { minLength: 2, maxLength: 4 })
    fc.assert(
      fc.property(
        fc.array(record, { maxLength: 5 }),
        fc.constantFrom("\n", "\r\n"),
        fc.array(fc.nat(200)),
        (records, newline, cuts) => {
          const text = records.map((fields) => fields.map(quote).join(",") + newline).join("")
          const read = split(new CsvSplitter(), text, cuts)
          expect(read.map(({ value, problem }) => ({ value, problem }))).toEqual(
            records.map((value) => ({ value, problem: undefined })),
          )
        },
      ),
    )
  })

  it("reads line ends of both kinds, quotes, empty fields, a last line without an end, and leaves out empty lines", () => {
    expect(values('a,b\r\n1,"x,""y""\nz"\n\n\r\n,""\nlast,')).toEqual([
      ["a", "b"],
      ["1", 'x,"y"\nz'],
      ["", ""],
      ["last", ""],
    ])
  })

  it("says on which line each record begins", () => {
    const records = split(new CsvSplitter(), 'a\n"b\nb"\n\nc\n')
    expect(records.map((record) => record.line)).toEqual([1, 2, 5])
  })

  it.each([
    ['a"b,c\nok,1', "middle of a field"],
    ['"a"b,c\nok,1', "between a closing quote"],
  ])("says what is wrong with %j and goes on with the next line", (text, problem) => {
    const [bad, good] = split(new CsvSplitter(), text)
    expect(bad?.problem).toContain(problem)
    expect(good).toEqual({ line: 2, value: ["ok", "1"] })
  })

  it("says that the last quote is not closed, and gives up on a record without an end", () => {
    expect(split(new CsvSplitter(), 'a,"b\nc')[0]?.problem).toContain("no closing one")
    const splitter = new CsvSplitter()
    splitter.push('a,"')
    expect(() => splitter.push("x".repeat(RECORD_LENGTH_MAX))).toThrow("begins on line 1")
  })

  it("splits at another delimiter", () => {
    expect(split(new CsvSplitter(";"), "a;b,c\n")[0]?.value).toEqual(["a", "b,c"])
  })
})

describe("LineSplitter", () => {
  it("splits at LF and CRLF only, wherever the text is cut, and counts lines", () => {
    const text = '{"a":"x\u2028y"}\r\n\n{"b":1}'
    for (let cut = 0; cut <= text.length; cut++) {
      expect(split(new LineSplitter(), text, [cut])).toEqual([
        { line: 1, value: '{"a":"x\u2028y"}' },
        { line: 3, value: '{"b":1}' },
      ])
    }
  })

  it("gives up on a line without an end", () => {
    expect(() => new LineSplitter().push("x".repeat(RECORD_LENGTH_MAX + 1))).toThrow("begins on line 1")
  })
})
