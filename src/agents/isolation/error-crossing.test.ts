import { describe, expect, test } from "vitest"
import { MurmurError, RetryableError, TerminalError } from "../../errors.js"
import { NondeterminismError } from "../journal/call-hash.js"
import { isTerminal, judge } from "../retry.js"
import { decodeError, ErrorCrossing, encodeError } from "./error-crossing.js"

const retry = { attempts: 5, backoffMs: 1_000, backoffMsMax: 120_000 }
const over = (error: unknown): Error => decodeError(structuredClone(encodeError(error)))

describe("an error that crosses", () => {
  test.each([
    ["a plain one", new Error("plain")],
    ["one of Node's", Object.assign(new Error("refused"), { code: "ECONNREFUSED" })],
    ["a built-in class", new RangeError("range")],
    ["one of ours", new MurmurError("ours", { code: "OURS", details: { n: 1 } })],
    ["a terminal one", new TerminalError("no", { code: "NO" })],
    ["a subclass of a terminal one", new NondeterminismError("twice", { code: "NONDETERMINISM" })],
    ["a retryable one", new RetryableError("busy", { code: "BUSY", retryAfterMs: 7 })],
    ["one whose code is terminal", new MurmurError("undeclared", { code: "EMIT_UNDECLARED" })],
  ])("keeps what decides, and what explains: %s", (_, error: Error) => {
    const found = over(error)
    expect(judge(found, 1, retry, 0.5)).toEqual(judge(error, 1, retry, 0.5))
    expect(isTerminal(found)).toBe(isTerminal(error))
    expect(found).toBeInstanceOf(Error)
    for (const fact of ["name", "message", "stack", "code", "details", "retryAfterMs"] as const) {
      expect((found as never)[fact], fact).toEqual((error as never)[fact])
    }
    expect(found instanceof TerminalError).toBe(error instanceof TerminalError)
    expect(found instanceof RetryableError).toBe(error instanceof RetryableError)
  })

  test("keeps its causes, down to a bound", () => {
    let error = new Error("0")
    for (let n = 1; n <= 10; n++) error = new Error(String(n), { cause: error })
    const messages: string[] = []
    for (let at: unknown = over(error); at instanceof Error; at = at.cause) messages.push(at.message)
    expect(messages).toEqual(["10", "9", "8", "7", "6", "5"])
  })

  test("may be anything that was thrown", () => {
    expect(over("a text")).toMatchObject({ code: "THROWN_VALUE", message: expect.stringContaining("a text") })
    const circular: Record<string, unknown> = {}
    circular.self = circular
    expect(over(new MurmurError("odd", { code: "ODD", details: circular }))).toMatchObject({ details: undefined })
    expect(over(new Error("x".repeat(1_000_000))).message.length).toBe(65_536)
  })

  test("is the same object again when it comes home, on both sides", () => {
    class Own extends Error {}
    const [node, worker] = [new ErrorCrossing("node"), new ErrorCrossing("worker")]
    for (const [home, away] of [
      [node, worker],
      [worker, node],
    ] as const) {
      const error = new Own("own")
      const there = away.decode(structuredClone(home.encode(error)))
      expect(there).not.toBe(error)
      expect(home.decode(structuredClone(away.encode(there)))).toBe(error)
    }
  })
})
