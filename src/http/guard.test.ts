import { describe, expect, it } from "vitest"
import { guardOf, isLoopback } from "./guard.js"

describe("loopback", () => {
  it.each(["127.0.0.1", "127.1.2.3", "localhost", "LOCALHOST", "app.localhost", "::1", "::ffff:127.0.0.1"])(
    "is %s",
    (host) => expect(isLoopback(host)).toBe(true),
  )
  it.each(["0.0.0.0", "::", "", "10.0.0.1", "127.evil.com", "localhost.evil.com", "example.com", "::ffff:10.0.0.1"])(
    "is not %j",
    (host) => expect(isLoopback(host)).toBe(false),
  )
})

describe("the guard", () => {
  it("wants the very token", () => {
    const guard = guardOf("s3cret")
    guard(new Headers({ authorization: "Bearer s3cret" }))
    guard(new Headers({ authorization: "bearer  s3cret" }))
    for (const authorization of ["", "Bearer", "Bearer s3cre", "Bearer s3cret2", "Basic s3cret", "s3cret"]) {
      expect(() => guard(new Headers({ authorization }))).toThrow(/needs the node's token/)
    }
    expect(() => guard(new Headers())).toThrow()
  })

  it("without a token wants a request to this machine by name, so that no rebound web page can publish", () => {
    const guard = guardOf(undefined)
    for (const host of ["127.0.0.1:4300", "localhost:4300", "[::1]:4300", "localhost"]) guard(new Headers({ host }))
    for (const host of ["evil.example:4300", "", "[::]:4300"]) expect(() => guard(new Headers({ host }))).toThrow()
  })
})
