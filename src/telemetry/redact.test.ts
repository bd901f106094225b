import { describe, expect, it } from "vitest"
import { MurmurError } from "../errors.js"
import { createRedactor, isSecretKey, REDACTED } from "./redact.js"

const SECRET = 'p@ss w/rd+"x"%1'
const redactor = createRedactor({ DB_PASSWORD: SECRET, HOME: "/home/someone-long-enough" })

describe("secret values", () => {
  const forms: [string, string][] = [
    ["as it is", SECRET],
    ["inside JSON", JSON.stringify({ a: SECRET })],
    ["percent-encoded", encodeURIComponent(SECRET)],
    ["percent-encoded in lower case", encodeURIComponent(SECRET).replace(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase())],
    ["form-encoded", new URLSearchParams({ a: SECRET }).toString()],
    ["in base64", Buffer.from(SECRET).toString("base64")],
    ["in base64url", Buffer.from(SECRET).toString("base64url")],
    ["in base64 inside a URL", encodeURIComponent(Buffer.from(SECRET).toString("base64"))],
    ["inside JSON inside JSON", JSON.stringify(JSON.stringify({ a: SECRET }))],
    ["percent-encoded twice", encodeURIComponent(encodeURIComponent(SECRET))],
    ["percent-encoded as a whole URL", encodeURI(SECRET)],
    ["in HTML", SECRET.replaceAll('"', "&quot;")],
    ["in hex", Buffer.from(SECRET).toString("hex")],
    ["in hex in capitals", Buffer.from(SECRET).toString("hex").toUpperCase()],
  ]
  it.each(forms)("are taken out %s", (_how, text) => {
    expect(redactor.text(`before ${text} after`)).toContain(REDACTED)
    expect(redactor.text(`before ${text} after`)).not.toContain(text)
  })

  it.each(["", "u:", "us:", "use:"])("are taken out of base64 behind %j, whatever the alignment", (user) => {
    const encoded = Buffer.from(`${user}${SECRET}`).toString("base64")
    const core = encoded.slice(6, -6)
    expect(encoded).toContain(core)
    expect(redactor.text(`x=${encoded}`)).not.toContain(core)
  })

  it("are those of variables called like secrets, longer than 7 characters, and our own", () => {
    const some = createRedactor({
      OPENAI_API_KEY: "key-value-1",
      CI_TOKEN: "short",
      GITHUB_WEBHOOK_SECRET: "oldone,newone",
      MURMUR_TOKEN: "mine",
      EDITOR: "an-editor-of-choice",
      OTEL_EXPORTER_OTLP_HEADERS: "x-team=some%20team%20name,x-other=1",
    })
    expect(some.text("key-value-1 short oldone newone mine an-editor-of-choice some team name")).toBe(
      `${REDACTED} short ${REDACTED} ${REDACTED} ${REDACTED} an-editor-of-choice ${REDACTED}`,
    )
  })

  it("may be given besides the environment", () => {
    expect(createRedactor({}, ["from-an-option", ""]).text("token from-an-option")).toBe(`token ${REDACTED}`)
  })
})

describe("text", () => {
  it("loses bearer tokens and the user part of URLs, known or not", () => {
    expect(redactor.text("Authorization: Bearer abc.def-ghi123")).toBe(`Authorization: Bearer ${REDACTED}`)
    expect(redactor.text("cannot reach nats://me:pw@host:4222/x")).toBe(`cannot reach nats://${REDACTED}@host:4222/x`)
  })

  it("is left alone when there is nothing to hide", () => {
    const plain = "http://host/path?a=b@c wants Basic authentication"
    expect(redactor.text(plain)).toBe(plain)
  })
})

describe("values", () => {
  it.each([
    "password",
    "apiKey",
    "X-Access-Token",
    "DB_PASSWORD",
    "clientSecret",
    "set-cookie",
    "private_key",
    "token",
  ])("under %s are secret", (key) => expect(isSecretKey(key)).toBe(true))

  it.each(["key", "inputTokens", "tokenCount", "keys", "idempotencyKey", "tokens", "compass", "author"])(
    "under %s are not",
    (key) => expect(isSecretKey(key)).toBe(false),
  )

  it("are copied, hidden by key and by content, at any depth", () => {
    const input = { a: [{ apiKey: "x", note: `is ${SECRET}` }], key: "BTC/USD", token: undefined, n: 1 }
    expect(redactor.value(input)).toEqual({
      a: [{ apiKey: REDACTED, note: `is ${REDACTED}` }],
      key: "BTC/USD",
      token: undefined,
      n: 1,
    })
    expect(input.a[0]?.apiKey).toBe("x")
  })

  it("of errors keep message, code, details and cause, without secrets", () => {
    const cause = new Error(`refused ${SECRET}`)
    const error = new MurmurError("Cannot connect", { code: "BUS", cause, details: { password: "x", host: "h" } })
    expect(redactor.value({ err: error })).toMatchObject({
      err: {
        type: "MurmurError",
        code: "BUS",
        details: { password: REDACTED, host: "h" },
        cause: { message: `refused ${REDACTED}` },
      },
    })
  })

  it("never throw and never run away", () => {
    const circle: Record<string, unknown> = { name: "circle" }
    circle.self = circle
    const trap = {
      get bad(): string {
        throw new Error(SECRET)
      },
    }
    let deep: unknown = "end"
    for (let i = 0; i < 10_000; i++) deep = { deep }
    expect(redactor.value(circle)).toEqual({ name: "circle", self: "[circular]" })
    expect(redactor.value(trap)).toBe(`[unreadable: Error: ${REDACTED}]`)
    expect(JSON.stringify(redactor.value(deep)).length).toBeLessThan(200)
    expect(redactor.value(10n)).toBe("10")
    expect(redactor.value(new Uint8Array(9))).toBe("[9 bytes]")
    expect(redactor.value(new Date(0))).toBe("1970-01-01T00:00:00.000Z")
  })
})
