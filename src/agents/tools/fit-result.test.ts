import { expect, test } from "vitest"
import { MurmurError } from "../../errors.js"
import { createRedactor } from "../../telemetry/redact.js"
import { fitResult } from "./fit-result.js"
import { memoryToolServices } from "./memory-services.js"

const { artifacts } = memoryToolServices()

test("what fits is shown as it is, whatever it is", async () => {
  for (const [output, text] of [
    ["a log", "a log"],
    [{ a: 1 }, '{"a":1}'],
    [null, "null"],
    [undefined, "done"],
  ]) {
    expect(await fitResult(output, { maxBytes: 7, artifacts })).toEqual({ text, artifact: undefined })
  }
})

test("of what does not fit the beginning and the end are shown, and where the whole is", async () => {
  const log = `begin ${"ü".repeat(10_000)} end`
  const { text, artifact } = await fitResult(log, { maxBytes: 100, artifacts })
  expect(text).toMatch(/^begin ü+\n\[\d+ of 20010 bytes cut here; the whole is artifact [0-9a-f]{64}\]\nü+ end$/)
  expect(text).not.toContain("\ufffd")
  expect(Buffer.from((await artifacts.get(artifact ?? ""))?.bytes ?? []).toString()).toBe(log)
  expect(await fitResult(log, { maxBytes: 100, artifacts })).toEqual({ text, artifact })
  const [, cut = ""] = /\[(\d+) of/.exec(text) ?? []
  const shown = text.replace(/\n\[.*\]\n/, "")
  expect(Number(cut) + Buffer.byteLength(shown)).toBe(20_010)
})

test("without a place to keep it, or with one that is too small, it says that the rest is gone", async () => {
  const tooSmall = {
    put: async (): Promise<never> => {
      throw new MurmurError("too large", { code: "ARTIFACT_TOO_LARGE" })
    },
  }
  for (const where of [undefined, tooSmall]) {
    const { text, artifact } = await fitResult("x".repeat(100), { maxBytes: 10, artifacts: where })
    expect([text, artifact]).toEqual([
      `${"x".repeat(7)}\n[90 of 100 bytes cut here; the rest is not kept]\nxxx`,
      undefined,
    ])
  }
})

test("an artifact that cannot be put now fails the call: the next attempt would show another text", async () => {
  const away = {
    put: async (): Promise<never> => {
      throw new MurmurError("away", { code: "BUS_UNAVAILABLE" })
    },
  }
  await expect(fitResult("x".repeat(100), { maxBytes: 10, artifacts: away })).rejects.toMatchObject({
    code: "BUS_UNAVAILABLE",
  })
})

test("secrets are taken out before it is cut, and are not in the artifact either", async () => {
  const secret = "canary-key-0123456789"
  const { text: redact } = createRedactor({ CANARY_KEY: secret })
  const forms = [
    secret,
    Buffer.from(secret).toString("base64"),
    encodeURIComponent(secret),
    Buffer.from(secret).toString("hex"),
  ]
  for (const form of forms) {
    const output = { log: `${"x".repeat(60)}${form}${"y".repeat(60)}` }
    for (let maxBytes = 40; maxBytes < 120; maxBytes += 7) {
      const { text, artifact } = await fitResult(output, { maxBytes, artifacts, redact })
      const whole = Buffer.from((await artifacts.get(artifact ?? ""))?.bytes ?? []).toString()
      for (let at = 0; at + 8 <= form.length; at++) expect(`${text} ${whole}`).not.toContain(form.slice(at, at + 8))
    }
  }
})
