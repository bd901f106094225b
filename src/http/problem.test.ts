import { expect, it } from "vitest"
import { MurmurError, TerminalError } from "../errors.js"
import { HttpProblem, problemOf, problemResponse } from "./problem.js"

const ours = (code: string): MurmurError => new MurmurError("inside: nats://user:pw@host", { code })

it.each([
  [ours("BUS_UNAVAILABLE"), 503, "BUS_UNAVAILABLE"],
  [ours("STREAM_FULL"), 503, "STREAM_FULL"],
  [ours("PUBLISH_OVERLOAD"), 503, "PUBLISH_OVERLOAD"],
  [ours("PUBLISH_REFUSED"), 503, "PUBLISH_REFUSED"],
  [ours("BUS_CLOSED"), 503, "BUS_CLOSED"],
  [ours("EVENT_DATA"), 422, "EVENT_DATA"],
  [ours("EVENT_TYPE"), 422, "EVENT_TYPE"],
  [ours("EVENT_TOO_LARGE"), 413, "EVENT_TOO_LARGE"],
  [new TerminalError("x", { code: "EVENT_DATA" }), 422, "EVENT_DATA"],
  [ours("PUBLISH_DENIED"), 403, "PUBLISH_DENIED"],
  [new TypeError("x is undefined"), 500, "INTERNAL"],
  [new RangeError("Maximum call stack size exceeded"), 422, "EVENT_DATA"],
  [new HttpProblem(418, "TEAPOT", "no"), 418, "TEAPOT"],
])("%s is answered %i %s", (error, status, code) => {
  expect(problemOf(error)).toMatchObject({ status, code })
})

it("tells nothing of the inside when the fault is ours, and says when to come back", () => {
  for (const error of [ours("BUS_UNAVAILABLE"), ours("WHATEVER"), new Error("nats://user:pw@host")]) {
    expect(problemOf(error).message).not.toContain("host")
  }
  expect(Number(problemOf(ours("STREAM_FULL")).headers["retry-after"])).toBeGreaterThan(0)
})

it("is problem+json with the code and the issues", async () => {
  const error = new MurmurError("bad", { code: "EVENT_DATA", details: { issues: [{ path: ["n"] }], internal: 1 } })
  const response = problemResponse(problemOf(error))
  expect(response.headers.get("content-type")).toBe("application/problem+json")
  expect(await response.json()).toEqual({
    title: "Unprocessable Entity",
    status: 422,
    detail: "bad",
    code: "EVENT_DATA",
    issues: [{ path: ["n"] }],
  })
})
