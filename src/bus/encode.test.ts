import { expect, test } from "vitest"
import { encode, seal } from "./encode.js"
import type { MurmurEvent } from "./event.js"

const from = { mesh: "m", producer: "triage" }
const cause: MurmurEvent = {
  ...seal({ type: "a.b", data: 1, key: "k", id: "root" }, { mesh: "m", producer: "feed", trust: "external" }),
  seq: 1,
}

test("a root event is its own correlation, at depth 0, internal unless it is said otherwise", () => {
  const root = seal({ type: "a.b", data: 1 }, from)
  expect(root).toMatchObject({
    correlationid: root.id,
    causationid: undefined,
    hops: 0,
    trust: "internal",
    extensions: {},
  })
  expect(root.source).toBe("/murmur/m/triage")
  expect(seal({ type: "a.b", data: 1 }, { ...from, trust: "external" }).trust).toBe("external")
})

test("what follows from an event inherits its tree, is one hop deeper, and cannot shed outside trust", () => {
  const child = seal({ type: "c.d", data: 2 }, { ...from, cause, trust: "internal" })
  expect(child).toMatchObject({ correlationid: "root", causationid: "root", hops: 1, trust: "external" })
  const grandchild = seal({ type: "e.f", data: 3 }, { ...from, cause: { ...child, seq: 2 } })
  expect(grandchild).toMatchObject({ correlationid: "root", causationid: child.id, hops: 2, trust: "external" })
  expect(seal({ type: "c.d", data: 2 }, { ...from, cause: { ...cause, trust: "internal" } }).trust).toBe("internal")
})

test("what a draft says stands: id, time, source, key, extensions", () => {
  const given = { id: "i", time: "2026-01-01T00:00:00Z", source: "/s", key: "k", extensions: { severity: "high" } }
  expect(seal({ type: "a.b", data: 1, ...given }, from)).toMatchObject(given)
  expect(JSON.parse(Buffer.from(encode(seal({ type: "a.b", data: 1, ...given }, from))).toString())).toEqual({
    specversion: "1.0",
    datacontenttype: "application/json",
    type: "a.b",
    data: 1,
    id: "i",
    time: "2026-01-01T00:00:00Z",
    source: "/s",
    subject: "k",
    correlationid: "i",
    hops: 0,
    trust: "internal",
    severity: "high",
  })
})

test("data that JSON cannot hold is an error that says so", () => {
  const deep = JSON.parse("[".repeat(100_000) + "]".repeat(100_000)) as unknown
  for (const data of [1n, { toJSON: () => assertNever() }, deep]) {
    expect(() => encode(seal({ type: "a.b", data }, from))).toThrow(expect.objectContaining({ code: "EVENT_DATA" }))
  }
})

function assertNever(): never {
  throw new Error("not today")
}
