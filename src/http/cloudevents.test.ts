import { describe, expect, it } from "vitest"
import { type ContentMode, modeOf, readEvents } from "./cloudevents.js"
import type { HttpProblem } from "./problem.js"

const EVENT = { specversion: "1.0", id: "1", source: "/tests", type: "a.b" }
const bytes = (json: unknown): Uint8Array => Buffer.from(typeof json === "string" ? json : JSON.stringify(json))
const read = (json: unknown, mode: ContentMode = "structured") => readEvents(mode, new Headers(), bytes(json))
const binary = (headers: Record<string, string>, body: unknown = {}) =>
  readEvents(
    "binary",
    new Headers({ "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/tests", "ce-type": "a.b", ...headers }),
    bytes(body),
  )

function problem(work: () => unknown): Partial<HttpProblem> {
  try {
    work()
  } catch (error) {
    const { status, code, members, message } = error as HttpProblem
    return { status, code, members, message }
  }
  throw new Error("it did not throw")
}

describe("the content mode", () => {
  const modes: [Record<string, string>, ContentMode | number][] = [
    [{ "content-type": "application/cloudevents+json" }, "structured"],
    [{ "content-type": "Application/CloudEvents+JSON; charset=UTF-8" }, "structured"],
    [{ "content-type": "application/cloudevents-batch+json" }, "batch"],
    [{ "content-type": "application/json", "ce-id": "1" }, "binary"],
    [{ "content-type": "application/vnd.acme+json", "ce-id": "1" }, "binary"],
    [{ "content-type": "text/plain", "ce-id": "1" }, "binary"],
    [{ "ce-id": "1" }, "binary"],
    [{ "content-type": "application/json" }, 400],
    [{}, 400],
    [{ "content-type": "application/cloudevents+xml" }, 415],
    [{ "content-type": "application/cloudevents+json; charset=utf-16" }, 415],
    [{ "content-type": "application/octet-stream", "ce-id": "1" }, 415],
    [{ "content-type": "text/plain" }, 415],
  ]
  it.each(modes)("of %j is %s", (headers, expected) => {
    if (typeof expected === "string") expect(modeOf(new Headers(headers))).toBe(expected)
    else expect(problem(() => modeOf(new Headers(headers))).status).toBe(expected)
  })
})

describe("an event", () => {
  it("becomes a draft: subject is the key, extensions and dataschema are kept", () => {
    const time = "2026-01-31T12:00:00.5+01:00"
    const json = { ...EVENT, subject: "k", time, data: { n: 1 }, partitionkey: "p", priority: 3, urgent: true }
    expect(read({ ...json, dataschema: "https://x/y", gone: null })).toEqual([
      {
        draft: {
          type: "a.b",
          data: { n: 1 },
          id: "1",
          source: "/tests",
          key: "k",
          time,
          extensions: { partitionkey: "p", priority: 3, urgent: true, dataschema: "https://x/y" },
        },
        trace: undefined,
      },
    ])
  })

  it("cannot say of itself what only the mesh may say", () => {
    const forged = {
      trust: "internal",
      hops: 0,
      causalpath: "a",
      correlationid: "c",
      causationid: "d",
      producer: "p",
      seq: 9,
    }
    expect(read({ ...EVENT, ...forged, data: 1 })[0]?.draft.extensions).toEqual({})
  })

  it("carries its trace, when that is well-formed", () => {
    const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`
    expect(read({ ...EVENT, traceparent, tracestate: "x=1" })[0]?.trace).toEqual({ traceparent, tracestate: "x=1" })
    expect(read({ ...EVENT, traceparent: "00-junk" })[0]?.trace).toBeUndefined()
  })

  it("may have its data in base64, or none", () => {
    const data_base64 = Buffer.from('{"n":1}').toString("base64")
    expect(read({ ...EVENT, data_base64 })[0]?.draft.data).toEqual({ n: 1 })
    expect(read({ ...EVENT, data_base64, datacontenttype: "text/plain" })[0]?.draft.data).toBe('{"n":1}')
    expect(problem(() => read({ ...EVENT, data_base64, datacontenttype: "image/png" })).status).toBe(415)
    expect(problem(() => read({ ...EVENT, data_base64, data: 1 })).status).toBe(400)
    expect(read(EVENT)[0]?.draft.data).toBeNull()
  })

  it.each([
    ["specversion", "0.3"],
    ["specversion", undefined],
    ["id", undefined],
    ["id", ""],
    ["id", 1],
    ["id", "a\r\nb"],
    ["id", "\ud800"],
    ["source", undefined],
    ["source", "not a uri"],
    ["type", undefined],
    ["subject", ""],
    ["time", "yesterday"],
    ["time", "2026-13-31T12:00:00Z"],
    ["Upper", "x"],
    ["with_underscore", "x"],
    ["nested", {}],
    ["fraction", 1.5],
  ])("with %s = %j is malformed, and the answer names the attribute", (attribute, value) => {
    expect(problem(() => read({ ...EVENT, [attribute]: value }))).toMatchObject({
      status: 400,
      code: "CLOUDEVENT_MALFORMED",
      members: { attribute },
    })
  })

  it("has bounded attributes", () => {
    expect(problem(() => read({ ...EVENT, id: "x".repeat(513) }))).toMatchObject({
      status: 422,
      code: "EVENT_ATTRIBUTE",
    })
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`x${i}`, "v"]))
    expect(problem(() => read({ ...EVENT, ...many })).status).toBe(422)
  })

  it.each(["{", "", '"text"', "[]", "null", "\xff"])("is not %j", (body) => {
    expect(problem(() => readEvents("structured", new Headers(), Buffer.from(body, "latin1"))).status).toBe(400)
  })
})

describe("header values", () => {
  it.each([
    ["Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"],
    ["%e2%82%ac", "€"],
    ['"quoted \\"text\\""', 'quoted "text"'],
    ["100%", "100%"],
    ["50%zz", "50%zz"],
    ["a%2525", "a%25"],
    [Buffer.from("é").toString("latin1"), "é"],
  ])("are decoded: %s", (header, text) => {
    expect(binary({ "ce-subject": header })[0]?.draft.key).toBe(text)
  })

  it("must be UTF-8 and hold no line breaks once decoded", () => {
    expect(problem(() => binary({ "ce-subject": "%ff" })).status).toBe(400)
    expect(problem(() => binary({ "ce-id": "a%0D%0ANats-Msg-Id: b" })).status).toBe(400)
  })
})

describe("a batch", () => {
  it("is read in order and may be empty", () => {
    expect(read([EVENT, { ...EVENT, id: "2" }], "batch").map(({ draft }) => draft.id)).toEqual(["1", "2"])
    expect(read([], "batch")).toEqual([])
    expect(problem(() => read({}, "batch")).status).toBe(400)
  })

  it("is refused as a whole when one event is malformed, naming which", () => {
    expect(problem(() => read([EVENT, { ...EVENT, type: null }], "batch"))).toMatchObject({
      status: 400,
      members: { index: 1, attribute: "type" },
    })
  })
})
