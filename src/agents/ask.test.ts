import { expect, test } from "vitest"
import { checkAsk, checkSleep } from "./ask.js"

test.each([
  ["", { default: "no" }, "a question must be a text"],
  [7, { default: "no" }, "a question must be a text"],
  ["Go?", undefined, "its options must be an object, are undefined"],
  ["Go?", {}, "it needs a default"],
  ["Go?", { default: true }, "it needs a default, the answer when nobody gives one in time; is true"],
  ["Go?", { default: "no", timeout: 5 }, 'unknown option "timeout" (known: choices, default, timeoutMs)'],
  ["Go?", { default: "no", choices: [] }, "choices must be a list of texts, is []"],
  ["Go?", { default: "no", choices: "yes" }, 'choices must be a list of texts, is "yes"'],
  ["Go?", { default: "no", choices: ["yes", 1] }, 'choices must be a list of texts, is ["yes",1]'],
  ["Go?", { default: "no", choices: ["yes"] }, 'the default "no" is none of its choices (yes)'],
  ["Go?", { default: "no", timeoutMs: 0 }, "timeoutMs must be a number of milliseconds > 0, is 0"],
  ["Go?", { default: "no", timeoutMs: "1h" }, "timeoutMs must be a number of milliseconds > 0, is 1h"],
  ["Go?", { default: "no", timeoutMs: Number.POSITIVE_INFINITY }, "is Infinity"],
])("A question that cannot be asked is refused: %j %j", (question, options, why) => {
  const check = () => checkAsk("gate", question as string, options as never)
  expect(check).toThrow(expect.objectContaining({ code: "ASK_OPTION", message: expect.stringContaining(why) }))
})

test("A question waits a day unless it says how long", () => {
  expect(checkAsk("gate", "Go?", { default: "" })).toBe(86_400_000)
  expect(checkAsk("gate", "Go?", { default: "no", choices: ["yes", "no"], timeoutMs: 5 })).toBe(5)
})

test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, "5", undefined])("A step cannot sleep for %s", (ms) => {
  expect(() => checkSleep("gate", ms as number)).toThrow(
    expect.objectContaining({ code: "SLEEP", message: expect.stringContaining(`> 0, is ${ms}`) }),
  )
})

test("A step may sleep for months", () => {
  expect(checkSleep("gate", 180 * 86_400_000)).toBe(180 * 86_400_000)
})
