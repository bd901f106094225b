import { expect, it } from "vitest"
import { httpSettings } from "./http-settings.js"

it("Flags go before MURMUR_LISTEN, and without either the defaults are left alone", () => {
  expect(httpSettings({}, {})).toEqual({})
  expect(httpSettings({ host: "127.0.0.1", port: 0 }, { MURMUR_LISTEN: "0.0.0.0:4300" })).toEqual({
    host: "127.0.0.1",
    port: 0,
  })
  expect(httpSettings({ port: 8080 }, { MURMUR_LISTEN: "[::]:4300", MURMUR_TOKEN: "t" })).toEqual({
    host: "::",
    port: 8080,
    token: "t",
  })
})

it("An address of MURMUR_LISTEN without MURMUR_TOKEN is closed by a token that nobody knows", () => {
  const [one, two] = [1, 2].map(() => httpSettings({}, { MURMUR_LISTEN: "0.0.0.0:4300" }))
  expect(one).toMatchObject({ host: "0.0.0.0", port: 4300 })
  expect(one?.token?.length).toBeGreaterThanOrEqual(43)
  expect(one?.token).not.toBe(two?.token)
})

it("A public address of a flag is not closed that way: it is refused later without a token", () => {
  expect(httpSettings({ host: "0.0.0.0" }, { MURMUR_LISTEN: "0.0.0.0:4300" }).token).toBeUndefined()
})

it.each(["4300", ":4300", "0.0.0.0", "0.0.0.0:99999", "a b:1", "::4300"])("MURMUR_LISTEN=%s is refused", (text) => {
  expect(() => httpSettings({}, { MURMUR_LISTEN: text })).toThrow(JSON.stringify(text))
})
