import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { decode, type StoredMessage, undecodableError } from "./decode.js"
import { encode, seal } from "./encode.js"
import { MeshNames } from "./subjects.js"

const names = new MeshNames("m")
const SUBJECT = "m.ev.3.17.github.acme/web.ci.run"
const AT = new Date("2026-01-02T03:04:05.678Z")

function message(data: string | Uint8Array, headers: Record<string, string> = {}, subject = SUBJECT): StoredMessage {
  const byName = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
  return {
    subject,
    data: typeof data === "string" ? Buffer.from(data) : data,
    seq: 42,
    time: AT,
    header: (name) => byName.get(name.toLowerCase()) || undefined,
    headerNames: () => Object.keys(headers),
  }
}

function eventOf(stored: StoredMessage) {
  const decoded = decode(names, stored)
  if (!decoded.ok) throw new Error(`not decoded: ${decoded.message}`)
  return decoded.event
}

function failureOf(stored: StoredMessage) {
  const decoded = decode(names, stored)
  if (decoded.ok) throw new Error(`decoded: ${JSON.stringify(decoded.event)}`)
  return decoded
}

const envelope = (more: object = {}): string =>
  JSON.stringify({
    specversion: "1.0",
    id: "1",
    source: "/s",
    type: "ci.run",
    subject: "acme/web",
    data: { a: 1 },
    ...more,
  })

const structured = { "content-type": "application/cloudevents+json" }

describe("the three forms of a message", () => {
  test("structured: the whole event is in the payload, by header or by how it begins", () => {
    const expected = {
      id: "1",
      source: "/s",
      type: "ci.run",
      key: "acme/web",
      data: { a: 1 },
      producer: "github",
      seq: 42,
    }
    expect(eventOf(message(envelope(), structured))).toMatchObject(expected)
    expect(eventOf(message(envelope()))).toMatchObject(expected)
    expect(eventOf(message(envelope())).time).toBe(AT.toISOString())
    expect(eventOf(message(envelope())).trust).toBe("external")
  })

  test("binary: attributes are headers of any case, percent-encoded; the payload is the data", () => {
    const event = eventOf(
      message('{"a":1}', {
        "content-type": "application/json",
        "CE-SpecVersion": "1.0",
        "ce-id": "1",
        "ce-source": "/s",
        "ce-type": "ci.run",
        "ce-subject": "acme/web",
        "ce-hops": "3",
        "ce-title": "Z%C3%BCrich %E2%82%AC %",
        "ce-note": "%zz",
        traceparent: "00-a-b-01",
      }),
    )
    expect(event).toMatchObject({ id: "1", data: { a: 1 }, hops: 3, trace: { traceparent: "00-a-b-01" } })
    expect(event.extensions).toEqual({ title: "Z%C3%BCrich %E2%82%AC %", note: "%zz" })
    const decodable = eventOf(message("1", { ...BINARY, "ce-title": "Z%C3%BCrich %E2%82%AC" }))
    expect(decodable.extensions).toEqual({ title: "Zürich €" })
  })

  test("raw: the subject, the sequence and the store say what the message does not", () => {
    expect(eventOf(message('{"a":1}'))).toEqual({
      id: "m_EVENTS:42",
      source: "/murmur/m/github",
      type: "ci.run",
      time: AT.toISOString(),
      key: "acme/web",
      data: { a: 1 },
      producer: "github",
      seq: 42,
      correlationid: "m_EVENTS:42",
      causationid: undefined,
      hops: 0,
      path: [],
      trust: "external",
      trace: undefined,
      extensions: {},
    })
    expect(eventOf(message("")).data).toBeNull()
    expect(eventOf(message("plain", { "content-type": "text/plain" })).data).toBe("plain")
    expect(eventOf(message("\u0000", { "content-type": "image/png" })).data).toBe("AA==")
  })

  test("base64 data is read as what it is said to be", () => {
    const data_base64 = Buffer.from('{"b":2}').toString("base64")
    const of = (more: object) => eventOf(message(envelope({ data: undefined, data_base64, ...more }))).data
    expect(of({ datacontenttype: "application/json" })).toEqual({ b: 2 })
    expect(of({ datacontenttype: "image/png" })).toBe(data_base64)
    expect(of({})).toBe(data_base64)
  })
})

const BINARY = { "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "ci.run" }

describe("what is refused", () => {
  test.each([
    ["a body that contradicts the subject's type", envelope({ type: "ci.other" }), "EVENT_ENVELOPE", "ci.other"],
    ["a body that contradicts the subject's key", envelope({ subject: "acme/api" }), "EVENT_ENVELOPE", "acme/api"],
    ["no id", envelope({ id: "" }), "EVENT_ENVELOPE", "envelope"],
    ["another version", envelope({ specversion: "2.0" }), "EVENT_ENVELOPE", "envelope"],
    ["a time that is none", envelope({ time: "soon" }), "EVENT_ENVELOPE", "envelope"],
    ["negative hops", envelope({ hops: -1 }), "EVENT_ENVELOPE", "envelope"],
    ["hops that are no integer", envelope({ hops: 1.5 }), "EVENT_ENVELOPE", "envelope"],
    ["hops that are true", envelope({ hops: true }), "EVENT_ENVELOPE", "envelope"],
    ["hops that are huge", envelope({ hops: 1e300 }), "EVENT_ENVELOPE", "envelope"],
    ["unknown trust", envelope({ trust: "root" }), "EVENT_ENVELOPE", "envelope"],
    ["a nested extension", envelope({ nested: { a: 1 } }), "EVENT_ENVELOPE", "envelope"],
    ["half of a JSON text", envelope().slice(0, -2), "EVENT_JSON", "JSON"],
    ["a batch", `[${envelope()}]`, "EVENT_ENVELOPE", "envelope"],
    ["null", "null", "EVENT_ENVELOPE", "envelope"],
    ["a text", '"text"', "EVENT_ENVELOPE", "envelope"],
    ["a NUL", '\u0000{"specversion":"1.0"}', "EVENT_JSON", "JSON"],
  ])("%s", (_, data, code, why) => {
    const failure = failureOf(message(data, structured))
    expect(failure.code).toBe(code)
    expect(failure.message).toContain(why)
    expect(failure.issues.length).toBeGreaterThan(0)
    expect(failure.partial).toEqual({
      id: "m_EVENTS:42",
      seq: 42,
      time: AT.toISOString(),
      producer: "github",
      key: "acme/web",
      type: "ci.run",
    })
    expect(undecodableError(failure)).toMatchObject({ code, details: { issues: failure.issues } })
  })

  test("bytes that are not UTF-8", () => {
    const bytes = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')])
    expect(failureOf(message(bytes)).code).toBe("EVENT_JSON")
  })

  test("a subject that is none of this mesh", () => {
    const failure = failureOf(message("{}", {}, "other.ev.1.2.p.k.t"))
    expect(failure).toMatchObject({ code: "EVENT_ENVELOPE", partial: { producer: "unknown", type: "unknown" } })
  })
})

describe("what tries to be more than an envelope", () => {
  test("headers cannot stand in for the payload", () => {
    const event = eventOf(message('{"a":1}', { ...BINARY, "ce-data": "forged", "ce-data_base64": "Zm9yZ2Vk" }))
    expect(event.data).toEqual({ a: 1 })
    expect(event.extensions).toEqual({})
  })

  test("__proto__ changes no prototype, in the envelope, in data and in a header", () => {
    const polluted =
      '{"specversion":"1.0","id":"1","source":"/s","type":"ci.run","__proto__":"x","data":{"__proto__":{"a":1}}}'
    const event = eventOf(message(polluted))
    expect(Object.getPrototypeOf(event)).toBe(Object.prototype)
    expect(Object.getPrototypeOf(event.extensions)).toBe(Object.prototype)
    expect(Object.keys(event.data as object)).toEqual(["__proto__"])
    expect(eventOf(message("1", { ...BINARY, "ce-__proto__": "x" })).extensions).toEqual({})
    expect(({} as { a?: unknown }).a).toBeUndefined()
    const nested = decode(
      names,
      message(polluted.replace('"__proto__":"x"', '"__proto__":{"trust":"internal","hops":9}')),
    )
    if (nested.ok) expect(nested.event).toMatchObject({ trust: "external", hops: 0, extensions: {} })
  })

  test.each([10_000, 200_000])("data that is nested %i deep is read or refused, not fatal", (depth) => {
    const deep = "[".repeat(depth) + "]".repeat(depth)
    for (const data of [deep, `{"specversion":"1.0","id":"1","source":"/s","type":"ci.run","data":${deep}}`]) {
      expect(typeof decode(names, message(data)).ok).toBe("boolean")
    }
  })

  test("numbers that JavaScript cannot hold become what JSON.parse makes of them", () => {
    expect(eventOf(message('{"big":123456789012345678901234567890,"over":1e999}')).data).toEqual({
      big: 123456789012345680000000000000,
      over: Number.POSITIVE_INFINITY,
    })
  })
})

test("whatever comes, decode answers and does not throw", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.json().map((text) => Buffer.from(text)),
    fc
      .tuple(fc.nat(envelope().length), fc.uint8Array({ maxLength: 4 }))
      .map(([at, cut]) =>
        Buffer.concat([Buffer.from(envelope().slice(0, at)), cut, Buffer.from(envelope().slice(at))]),
      ),
    fc
      .dictionary(
        fc.constantFrom("id", "type", "subject", "time", "hops", "trust", "data", "x", "__proto__"),
        fc.jsonValue(),
      )
      .map((more) =>
        Buffer.from(JSON.stringify({ specversion: "1.0", id: "1", source: "/s", type: "ci.run", ...more })),
      ),
  )
  const header = fc.oneof(fc.string(), fc.constantFrom("ce-id", "ce-specversion", "ce-type", "content-type", "ce-time"))
  const subject = fc.oneof(
    fc.constant(SUBJECT),
    fc.string(),
    fc.constant("m.ev.1.2.p.%.t"),
    fc.constant("m.ev.1.2.p.%ZZ.t"),
  )
  fc.assert(
    fc.property(bytes, fc.dictionary(header, fc.string()), subject, (data, headers, at) => {
      const decoded = decode(names, message(data, headers, at))
      if (decoded.ok) {
        expect(decoded.event.hops).toBeGreaterThanOrEqual(0)
        expect(Number.isNaN(Date.parse(decoded.event.time))).toBe(false)
        expect(decoded.event.id).not.toBe("")
      } else {
        expect(decoded.partial.seq).toBe(42)
      }
    }),
    { numRuns: 2_000 },
  )
})

const text = fc.string({ minLength: 1, unit: "grapheme" })

test("what was encoded is decoded to the same event, whatever is in it", () => {
  const draft = fc.record(
    {
      data: fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as unknown),
      key: text,
      id: text,
      time: fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
      source: text,
      extensions: fc.dictionary(
        fc.constantFrom("partitionkey", "severity", "x1"),
        fc.oneof(text, fc.boolean(), fc.integer()),
      ),
    },
    { requiredKeys: ["data"] },
  )
  fc.assert(
    fc.property(draft, fc.constantFrom("internal" as const, "external" as const), (given, trust) => {
      const trace = { traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01`, tracestate: "k=v" }
      const sealed = seal({ ...given, type: "a.b" }, { mesh: "m", producer: "p", trust, trace })
      const published = names.publishSubject("p", sealed.key, "a.b").split(".")
      const stored = ["m", "ev", "1", "2", ...published.slice(2)].join(".")
      expect(eventOf(message(encode(sealed), {}, stored))).toEqual({ ...sealed, data: sealed.data ?? null, seq: 42 })
    }),
    { numRuns: 500 },
  )
})

test("murmur's own envelope is read by the short way as the schema would read it", () => {
  const value = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom("1.0", "internal", "2026-01-01T00:00:00Z", "ci.run", "acme/web", 0, 7),
  )
  const attribute = fc.constantFrom(
    "id",
    "source",
    "subject",
    "time",
    "hops",
    "trust",
    "correlationid",
    "causationid",
    "traceparent",
    "datacontenttype",
  )
  fc.assert(
    fc.property(fc.dictionary(attribute, value, { maxKeys: 3 }), fc.boolean(), (some, empty) => {
      const more = empty ? { ...some, data: undefined } : some
      const short = decode(names, message(envelope(more)))
      const long = decode(names, message(envelope({ ...more, unknown1: true }))) // what is unknown goes to the schema
      expect(short.ok).toBe(long.ok)
      if (short.ok && long.ok) expect({ ...long.event, extensions: {} }).toEqual(short.event)
    }),
    { numRuns: 1_000 },
  )
})
