import { describe, expect, it } from "vitest"
import { BAGGAGE_CHARS_MAX, BAGGAGE_MEMBERS_MAX, baggageOf, boundBaggage } from "./baggage.js"

const of = (baggage: string | number): Readonly<Record<string, string>> => baggageOf({ extensions: { baggage } })

describe("baggage", () => {
  it("is read as the W3C writes it: with blanks, escapes and properties", () => {
    expect(of("tenant = acme ,user=J%C3%B6rg;private;ttl=5\t, flag=")).toEqual({
      tenant: "acme",
      user: "Jörg",
      flag: "",
    })
    expect(of("a=1,a=2")).toEqual({ a: "2" })
    expect(of("price=a=b")).toEqual({ price: "a=b" })
  })

  it("that is malformed costs its member and no other", () => {
    expect(boundBaggage('a=1,no,=2,b b=3,c="4",d=\u0007,e=%zz')).toBe("a=1,e=%zz")
    expect(of("e=%zz")).toEqual({ e: "%zz" })
    expect(boundBaggage("")).toBeUndefined()
    expect(boundBaggage("ünïcode=1")).toBeUndefined()
    expect(of(7)).toEqual({})
  })

  it("names no property that an object has", () => {
    const read = of("__proto__=x,constructor=y")
    expect(Object.entries(read)).toEqual([
      ["__proto__", "x"],
      ["constructor", "y"],
    ])
    expect(Object.getPrototypeOf(read)).toBe(Object.prototype)
    expect(of("a=1").toString).toBe(Object.prototype.toString)
  })

  it("is bounded by members and by size, and never cut inside a member", () => {
    const many = Array.from({ length: 100 }, (_, n) => `k${n}=v`).join(",")
    expect(boundBaggage(many)?.split(",")).toHaveLength(BAGGAGE_MEMBERS_MAX)
    const large = Array.from({ length: 10 }, (_, n) => `k${n}=${"x".repeat(1_000)}`).join(",")
    const kept = boundBaggage(large)
    expect(kept?.length).toBeLessThanOrEqual(BAGGAGE_CHARS_MAX)
    expect(kept?.split(",").map((member) => member.length)).toEqual(Array(8).fill(1_003))
    const full = `k=${"x".repeat(BAGGAGE_CHARS_MAX - 2)}`
    expect(boundBaggage(full)).toBe(full)
    expect(boundBaggage(`${full}x`)).toBeUndefined()
    expect(boundBaggage(`${" ,".repeat(10_000_000)}a=1`)).toBeUndefined()
  })
})
