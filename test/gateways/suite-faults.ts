import { inspect } from "node:util"
import { describe, expect, test, vi } from "vitest"
import { isMurmurError, RetryableError, TerminalError } from "../../src/errors.js"
import type { Gateway } from "../../src/gateways/gateway.js"
import type { FakeReply, Fault } from "../support/llm/fake-protocol.js"
import { complete, request, stream, thrown } from "./suite-ask.js"
import { CANARY_KEY, type Suite } from "./suite-seam.js"

type Way = readonly [string, (gateway: Gateway) => Promise<unknown>]
const ways: readonly Way[] = [
  ["in one piece", (gateway) => complete(gateway)],
  ["in a stream", (gateway) => stream(gateway)],
]

const statuses = [
  [400, "LLM_REQUEST", TerminalError],
  [401, "LLM_KEY", TerminalError],
  [403, "LLM_KEY", TerminalError],
  [404, "LLM_MODEL", TerminalError],
  [408, "LLM_TIMEOUT", RetryableError],
  [409, "LLM_UNAVAILABLE", RetryableError],
  [413, "LLM_CONTEXT", TerminalError],
  [422, "LLM_REQUEST", TerminalError],
  [429, "LLM_BUSY", RetryableError],
  [500, "LLM_UNAVAILABLE", RetryableError],
  [502, "LLM_UNAVAILABLE", RetryableError],
  [503, "LLM_UNAVAILABLE", RetryableError],
  [529, "LLM_UNAVAILABLE", RetryableError],
] as const

/** What may come instead of an answer, and what it is called. An answer in one piece that was cut cannot be read either. */
const broken: readonly (readonly [Fault, string])[] = [
  ["reset", "LLM_UNAVAILABLE"],
  ["break", "LLM_UNAVAILABLE"],
  ["cut", "LLM_REPLY"],
  ["html", "LLM_REPLY"],
  ["empty", "LLM_REPLY"],
]

export function describeFaults({ open, can }: Suite): void {
  describe.runIf(can("network"))("faults", () => {
    test.each(statuses)("calls status %i %s", async (status, code, kind) => {
      const { gateway, server } = await open()
      server.reply({ fault: { status, message: "as the provider says" } })
      for (const [, ask] of ways) {
        const error = await thrown(ask(gateway))
        expect(error).toMatchObject({ code, details: { provider: gateway.provider, status } })
        expect(error).toBeInstanceOf(kind)
        expect(error.message).toContain("as the provider says")
      }
      expect(server.calls).toHaveLength(ways.length)
    })

    test("names what does not fit into the model's window by its own name", async () => {
      const { gateway, server } = await open()
      const message = "This model's maximum context length is 8192 tokens."
      server.reply({ fault: { status: 400, message } })
      expect(await thrown(complete(gateway))).toMatchObject({ code: "LLM_CONTEXT" })
    })

    test("says when to come back, if the provider does", async () => {
      const { gateway, server } = await open()
      const later = new Date(Date.now() + 30_000).toUTCString()
      const headers = [{ "retry-after": "7" }, { "retry-after": later }, {}]
      server.reply(...headers.map((each): FakeReply => ({ fault: { status: 429, headers: each } })))
      expect(await thrown(complete(gateway))).toMatchObject({ retryAfterMs: 7_000 })
      const { retryAfterMs = 0 } = (await thrown(complete(gateway))) as RetryableError
      expect(retryAfterMs).toBeGreaterThan(27_000)
      expect(retryAfterMs).toBeLessThanOrEqual(31_000)
      expect(await thrown(complete(gateway))).toMatchObject({ retryAfterMs: undefined })
    })

    test("reads an error that is no JSON", async () => {
      const { gateway, server } = await open()
      server.reply({
        fault: { status: 502, body: "<html>Bad gateway</html>", headers: { "content-type": "text/html" } },
      })
      expect(await thrown(complete(gateway))).toMatchObject({ code: "LLM_UNAVAILABLE", details: { status: 502 } })
    })

    describe.each(ways)("%s", (way, ask) => {
      test.each(broken)("a connection that ends in a %s is a %s", async (fault, code) => {
        if (way === "in a stream" && fault === "cut" && !can("streamEnd")) return
        const { gateway, server } = await open()
        server.reply({ text: "An answer that is long enough to be cut in its middle. ".repeat(4), fault })
        const error = await thrown(ask(gateway))
        expect(error).toMatchObject({ code })
        expect(error).toBeInstanceOf(RetryableError)
      })

      test("an answer that stops coming is given up after the idle time", async () => {
        const { gateway, server } = await open({ idleTimeoutMs: 150 })
        server.reply({ text: "word ".repeat(40), fault: "stall" })
        const error = await thrown(ask(gateway))
        expect(error).toMatchObject({ code: "LLM_IDLE" })
        expect(error).toBeInstanceOf(RetryableError)
        expect(error.message).toContain("150 ms")
        await vi.waitFor(() => expect(server.calls[0]?.brokenOff).toBe(true), { timeout: 3_000 })
      })

      test("a request that nobody waits for is broken off at once", async () => {
        const { gateway, server } = await open()
        server.reply({ fault: "hang" })
        const reason = new Error("nobody waits any more")
        const controller = new AbortController()
        const call = { signal: controller.signal }
        const asked = thrown(way === "in a stream" ? stream(gateway, {}, call) : gateway.complete(request(), call))
        await vi.waitFor(() => expect(server.calls).toHaveLength(1))
        const beganMs = performance.now()
        controller.abort(reason)
        expect(await asked).toBe(reason)
        expect(performance.now() - beganMs).toBeLessThan(500)
        await vi.waitFor(() => expect(server.calls[0]?.brokenOff).toBe(true), { timeout: 3_000 })
      })

      test("a request is not sent when nobody waits for it to begin with", async () => {
        const { gateway, server } = await open()
        const reason = new Error("too late")
        const call = { signal: AbortSignal.abort(reason) }
        const error = await thrown(
          way === "in a stream" ? stream(gateway, {}, call) : gateway.complete(request(), call),
        )
        expect(error).toBe(reason)
        expect(server.calls).toHaveLength(0)
      })

      test("an answer of 2 MB comes whole", async () => {
        const { gateway, server } = await open()
        const text = `${"x".repeat(999)} `.repeat(2_000)
        server.reply({ text })
        const answer = (await ask(gateway)) as { completion?: unknown; message?: unknown }
        expect(answer.completion ?? answer).toMatchObject({ message: { content: text } })
      })

      test("an answer without an end is not read to its end", async () => {
        const { gateway, server } = await open()
        server.reply({ text: `${"x".repeat(99_999)} `.repeat(180) })
        const error = await thrown(ask(gateway))
        expect(error).toMatchObject({ code: "LLM_REPLY_TOO_LARGE" })
        expect(error).toBeInstanceOf(TerminalError)
      })
    })

    test("nobody there is called unavailable", async () => {
      const { gateway, server } = await open()
      await server.close()
      for (const [, ask] of ways) expect(await thrown(ask(gateway))).toMatchObject({ code: "LLM_UNAVAILABLE" })
    })

    test("the key is found in no error, not even when the provider repeats it", async () => {
      const { gateway, server } = await open()
      const told = { status: 401, message: `Incorrect API key provided: ${CANARY_KEY}.` }
      const replies: readonly FakeReply[] = [
        { fault: told },
        { fault: { ...told, headers: { "www-authenticate": CANARY_KEY } } },
        { fault: { status: 500, body: CANARY_KEY } },
        ...broken.map(([fault]) => ({ text: `${CANARY_KEY} `.repeat(20), fault })),
      ]
      for (const [, ask] of ways) {
        for (const reply of replies) {
          server.reply(reply)
          const error = await thrown(ask(gateway))
          expect(isMurmurError(error)).toBe(true)
          expect(inspect(error, { depth: 12, showHidden: true, maxStringLength: null })).not.toContain(CANARY_KEY)
          expect(inspect(gateway, { depth: 12, showHidden: true })).not.toContain(CANARY_KEY)
        }
      }
    })
  })
}
