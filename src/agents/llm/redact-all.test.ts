import { expect, test } from "vitest"
import { redactAll } from "./redact-all.js"

const redact = (text: string): string => text.replaceAll("canary", "[redacted]")

test("secrets are taken out wherever a text stands, also behind numbers and in names of fields", () => {
  expect(redactAll({ a: [1, "canary", { canary: ["x canary"] }], n: 2, none: null }, redact)).toEqual({
    a: [1, "[redacted]", { "[redacted]": ["x [redacted]"] }],
    n: 2,
    none: null,
  })
})

test("vectors stay as they are", () => {
  expect(redactAll({ vectors: [[0.5, 1]] }, redact)).toEqual({ vectors: [[0.5, 1]] })
})
