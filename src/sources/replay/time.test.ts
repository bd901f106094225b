import { describe, expect, it } from "vitest"
import { Pacer, parseTime } from "./time.js"

describe("parseTime", () => {
  it.each([
    ["2024-01-02T10:00:00Z", "2024-01-02T10:00:00.000Z"],
    ["2024-01-02T10:00:00.5+02:00", "2024-01-02T08:00:00.500Z"],
    ["2024-01-02T10:00:00", "2024-01-02T10:00:00.000Z"],
    ["2024-01-02 10:00:00", "2024-01-02T10:00:00.000Z"],
    ["2024-01-02 10:00:00 UTC", "2024-01-02T10:00:00.000Z"],
    ["2024-01-02", "2024-01-02T00:00:00.000Z"],
    ["Jan 1 2000", "2000-01-01T00:00:00.000Z"],
    ["Tue, 02 Jan 2024 10:00:00 GMT", "2024-01-02T10:00:00.000Z"],
    ["20240102", "2024-01-02T00:00:00.000Z"],
    [1_704_189_600, "2024-01-02T10:00:00.000Z"],
    ["1704189600", "2024-01-02T10:00:00.000Z"],
    ["1704189600.25", "2024-01-02T10:00:00.250Z"],
    [1_704_189_600_000, "2024-01-02T10:00:00.000Z"],
    [1_704_189_600_000_000, "2024-01-02T10:00:00.000Z"],
    ["1704189600000000000", "2024-01-02T10:00:00.000Z"],
    [new Date(0), "1970-01-01T00:00:00.000Z"],
  ])("reads %j as %s, whatever the machine's time zone", (value, expected) => {
    const zone = process.env.TZ
    try {
      for (const TZ of ["UTC", "America/New_York", "Asia/Kolkata"]) {
        process.env.TZ = TZ
        expect(new Date(parseTime(value) ?? Number.NaN).toISOString()).toBe(expected)
      }
    } finally {
      if (zone === undefined) delete process.env.TZ
      else process.env.TZ = zone
    }
  })

  it.each(["", "soon", null, undefined, Number.NaN, Infinity, {}, new Date("x")])("cannot read %j", (value) => {
    expect(parseTime(value)).toBeUndefined()
  })
})

describe("Pacer", () => {
  it("keeps the recording's pauses, divided by the speed, without drifting", () => {
    const pacer = new Pacer(60)
    expect(pacer.delay(0, 1_000)).toBe(0)
    expect(pacer.delay(60_000, 1_000)).toBe(1_000)
    // The row before took 300 ms longer: the next is due when it would have been.
    expect(pacer.delay(120_000, 2_300)).toBe(700)
    expect(pacer.delay(120_000, 5_000)).toBe(0)
  })

  it("does not wait for a row that is older than the one before, nor at full speed", () => {
    const pacer = new Pacer(1)
    pacer.delay(10_000, 0)
    expect(pacer.delay(5_000, 0)).toBe(0)
    expect(new Pacer("max").delay(1e12, 0)).toBe(0)
  })

  it("shortens a long gap and counts on from there", () => {
    const pacer = new Pacer(1, 100)
    pacer.delay(0, 0)
    expect(pacer.delay(1e9, 0)).toBe(100)
    expect(pacer.delay(1e9 + 50, 100)).toBe(50)
  })
})
