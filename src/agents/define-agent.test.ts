import { of } from "rxjs"
import { describe, expect, test } from "vitest"
import { z } from "zod"
import { defineEvent } from "../bus/define-event.js"
import { defineAgent, isAgent, route } from "./define-agent.js"

const Seen = defineEvent("a.seen", z.object({ n: z.number() }))
const handle = (): void => {}
const define = (options: object) => () => defineAgent("triage", { on: [Seen], handle, ...options } as never)

test("what is not said has its default", () => {
  const agent = defineAgent("triage", { on: [Seen], handle })
  expect(agent).toMatchObject({
    name: "triage",
    concurrency: 64,
    partitions: 1,
    ordering: "key",
    tools: [],
    inflightMax: 1_000,
    from: "now",
    retry: { attempts: 5, backoffMs: 1_000, backoffMsMax: 120_000 },
    stepTimeoutMs: 600_000,
    hopsMax: 16,
    cyclesWarn: 3,
    cyclesMax: 8,
    horizonMs: 0,
    window: { latenessMs: 0, idleTimeoutMs: 30_000, openEventsMax: 50_000 },
    emits: [],
  })
  expect([isAgent(agent), isAgent({ ...agent }), isAgent(null), isAgent("triage")]).toEqual([true, false, false, false])
})

test("what is in `on` becomes routes: events, narrowed events, routes, patterns", () => {
  const predicate = () => true
  const agent = defineAgent("triage", {
    on: [
      Seen,
      Seen.where(predicate),
      route(Seen, { filter: { prefix: { subject: "x" } }, exclusive: true, priority: 3 }),
      "b.*",
    ],
    handle,
  })
  expect(agent.triggers.map(({ pattern, priority, exclusive }) => [pattern, priority, exclusive])).toEqual([
    ["a.seen", 0, false],
    ["a.seen", 0, false],
    ["a.seen", 3, true],
    ["b.*", 0, false],
  ])
  expect(agent.triggers[1]?.predicate).toBe(predicate)
  expect(agent.triggers.map(({ definition }) => definition?.type)).toEqual(["a.seen", "a.seen", "a.seen", undefined])
})

describe("a wrong option is refused with what was wanted and what was found", () => {
  test.each<[object, string[]]>([
    [{ concurency: 1 }, ['unknown option "concurency"', "concurrency"]],
    [{ retry: { tries: 1 } }, ['unknown option "retry.tries"', "attempts"]],
    [{ window: { lateMs: 1 } }, ['unknown option "window.lateMs"', "latenessMs"]],
    [{ on: [] }, ['"on" must name at least one event']],
    [{ on: "a.b" }, ['"on" must name at least one event']],
    [{ on: [null] }, ['an entry of "on" must be', "is null"]],
    [{ on: [7] }, ['an entry of "on" must be', "is 7"]],
    [{ on: [{}] }, ['an entry of "on" must be', "is [object Object]"]],
    [{ on: [{ ...route("a.b"), prio: 1 }] }, ['"a.b"', 'unknown option "prio"']],
    [{ on: [route("a.b", { priority: 0.5 })] }, ["integer priority", "0.5"]],
    [{ on: [route("a.b", { exclusive: "yes" as never })] }, ["true or false", "yes"]],
    [{ on: [{ pattern: "a.b", definition: {} }] }, ["defineEvent"]],
    [{ react: () => of() }, ['exactly one of "handle", "react" and "instructions", has 2']],
    [{ handle: undefined }, ['exactly one of "handle", "react" and "instructions", has 0']],
    [{ handle: "run" }, ['"handle" must be a function, is string']],
    [{ react: 7 }, ['"react" must be a function, is number']],
    [{ emits: Seen }, ['"emits" must be a list of events, is function']],
    [{ emits: ["a.b"] }, ['"emits" takes events made by defineEvent, has a.b']],
    [{ partitions: 2 }, ["partitions must be 1, 8 or 64, is 2"]],
    [{ ordering: "time" }, ['ordering must be "key" or "none", is "time"']],
    [{ ordering: "none", partitions: 8 }, ['partitions must be 1 with ordering "none"', "is 8"]],
    [{ ordering: "none", handle: undefined, react: () => of() }, ['"ordering" goes with "handle"']],
    [{ from: "yesterday" }, ['from must be "now", "start" or a valid Date, is yesterday']],
    [{ from: new Date(Number.NaN) }, ["is Invalid Date"]],
    [{ concurrency: 0 }, ["concurrency must be an integer >= 1, is 0"]],
    [{ concurrency: 1.5 }, ["is 1.5"]],
    [{ concurrency: "8" }, ["is 8"]],
    [{ inflightMax: -1 }, ["inflightMax must be an integer >= 1, is -1"]],
    [{ stepTimeoutMs: Number.POSITIVE_INFINITY }, ["stepTimeoutMs must be an integer >= 1, is Infinity"]],
    [{ stepTimeoutMs: 2 ** 31 }, [`stepTimeoutMs must be an integer <= ${2 ** 31 - 1}, is ${2 ** 31}`]],
    [{ hopsMax: -1 }, ["hopsMax must be an integer >= 0, is -1"]],
    [{ cyclesWarn: 0 }, ["cyclesWarn must be an integer >= 1, is 0"]],
    [{ cyclesMax: 1.5 }, ["cyclesMax must be an integer >= 0, is 1.5"]],
    [{ horizonMs: Number.NaN }, ["horizonMs must be an integer >= 0, is NaN"]],
    [{ retry: { attempts: 0 } }, ["retry.attempts must be an integer >= 1, is 0"]],
    [{ retry: { backoffMs: -1 } }, ["retry.backoffMs must be an integer >= 0, is -1"]],
    [{ retry: { backoffMsMax: 1.5 } }, ["retry.backoffMsMax must be an integer >= 0, is 1.5"]],
    [{ window: { latenessMs: -1 } }, ["window.latenessMs must be an integer >= 0, is -1"]],
    [{ window: { idleTimeoutMs: 0 } }, ["window.idleTimeoutMs must be an integer >= 1, is 0"]],
    [{ window: { openEventsMax: 0 } }, ["window.openEventsMax must be an integer >= 1, is 0"]],
  ])("%j", (options, said) => {
    const error = expect.objectContaining({ code: "AGENT_OPTION", message: expect.stringContaining('agent "triage"') })
    expect(define(options)).toThrow(error)
    for (const part of said) expect(define(options)).toThrow(part)
  })

  test.each<[unknown, string]>([
    [undefined, "undefined"],
    [null, "null"],
    ["x", "x"],
  ])("options that are %j", (options, found) => {
    expect(() => defineAgent("triage", options as never)).toThrow(`its options must be an object, are ${found}`)
  })

  test("a name that is none, a pattern and a filter that are none", () => {
    expect(() => defineAgent("Triage!", { on: [Seen], handle })).toThrow(
      expect.objectContaining({ code: "NAME_INVALID" }),
    )
    expect(define({ on: ["a..b"] })).toThrow(expect.objectContaining({ code: "ROUTE_PATTERN" }))
    expect(define({ on: [route(Seen, { filter: { nonsense: 1 } })] })).toThrow(
      expect.objectContaining({ code: "ROUTE_FILTER" }),
    )
  })
})
