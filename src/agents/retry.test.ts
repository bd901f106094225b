import { describe, expect, test } from "vitest"
import { ensureError, MurmurError, RetryableError, TerminalError } from "../errors.js"
import { judge } from "./retry.js"

const retry = { attempts: 5, backoffMs: 1_000, backoffMsMax: 20_000 }
const dead = (reason: "terminal" | "failed") => ({ next: "dead", reason })
const wait = (delayMs: number) => ({ next: "retry", delayMs })
class OurTerminal extends TerminalError {}
class OurRetryable extends RetryableError {}

describe("the class of an error decides", () => {
  test.each<[string, Error, unknown]>([
    ["anything that was thrown", new Error("x"), wait(1_000)],
    ["a value that is no error", ensureError("x"), wait(1_000)],
    ["a type error", new TypeError("x"), wait(1_000)],
    ["one of ours with another code", new MurmurError("x", { code: "BUS_UNAVAILABLE" }), wait(1_000)],
    ["retryable without a delay", new RetryableError("x", { code: "X" }), wait(1_000)],
    ["retryable with a delay", new RetryableError("x", { code: "X", retryAfterMs: 7 }), wait(7)],
    ["a class below retryable", new OurRetryable("x", { code: "X", retryAfterMs: 7 }), wait(7)],
    ["retryable at once", new RetryableError("x", { code: "X", retryAfterMs: 0 }), wait(0)],
    ["a delay below zero", new RetryableError("x", { code: "X", retryAfterMs: -5 }), wait(0)],
    ["a delay that is no number", new RetryableError("x", { code: "X", retryAfterMs: Number.NaN }), wait(1_000)],
    [
      "a delay that no timer can wait",
      new RetryableError("x", { code: "X", retryAfterMs: Infinity }),
      wait(2 ** 31 - 1),
    ],
    ["terminal", new TerminalError("x", { code: "X" }), dead("terminal")],
    ["a class below terminal", new OurTerminal("x", { code: "X" }), dead("terminal")],
    ["an emit that was not declared", new MurmurError("x", { code: "EMIT_UNDECLARED" }), dead("terminal")],
    ["data that does not fit", new MurmurError("x", { code: "EVENT_DATA" }), dead("terminal")],
    ["an output that is too large", new MurmurError("x", { code: "EVENT_TOO_LARGE" }), dead("terminal")],
    ["an output that may not be published", new MurmurError("x", { code: "PUBLISH_DENIED" }), dead("terminal")],
    [
      "a terminal code on an error that is not ours",
      Object.assign(new Error("x"), { code: "EVENT_DATA" }),
      wait(1_000),
    ],
  ])("%s", (_, error, verdict) => {
    expect(judge(error, 1, retry, 0.5)).toEqual(verdict)
  })
})

test("an error of another loaded copy of murmur is judged alike", () => {
  const foreign = Object.assign(new Error("x"), { name: "TerminalError", code: "X" })
  Object.defineProperty(foreign, Symbol.for("murmur.error"), { value: true })
  expect(judge(foreign, 1, retry, 0.5)).toEqual(dead("terminal"))
})

test("delays grow fourfold, with jitter, and never over the longest", () => {
  const delays = (random: number) => [1, 2, 3, 4].map((attempt) => judge(new Error("x"), attempt, retry, random))
  expect(delays(0.5)).toEqual([wait(1_000), wait(4_000), wait(16_000), wait(20_000)])
  expect(delays(0)).toEqual([wait(800), wait(3_200), wait(12_800), wait(16_000)])
  expect(delays(1)).toEqual([wait(1_200), wait(4_800), wait(19_200), wait(20_000)])
})

test("the last attempt is the last, also when the error asks for another", () => {
  expect(judge(new Error("x"), 4, retry, 0.5).next).toBe("retry")
  expect(judge(new Error("x"), 5, retry, 0.5)).toEqual(dead("failed"))
  expect(judge(new RetryableError("x", { code: "X", retryAfterMs: 1 }), 5, retry, 0.5)).toEqual(dead("failed"))
  expect(judge(new Error("x"), 1, { ...retry, attempts: 1 }, 0.5)).toEqual(dead("failed"))
})
