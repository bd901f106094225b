import { describe, expect, it } from "vitest"
import { cell, columnsOf, oneLine, shorten } from "./columns.js"

describe("columns", () => {
  it.each([
    ["plain", 5],
    ["Größe", 5],
    ["日本", 4],
    ["e\u0301", 1],
    ["🚀", 2],
    ["└─ x", 4],
  ])("counts %j as %i columns of a terminal", (text, columns) => {
    expect(columnsOf(text)).toBe(columns)
  })

  it("cuts a text to a width and says that something is missing", () => {
    expect(shorten("incident.opened", 8)).toBe("inciden…")
    expect(shorten("日本語", 4)).toBe("日…")
    expect(shorten("short", 8)).toBe("short")
    expect(shorten("x", 0)).toBe("")
  })

  it("fills a cell to exactly its width, also with wide characters", () => {
    for (const text of ["", "a", "日本語テキスト", "a long text that does not fit"])
      expect(columnsOf(cell(text, 10))).toBe(10)
  })

  it("lets nothing through that a terminal would obey", () => {
    expect(oneLine("a\u001b[2J\r\n b\u202e")).toBe("a\\u001b[2J b\\u202e")
  })
})
