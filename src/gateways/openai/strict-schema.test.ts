import { expect, test } from "vitest"
import { z } from "zod"
import { isStrict } from "./strict-schema.js"

const json = (schema: z.ZodType): Record<string, unknown> => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema)
  return rest
}

test("an object whose properties are all required qualifies, whatever lies in it", () => {
  const Step = z.strictObject({ title: z.string(), minutes: z.int().min(0).nullable() })
  const schema = z.strictObject({
    kind: z.enum(["a", "b"]),
    steps: z.array(Step).max(5),
    at: z.union([z.string(), Step]),
  })
  expect(isStrict(json(schema))).toBe(true)
  expect(isStrict(json(z.object({ plain: z.string() })))).toBe(true)
})

test.each([
  ["an optional property", z.object({ a: z.string().optional() })],
  ["any properties", z.record(z.string(), z.string())],
  ["an open object", z.looseObject({ a: z.string() })],
  ["a list at its root", z.array(z.string())],
  ["a choice at its root", z.union([z.object({ a: z.string() }), z.object({ b: z.string() })])],
  ["anything at all", z.object({ a: z.unknown() }).partial()],
  ["a bound that strict mode does not know", z.object({ a: z.string().min(3) })],
  ["a format that it does not know", z.object({ a: z.url() })],
  ["an optional property deep below", z.object({ a: z.array(z.object({ b: z.string().optional() })) })],
])("%s does not", (_, schema) => {
  expect(isStrict(json(schema))).toBe(false)
})

test("an expression that looks around does not", () => {
  const text = (pattern: string) => ({
    type: "object",
    properties: { a: { type: "string", pattern } },
    required: ["a"],
    additionalProperties: false,
  })
  expect(isStrict(text("^[a-z]+$"))).toBe(true)
  expect(isStrict(text("^(?!x)[a-z]+$"))).toBe(false)
})
