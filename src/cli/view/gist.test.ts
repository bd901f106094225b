import { describe, expect, it } from "vitest"
import { gistOf } from "./gist.js"

describe("gistOf", () => {
  it("says the title, graded by how bad it is", () => {
    expect(gistOf({ severity: "high", title: "tests failed", url: "https://x.example" }, "acme/web")).toEqual({
      grade: "high",
      tone: "bad",
      text: "tests failed",
    })
  })

  it("without a title names the small fields, and leaves out the key, links, times and what is for machines", () => {
    const data = {
      repository: "acme/web",
      runId: "17",
      workflow: "CodeQL",
      attempt: 2,
      commit: "3484a3fb816e0859fd6e1cea078d76385ff50625",
      url: "https://ci.example/17",
      startedAt: "2026-01-01T00:00:00Z",
      labels: ["a", "b"],
    }
    expect(gistOf(data, "acme/web").text).toBe("workflow=CodeQL  attempt=2  commit=3484a3f  labels=[2]")
  })

  it.each([
    [42, "42"],
    ["a text", '"a text"'],
    [[1, 2], "[1,2]"],
    [null, "null"],
    [undefined, ""],
  ])("says data that is no object as it is: %j", (data, text) => {
    expect(gistOf(data, undefined).text).toBe(text)
  })

  it("makes control characters visible, in names and in values", () => {
    expect(gistOf({ title: "\u001b[31mred" }, undefined).text).toBe("\\u001b[31mred")
    expect(gistOf({ "a\u001b[2J": "b\u0007" }, undefined).text).toBe("a\\u001b[2J=b\\u0007")
  })
})
