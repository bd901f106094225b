import { expect, test } from "vitest"
import { WholeWords } from "./whole-words.js"

const SECRET = "sk-123/456"
const wordsOf = () => new WholeWords((text) => text.replaceAll(SECRET, "[redacted]"))
const told = (...pieces: string[]): string[] => {
  const words = wordsOf()
  return [...pieces.map((piece) => words.add(piece)), words.rest()]
}

test.each([
  [["your key is ", SECRET, " , yes"], "your key is [redacted] , yes"],
  [[...`key=${SECRET}, and on`], "key=[redacted], and on"],
  [["it is sk-123", "/456"], "it is [redacted]"],
  [["it is sk-12", "4"], "it is sk-124"],
  [[], ""],
])("a secret is found wherever the pieces of a text end: %j", (pieces, whole) => {
  expect(told(...pieces).join("")).toBe(whole)
})

test("what is whole is told at once, also in scripts without spaces", () => {
  expect(told("one two", " three\n", "你好", "世界。")).toEqual(["one ", "two three\n", "你好", "世界。", ""])
})

test("a word without an end is not held for ever", () => {
  expect(told("x".repeat(5_000), "y")).toEqual(["x".repeat(5_000), "", "y"])
})
