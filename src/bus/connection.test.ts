import { describe, expect, test } from "vitest"
import { atLeast, checkServer, connectNats, redactUrl, SERVER_FLOOR } from "./connection.js"

describe("versions", () => {
  test.each([
    ["2.14.0", true],
    ["v2.14.0", true],
    ["2.14.0-RC.1", true],
    ["2.14.1-binary", true],
    ["2.15", true],
    ["3.0.0", true],
    ["2.9.25", false],
    ["2.13.99", false],
    ["1.99.99", false],
    ["2", false],
    ["", false],
    ["dev", false],
  ])("%s at least 2.14.0: %s", (version, expected) => {
    expect(atLeast(version, "2.14.0")).toBe(expected)
  })

  test("each version is at least itself and nothing newer", () => {
    for (const version of ["0.0.0", "2.10.7", "10.20.30"]) expect(atLeast(version, version)).toBe(true)
    expect(atLeast("2.10.7", "2.10.8")).toBe(false)
    expect(atLeast("2.10.7", "2.9.8")).toBe(true)
  })
})

describe("a server that cannot be used", () => {
  test("is too old: the error has both versions and the way out", () => {
    expect(() => checkServer({ version: "2.10.7", jetstream: true })).toThrow(
      expect.objectContaining({
        code: "SERVER_TOO_OLD",
        details: { found: "2.10.7", wanted: SERVER_FLOOR },
        message: expect.stringMatching(/2\.10\.7.*2\.14\.0.*murmur up/s),
      }),
    )
    expect(() => checkServer(undefined)).toThrow(expect.objectContaining({ code: "SERVER_TOO_OLD" }))
  })

  test("has no JetStream", () => {
    expect(() => checkServer({ version: "2.15.1" })).toThrow(expect.objectContaining({ code: "SERVER_NO_JETSTREAM" }))
    expect(() => checkServer({ version: "2.15.1", jetstream: true })).not.toThrow()
  })

  test("does not answer: the error says where, without the password", async () => {
    const url = "nats://someone:secret@127.0.0.1:1"
    const error = await connectNats({ url, name: "test", connectTimeoutMs: 500 }).catch((thrown: Error) => thrown)
    expect(error).toMatchObject({ code: "BUS_CONNECT", message: expect.stringContaining("nats://***@127.0.0.1:1") })
    expect(String(error)).not.toContain("secret")
  })

  test("has credentials in a file that is not there", async () => {
    const options = { url: "nats://127.0.0.1:1", name: "test", credsFile: "/does/not/exist.creds" }
    await expect(connectNats(options)).rejects.toMatchObject({
      code: "BUS_CREDS",
      message: expect.stringContaining("/does/not/exist.creds"),
    })
  })
})

test.each([
  ["nats://a:b@host:4222", "nats://***@host:4222"],
  ["a:b@host", "***@host"],
  ["nats://token@one:1, nats://c:d@two:2", "nats://***@one:1, nats://***@two:2"],
  ["nats://host:4222", "nats://host:4222"],
])("%s is shown as %s", (url, shown) => {
  expect(redactUrl(url)).toBe(shown)
})
