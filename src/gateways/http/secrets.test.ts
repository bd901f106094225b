import { expect, test } from "vitest"
import { accountOf, hiding, secretHeaders } from "./secrets.js"

const KEY = "sk-very/secret+key=="

test("hides a secret in each shape that it may come in", () => {
  const hide = hiding([KEY, undefined])
  const shapes = [
    KEY,
    encodeURIComponent(KEY),
    Buffer.from(KEY).toString("base64"),
    Buffer.from(KEY).toString("base64url"),
  ]
  for (const shape of shapes) expect(hide(`before ${shape} after ${shape}`)).toBe("before [hidden] after [hidden]")
})

test("tears no holes into texts for want of a secret", () => {
  expect(hiding([undefined, "", "none"])("none of it is secret")).toBe("none of it is secret")
})

test("knows which headers are secret, with and without their scheme", () => {
  const secrets = secretHeaders({ Authorization: "Bearer abcdefgh", "X-Api-Key": "ijklmnop", "x-team": "weather" })
  expect(secrets).toEqual(expect.arrayContaining(["Bearer abcdefgh", "abcdefgh", "ijklmnop"]))
  expect(secrets).not.toContain("weather")
})

test("names an account by key and address, and tells neither", () => {
  const account = accountOf(KEY, "https://api.example.com/v1")
  expect(account).toBe(accountOf(KEY, "https://api.example.com/v1"))
  expect(account).toMatch(/^[0-9a-f]{12}$/)
  const others = [accountOf(KEY, "https://other.example.com/v1"), accountOf("other", "https://api.example.com/v1")]
  expect(others).not.toContain(account)
})
