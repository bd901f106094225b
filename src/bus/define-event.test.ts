import { lastValueFrom, map, of } from "rxjs"
import { describe, expect, expectTypeOf, it } from "vitest"
import { z } from "zod"
import { type AnyEventDefinition, type DraftOptions, defineEvent, isEventDefinition } from "./define-event.js"
import type { EventDraft, MurmurEvent } from "./event.js"

const TickData = z.object({ symbol: z.string(), price: z.number() })
const Tick = defineEvent("market.tick", TickData, { key: (data) => data.symbol, description: "A price." })
const Started = defineEvent("mesh.started", z.object({}))
const tick = { symbol: "BTC/USD", price: 64_000 }

const received = (type: string): MurmurEvent => ({
  id: "1",
  source: "/test",
  type,
  time: "2026-11-21T00:00:00Z",
  key: undefined,
  data: tick,
  producer: "test",
  seq: 1,
  correlationid: "1",
  causationid: undefined,
  hops: 0,
  path: [],
  trust: "internal",
  trace: undefined,
  extensions: {},
})

describe("a defined event", () => {
  it("says what it was defined with", () => {
    expect([Tick.type, Tick.schema, Tick.description]).toEqual(["market.tick", TickData, "A price."])
    expect(Started.description).toBeUndefined()
    expect(Tick.keyOf(tick)).toBe("BTC/USD")
    expect(Started.keyOf({})).toBeUndefined()
  })

  it("is told from any other function, also one of another copy of murmur", () => {
    const foreign = Object.assign(() => {}, { [Symbol.for("murmur.event")]: true })
    expect([Tick, foreign, () => {}, {}, null, undefined].map(isEventDefinition)).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ])
  })

  it("knows its own events and their data", () => {
    expect(Tick.is(received("market.tick"))).toBe(true)
    expect(Tick.is(received("market.ticks"))).toBe(false)
    const event = received("market.tick")
    if (Tick.is(event)) expectTypeOf(event.data).toEqualTypeOf<{ symbol: string; price: number }>()
  })

  it("is narrowed by a predicate without changing itself", () => {
    const selection = Tick.where((event) => event.data.price > 1)
    expect(selection).toMatchObject({ type: "market.tick", definition: Tick })
    expect(Tick).not.toHaveProperty("predicate")
  })

  it("stands among events of other data", () => {
    const emits: AnyEventDefinition[] = [Tick, Started]
    expect(emits.map(({ type }) => type)).toEqual(["market.tick", "mesh.started"])
  })
})

describe("a draft", () => {
  it("takes its key from the data", () => {
    expect(Tick(tick)).toEqual({ type: "market.tick", data: tick, key: "BTC/USD", id: undefined, time: undefined })
    expect(Started({}).key).toBeUndefined()
  })

  it("takes key, id and time from its options", () => {
    const time = new Date("2026-11-21T10:00:00.5Z")
    expect(Tick(tick, { key: "other", id: "7", time })).toMatchObject({
      key: "other",
      id: "7",
      time: "2026-11-21T10:00:00.500Z",
    })
    expect(Tick(tick, { time: "2026-11-21T10:00:00+02:00" }).time).toBe("2026-11-21T10:00:00+02:00")
  })

  it("keeps an empty key, which is not the same as none", () => {
    expect(Tick(tick, { key: "" }).key).toBe("")
    expect(Tick({ symbol: "", price: 1 }).key).toBe("")
  })

  it("is made by the definition itself inside of map, of an array and of a stream", async () => {
    const drafts: EventDraft<z.infer<typeof TickData>>[] = [tick, tick].map(Tick)
    expect(drafts).toEqual([Tick(tick), Tick(tick)])
    expect(await lastValueFrom(of(tick).pipe(map(Tick)))).toEqual(Tick(tick))
  })

  it("has the type of its data", () => {
    expectTypeOf(Tick(tick)).toEqualTypeOf<EventDraft<{ symbol: string; price: number }>>()
    // @ts-expect-error a price is a number
    const draft = Tick({ symbol: "a", price: "1" })
    expect(draft.key).toBe("a")
  })

  it.each([
    ["an unknown option", { keys: "a" }, "EVENT_OPTION", 'unknown option "keys" (known: key, id, time)'],
    ["an invalid date", { time: new Date("nonsense") }, "EVENT_TIME", "its time is an invalid Date"],
    ["a key that is no string", { key: 7 }, "EVENT_KEY", "its key must be a string, is 7"],
  ])("is refused with %s", (_what, options, code, message) => {
    const make = (): unknown => Tick(tick, options as DraftOptions)
    expect(make).toThrow(expect.objectContaining({ code, message: `Cannot make an event "market.tick": ${message}` }))
  })

  it("is refused when the data gives a key that is no string", () => {
    const data = { symbol: null, price: 1 } as unknown as z.infer<typeof TickData>
    expect(() => Tick(data)).toThrow(expect.objectContaining({ code: "EVENT_KEY" }))
  })
})

describe("defining an event", () => {
  it.each(["", "a..b", "market.*", "market.>", "market tick"])("is refused for the type %j", (type) => {
    expect(() => defineEvent(type, TickData)).toThrow(expect.objectContaining({ code: "EVENT_TYPE" }))
  })

  it.each([
    [
      "an unknown option",
      () => defineEvent("a.b", TickData, { keys: () => "a" } as object),
      '"keys" (known: key, desc',
    ],
    ["no schema", () => defineEvent("a.b", undefined as unknown as typeof TickData), "zod schema, is undefined"],
    [
      "a schema of another kind",
      () => defineEvent("a.b", { type: "object" } as unknown as typeof TickData),
      "is object",
    ],
    [
      "a key that is no function",
      () => defineEvent("a.b", TickData, { key: "symbol" } as object),
      "function from the data",
    ],
    ["a predicate that is no function", () => Tick.where(true as unknown as () => boolean), "is boolean"],
  ])("is refused with %s", (_what, define, message) => {
    expect(define).toThrow(expect.objectContaining({ code: "EVENT_OPTION", message: expect.stringContaining(message) }))
  })
})
