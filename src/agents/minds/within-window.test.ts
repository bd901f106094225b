import fc from "fast-check"
import { expect, test } from "vitest"
import { assistant, system, toolResult, user } from "../../gateways/messages/constructors.js"
import type { Message } from "../../gateways/messages/message.js"
import { estimateTokens } from "../../gateways/tokens/estimate-tokens.js"
import { withinWindow } from "./within-window.js"

const calls = (turn: number, results: readonly string[]): Message[] => {
  const ids = results.map((_, n) => `c${turn}-${n}`)
  return [
    assistant("", { toolCalls: ids.map((id) => ({ id, name: "look", arguments: {} })) }),
    ...results.map((content, n) => toolResult({ id: ids[n] ?? "", name: "look" }, content)),
  ]
}
const long = "a line of a long log\n".repeat(60)
const start = [system("Look into it."), user("the event")]

test("what fits is left as it is", () => {
  const messages = [...start, ...calls(1, [long])]
  expect(withinWindow(messages, [], 10_000)).toBe(messages)
})

test("the oldest results are cut first, and those that the model has not seen yet stay", () => {
  const messages = [...start, ...calls(1, [long]), ...calls(2, [long]), ...calls(3, [long, long])]
  const fitting = withinWindow(messages, [], estimateTokens(messages) - 10)
  const results = fitting.flatMap((message) => (message.role === "tool" ? [message.content] : []))
  expect(results).toEqual(["[1260 characters cut: no room for them any more]", long, long, long])
})

test("when that is not enough, the newest are shortened, so that each still says something", () => {
  const messages = [...start, ...calls(1, [long]), ...calls(2, [long.repeat(20), long.repeat(20)])]
  const fitting = withinWindow(messages, [], 2_000)
  expect(estimateTokens(fitting)).toBeLessThanOrEqual(2_000)
  const newest = fitting.slice(-2).map(({ content }) => String(content))
  for (const content of newest)
    expect(content).toMatch(/^a line of a long log\n[\s\S]*characters cut[\s\S]*long log\n$/)
})

test("whatever was called, it fits, if all else does, and nothing but results is changed", () => {
  const turns = fc.array(fc.array(fc.lorem({ maxCount: 200, mode: "words" }), { minLength: 1, maxLength: 4 }), {
    maxLength: 8,
  })
  fc.assert(
    fc.property(turns, fc.integer({ min: 0, max: 2_000 }), (given, room) => {
      const messages = [...start, ...given.flatMap((results, n) => calls(n, results))]
      const bare = messages.map((message) =>
        message.role === "tool" ? { ...message, content: "x".repeat(200) } : message,
      )
      const max = estimateTokens(bare) + room
      const fitting = withinWindow(messages, [], max)
      expect(estimateTokens(fitting)).toBeLessThanOrEqual(max)
      const others = (all: readonly Message[]) => all.filter(({ role }) => role !== "tool")
      expect(others(fitting)).toEqual(others(messages))
      expect(fitting.map(({ role }) => role)).toEqual(messages.map(({ role }) => role))
    }),
  )
})
