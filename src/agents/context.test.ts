import { describe, expect, test } from "vitest"
import { z } from "zod"
import { defineEvent } from "../bus/define-event.js"
import { EmitGate } from "./context.js"

const Price = defineEvent("shop.price", z.object({ item: z.string(), cents: z.number().default(0) }), {
  key: (d) => d.item,
})
const Note = defineEvent("shop.note", z.object({ text: z.string() }))
const gate = new EmitGate("clerk", [Price, Note])

test("a draft passes with its data as the schema returns it, and with the key of its definition unless it has its own", () => {
  const draft = { type: "shop.price", data: { item: "tea", more: "is cut" } }
  expect(gate.check(draft)).toEqual({ type: "shop.price", data: { item: "tea", cents: 0 }, key: "tea" })
  expect(gate.check(Price({ item: "tea", cents: 1 }, { key: "own" })).key).toBe("own")
  expect(gate.check(Note({ text: "hi" })).key).toBeUndefined()
  expect(gate.check({ ...Note({ text: "hi" }), extensions: { severity: "high" } }).extensions).toEqual({
    severity: "high",
  })
})

describe("what is refused, with what was wanted and found", () => {
  test.each<[string, unknown, string, string]>([
    [
      "a type that was not declared",
      { type: "shop.sold", data: {} },
      "EMIT_UNDECLARED",
      'cannot emit "shop.sold": it declares shop.price, shop.note',
    ],
    ["nothing", undefined, "EMIT_UNDECLARED", "undefined"],
    ["null", null, "EMIT_UNDECLARED", "undefined"],
    ["a text", "shop.note", "EMIT_UNDECLARED", "undefined"],
    ["a type of Object.prototype", { type: "constructor", data: {} }, "EMIT_UNDECLARED", "constructor"],
    ["data that does not fit", { type: "shop.note", data: { text: 7 } }, "EVENT_DATA", 'at "text"'],
    ["no data", { type: "shop.note" }, "EVENT_DATA", "shop.note"],
    ["a key that is no text", { type: "shop.note", data: { text: "x" }, key: 7 }, "EVENT_KEY", "is 7"],
    ["a time that is none", { type: "shop.note", data: { text: "x" }, time: "soon" }, "EVENT_TIME", '"soon"'],
    [
      "an extension that is none",
      { type: "shop.note", data: { text: "x" }, extensions: { A: 1 } },
      "EVENT_EXTENSION",
      '"A"',
    ],
  ])("%s", (_, draft, code, found) => {
    expect(() => gate.check(draft as never)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(found) }),
    )
  })

  test("anything at all, by an agent that declares nothing", () => {
    expect(() => new EmitGate("mute", []).check(Note({ text: "x" }))).toThrow(
      /"mute" cannot emit "shop.note": it declares nothing/,
    )
  })
})
