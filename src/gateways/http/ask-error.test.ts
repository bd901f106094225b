import { inspect } from "node:util"
import { expect, test } from "vitest"
import { RetryableError, TerminalError } from "../../errors.js"
import { type Asked, askError } from "./ask-error.js"

const asked: Asked = {
  provider: "openai",
  model: "gpt-5-mini",
  signal: new AbortController().signal,
  hide: (text) => text.replaceAll("sk-secret", "[hidden]"),
}
const failed = (code: string): Error => Object.assign(new Error("it failed"), { code })

test.each(["ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EAI_AGAIN", "UND_ERR_SOCKET", "UND_ERR_CONNECT_TIMEOUT"])(
  "a network error %s is a provider that is not there, however deep it lies",
  (code) => {
    const thrown = new Error("Connection error.", { cause: new TypeError("fetch failed", { cause: failed(code) }) })
    const error = askError(thrown, asked)
    expect(error).toMatchObject({ code: "LLM_UNAVAILABLE", details: { provider: "openai", model: "gpt-5-mini" } })
    expect(error).toBeInstanceOf(RetryableError)
    expect(error.message).toContain(code)
  },
)

test("an answer that did not begin in time is a timeout", () => {
  const thrown = new TypeError("fetch failed", { cause: failed("UND_ERR_HEADERS_TIMEOUT") })
  expect(askError(thrown, asked)).toMatchObject({ code: "LLM_TIMEOUT" })
})

test("a mistake in a program is no provider that is not there", () => {
  for (const code of ["ERR_INVALID_ARG_TYPE", "ERR_MODULE_NOT_FOUND"]) {
    expect(askError(failed(code), asked)).toMatchObject({ code: "LLM_REPLY" })
  }
})

test("looks into the addresses that were tried one after the other", () => {
  const thrown = new TypeError("fetch failed", { cause: new AggregateError([failed("ECONNREFUSED")], "") })
  expect(askError(thrown, asked)).toMatchObject({ code: "LLM_UNAVAILABLE" })
})

test("an error of ours is found among the causes, and is the answer", () => {
  const ours = new TerminalError("too large", { code: "LLM_REPLY_TOO_LARGE" })
  expect(askError(new Error("Connection error.", { cause: ours }), asked)).toBe(ours)
})

test("an aborted signal wins over whatever was thrown for it", () => {
  const reason = new Error("nobody waits")
  const signal = AbortSignal.abort(reason)
  expect(askError(new Error("aborted"), { ...asked, signal })).toBe(reason)
})

test("a refusal is told by its status, without what is secret, and without the vendor's error", () => {
  const headers = new Headers({ "retry-after": "3" })
  const refuse = () => ({ status: 429, message: "key sk-secret is out of luck", headers })
  const error = askError(Object.assign(new Error("429"), { body: "sk-secret" }), asked, refuse)
  expect(error).toMatchObject({ code: "LLM_BUSY", retryAfterMs: 3_000 })
  expect(error.cause).toBeUndefined()
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain("sk-secret")
})

test("a parser's error does not quote the answer", () => {
  const error = askError(new SyntaxError('Unexpected token "sk-secret"'), asked)
  expect(error).toMatchObject({ code: "LLM_REPLY" })
  expect(error.message).not.toContain("token")
})
