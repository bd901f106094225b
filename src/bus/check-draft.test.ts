import { describe, expect, test } from "vitest"
import { checkDraft } from "./check-draft.js"
import type { EventDraft } from "./event.js"

const check = (more: object) => () => checkDraft({ type: "a.b", data: 1, ...more } as EventDraft)

describe("a draft that nobody could read is refused with what was wanted and found", () => {
  test.each([
    [{ id: "" }, "EVENT_ID", '""'],
    [{ id: "a\nNats-Rollup: all" }, "EVENT_ID", '"a\\nNats-Rollup: all"'],
    [{ id: 7 }, "EVENT_ID", "7"],
    [{ time: "yesterday" }, "EVENT_TIME", '"yesterday"'],
    [{ time: new Date(0) }, "EVENT_TIME", '"1970-01-01T00:00:00.000Z"'],
    [{ source: "" }, "EVENT_SOURCE", '""'],
    [{ extensions: { Upper: "x" } }, "EVENT_EXTENSION", '"Upper"'],
    [{ extensions: { data: "x" } }, "EVENT_EXTENSION", '"data"'],
    [{ extensions: { hops: 0 } }, "EVENT_EXTENSION", '"hops"'],
    [{ extensions: { causalpath: "a" } }, "EVENT_EXTENSION", '"causalpath"'],
    [{ extensions: { nested: {} } }, "EVENT_EXTENSION", "object"],
    [{ extensions: { huge: Number.POSITIVE_INFINITY } }, "EVENT_EXTENSION", '"huge"'],
    [{ extensions: { nothing: null } }, "EVENT_EXTENSION", "null"],
  ])("%j", (more, code, found) => {
    expect(check(more)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(found) }))
  })

  test("what is fine passes", () => {
    expect(check({})).not.toThrow()
    expect(
      check({ id: "é 1", time: "2026-01-01T00:00:00Z", source: "/x", extensions: { a: "b", c: 1, d: false } }),
    ).not.toThrow()
  })
})
