import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { defineAgent } from "./define-agent.js"
import { afterFailure, afterSuccess, afterTime, HEALTHY, type Supervision } from "./supervisor.js"

const options = { intensity: 5, withinMs: 60_000, quarantineMs: 1_000, quarantineMsMax: 5_000 }

/** One agent on a clock that only the test moves. */
class Bench {
  nowMs = 0
  state: Supervision = HEALTHY

  constructor(private readonly bounds = options) {}

  fail(...events: string[]): this {
    for (const eventId of events) {
      const failure = { atMs: this.nowMs, eventId, code: "ERROR", message: `no ${eventId}` }
      this.state = afterFailure(this.state, failure, this.bounds)
    }
    return this
  }

  succeed(): this {
    this.state = afterSuccess(this.state)
    return this
  }

  wait(ms: number): this {
    this.nowMs += ms
    this.state = afterTime(this.state, this.nowMs)
    return this
  }
}

describe("an agent that runs", () => {
  test("is quarantined when so many events have failed with no success in between", () => {
    const bench = new Bench().fail("a", "b", "c", "d")
    expect(bench.state.kind).toBe("closed")
    expect(bench.fail("e").state).toEqual({
      kind: "open",
      sinceMs: 0,
      untilMs: 1_000,
      times: 1,
      failures: 5,
      last: { atMs: 0, eventId: "e", code: "ERROR", message: "no e" },
    })
  })

  test("goes on when a success came in between", () => {
    expect(new Bench().fail("a", "b", "c", "d").succeed().fail("e", "f", "g", "h").state.kind).toBe("closed")
  })

  test("goes on when one event alone fails, however often", () => {
    const bench = new Bench().fail(...Array<string>(50).fill("poison"))
    expect(bench.state.kind).toBe("closed")
    expect(bench.succeed().state).toBe(HEALTHY)
  })

  test("counts an event once, by its newest failure, and tells all attempts", () => {
    const bench = new Bench().fail("a", "b", "a", "b", "c", "d", "d").wait(60_000).fail("a")
    expect(bench.state).toMatchObject({ kind: "closed", failures: 8 })
    expect(bench.fail("e").state).toMatchObject({ kind: "open", failures: 9 })
    const later = new Bench().fail("a", "b", "c", "d").wait(60_001).fail("a", "e")
    expect(later.state).toMatchObject({ kind: "closed", failures: 6, failing: [{ eventId: "a" }, { eventId: "e" }] })
  })

  test("is quarantined by its first failure when the intensity is 1", () => {
    expect(new Bench({ ...options, intensity: 1 }).fail("a").state.kind).toBe("open")
  })

  test("goes on when its failures are further apart than the time they count for", () => {
    const bench = new Bench()
    for (let n = 0; n < 20; n++) bench.fail(`${n}`).wait(15_001)
    expect(bench.fail("x").state.kind).toBe("closed")
    expect(bench.fail("last", "straw").state.kind).toBe("open")
  })
})

describe("an agent that is quarantined", () => {
  const quarantined = (): Bench => new Bench().fail("a", "b", "c", "d", "e")

  test("may try with one event when its time is up, not before", () => {
    const bench = quarantined().wait(999)
    expect(bench.state.kind).toBe("open")
    expect(bench.wait(1).state.kind).toBe("half-open")
  })

  test("runs again when that succeeds, and has a clean slate", () => {
    expect(quarantined().wait(1_000).succeed().state).toBe(HEALTHY)
    expect(quarantined().wait(1_000).succeed().fail("a", "b", "c", "d").state.kind).toBe("closed")
  })

  test("is quarantined for twice as long each time that fails, up to the longest", () => {
    const bench = quarantined()
    const times: number[] = []
    for (let n = 0; n < 6; n++) {
      if (bench.state.kind !== "open") throw new Error(`it is ${bench.state.kind}`)
      const forMs = bench.state.untilMs - bench.nowMs
      times.push(forMs)
      expect(bench.wait(forMs).state).toMatchObject({ kind: "half-open", sinceMs: 0, times: n + 1 })
      bench.fail("a")
    }
    expect(times).toEqual([1_000, 2_000, 4_000, 5_000, 5_000, 5_000])
    expect(bench.state).toMatchObject({ kind: "open", sinceMs: 0, times: 7, failures: 11 })
  })

  test("counts what had begun before and fails, and is not quarantined for longer by it", () => {
    const bench = quarantined().wait(500).fail("f")
    expect(bench.state).toMatchObject({ kind: "open", untilMs: 1_000, times: 1, failures: 6, last: { eventId: "f" } })
  })

  test("runs again when what had begun before succeeds", () => {
    expect(quarantined().wait(500).succeed().state).toBe(HEALTHY)
  })
})

test("whatever happens: no quarantine without enough failed events in time since the last success, none over the longest", () => {
  const happening = fc.oneof(
    fc.record({ kind: fc.constant("fail" as const), event: fc.constantFrom("a", "b", "c", "d", "e") }),
    fc.record({ kind: fc.constant("succeed" as const) }),
    fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 40_000 }) }),
  )
  const bounds = fc
    .record({
      intensity: fc.integer({ min: 1, max: 6 }),
      withinMs: fc.integer({ min: 1, max: 90_000 }),
      quarantineMs: fc.integer({ min: 1, max: 20_000 }),
      more: fc.integer({ min: 0, max: 100_000 }),
    })
    .map(({ more, ...rest }) => ({ ...rest, quarantineMsMax: rest.quarantineMs + more }))
  fc.assert(
    fc.property(bounds, fc.array(happening, { maxLength: 200 }), (given, happenings) => {
      const bench = new Bench(given)
      /** All failures since the last success: the slow and simple way to count. */
      let failures: { atMs: number; event: string }[] = []
      for (const it of happenings) {
        const before = bench.state
        if (it.kind === "wait") bench.wait(it.ms)
        else if (it.kind === "succeed") {
          bench.succeed()
          failures = []
        } else {
          bench.fail(it.event)
          failures.push({ atMs: bench.nowMs, event: it.event })
        }
        const { state } = bench
        const recent = failures.filter(({ atMs }) => bench.nowMs - atMs <= given.withinMs)
        const tooMuch = new Set(recent.map(({ event }) => event)).size >= given.intensity
        if (it.kind === "succeed") expect(state).toBe(HEALTHY)
        if (it.kind === "wait" && before.kind === "closed") expect(state).toBe(before)
        if (it.kind === "wait" && before.kind === "open")
          expect(state.kind === "open").toBe(bench.nowMs < before.untilMs)
        if (it.kind === "fail") expect(state.kind === "open").toBe(before.kind !== "closed" || tooMuch)
        if (state.kind === "open") expect(state.untilMs - bench.nowMs).toBeLessThanOrEqual(given.quarantineMsMax)
        expect(state.failures).toBe(failures.length)
      }
    }),
  )
})

describe("the option", () => {
  const agent = (supervision: object, how: object = { handle: () => {} }) =>
    defineAgent("x", { on: ["a.b"], ...how, supervision } as never).supervision

  test("has defaults, and a longest quarantine that is not shorter than the first", () => {
    expect(agent({})).toEqual({ intensity: 5, withinMs: 60_000, quarantineMs: 30_000, quarantineMsMax: 600_000 })
    expect(agent({ quarantineMs: 900_000 }).quarantineMsMax).toBe(900_000)
  })

  test.each([
    [{ intensity: 0 }, "supervision.intensity must be an integer >= 1, is 0"],
    [{ withinMs: 1.5 }, "supervision.withinMs must be an integer >= 1, is 1.5"],
    [{ quarantineMs: 0 }, "supervision.quarantineMs must be an integer >= 1, is 0"],
    [{ quarantineMs: 50, quarantineMsMax: 40 }, "supervision.quarantineMsMax must be an integer >= 50, is 40"],
    [{ intensty: 3 }, 'unknown option "supervision.intensty"'],
  ])("%j is refused with both values", (given, why) => {
    expect(() => agent(given)).toThrow(why)
  })

  test("belongs to handlers", () => {
    expect(() => agent({}, { react: () => {} })).toThrow('"supervision" goes with "handle", not with "react"')
  })
})
