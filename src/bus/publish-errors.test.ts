import { describe, expect, test } from "vitest"
import { publishError, readReply, transient } from "./publish-errors.js"

const refusal = (code: number, errCode: number, description = "") => ({ code, errCode, description })

describe("what a refusal means", () => {
  test.each([
    ["wrong last sequence", refusal(400, 10071, "wrong last sequence: 7"), false, "FENCE_CONFLICT"],
    ["wrong last sequence in a cluster", refusal(400, 10164, "wrong last sequence"), false, "FENCE_CONFLICT"],
    ["maximum messages", refusal(503, 10077, "maximum messages exceeded"), false, "STREAM_FULL"],
    ["maximum bytes", refusal(503, 10077, "maximum bytes exceeded"), false, "STREAM_FULL"],
    ["insufficient resources", refusal(503, 10023, "insufficient resources"), false, "STREAM_FULL"],
    ["account limits", refusal(500, 10047, "insufficient storage resources available"), false, "STREAM_FULL"],
    [
      "message too large for the stream",
      refusal(400, 10054, "message size exceeds maximum allowed"),
      false,
      "EVENT_TOO_LARGE",
    ],
    ["anything else", refusal(400, 10139, "expected stream does not match"), false, "PUBLISH_REFUSED"],
    ["no responders", refusal(503, 0, "no stream answered"), true, undefined],
    ["no leader", refusal(503, 10008, "JetStream system temporarily unavailable"), true, undefined],
    ["a store that is being closed", refusal(503, 10077, "store is closed"), true, undefined],
    ["the same message on its way", refusal(409, 10158, "duplicate message id is in process"), true, undefined],
    ["more than the stream buffers", refusal(429, 10167, "too many requests"), true, undefined],
  ])("%s", (_, found, again, code) => {
    expect(transient(found)).toBe(again)
    if (code !== undefined) {
      const error = publishError("m.ev.p.k.t", found)
      expect(error).toMatchObject({ code, details: { subject: "m.ev.p.k.t", errCode: found.errCode } })
      expect(error.message).toContain("m.ev.p.k.t")
    }
  })
})

describe("reading a reply", () => {
  const read = (text: string) => readReply(Buffer.from(text))
  test("an ack, a repeat, a refusal and no responders", () => {
    expect(read('{"stream":"S","seq":7}')).toEqual({ seq: 7, duplicate: false })
    expect(read('{"stream":"S","seq":7,"duplicate":true}')).toEqual({ seq: 7, duplicate: true })
    expect(read('{"stream":"S","seq":7,"val":"42"}')).toEqual({ seq: 7, duplicate: false, val: "42" })
    expect(read('{"error":{"code":400,"err_code":10071,"description":"wrong"}}')).toEqual(refusal(400, 10071, "wrong"))
    expect(read("")).toMatchObject({ code: 503, errCode: 0 })
  })

  test.each(["{", "null", "7", '"text"', "[]", "{}", '{"seq":"7"}', "\u0000\u0001"])("%j is no answer", (text) => {
    expect(read(text)).toBeUndefined()
  })
})
