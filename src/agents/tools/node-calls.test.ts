import { expect, test } from "vitest"
import { z } from "zod"
import { defineEvent } from "../../bus/define-event.js"
import { seal } from "../../bus/encode.js"
import { noTelemetry } from "../../telemetry/ports.js"
import { resolveDate } from "../builtin/resolve-date.js"
import { taskList } from "../builtin/task-list.js"
import { systemClock } from "../clock.js"
import { type Call, Journal } from "../journal/journal.js"
import { Positions } from "../positions.js"
import { MemoryLog } from "../test-memory.js"
import { defineTool } from "./define-tool.js"
import { memoryToolServices } from "./memory-services.js"
import type { Perform } from "./perform-tool.js"
import type { AnyTool } from "./tool.js"
import { ToolCalls } from "./tool-calls.js"

const Asked = defineEvent("a.asked", z.object({}), { key: () => "web" })
const event = { ...seal(Asked({}, { id: "event-1" }), { mesh: "test", producer: "test" }), seq: 1 }

/** A step over a journal that is kept, as each attempt of it would see it. */
function step(services = memoryToolServices(), telemetry = noTelemetry) {
  const log = new MemoryLog()
  const records: unknown[] = []
  const attempt = async (): Promise<(tool: AnyTool, input: object, perform?: Perform) => Promise<unknown>> => {
    const journal = await Journal.open({ log, clock: systemClock }, "test.step.a.event-1", "a")
    const positions = Positions.ofStep()
    const journaled = async <T>(call: string, input: unknown, make: (journal: Journal, call: Call) => Promise<T>) => {
      const recorded = await make(journal, { position: positions.next(), call, input })
      records.push(recorded)
      return recorded
    }
    const effects = { journaled, askAbout: async () => "no" }
    const ports = { clock: systemClock, telemetry, redact: (text: string) => text, toolServices: services }
    const signal = new AbortController().signal
    const scope = { agent: "a", event, careful: false, trace: undefined, signal: () => signal }
    const calls = new ToolCalls({ ...scope, storedAtMs: Date.parse("2026-11-21T10:00:00Z") }, effects, ports)
    return (tool, input, perform = async () => "in a worker") => calls.call(tool, input, perform)
  }
  return { attempt, records, services }
}

test("a tool that needs the node runs there, whoever would run the others", async () => {
  const call = await step().attempt()
  const plain = defineTool({ name: "x", description: "x", input: z.object({}), effect: "read", run: () => "here" })
  expect(await call(plain, {})).toBe("in a worker")
  expect(await call(resolveDate(), { expression: "tomorrow" })).toMatchObject({ utc: "2026-11-22T00:00:00.000Z" })
  expect(await call(taskList(), { add: ["one"] })).toEqual({ tasks: [{ id: 1, text: "one", status: "open" }] })
})

const large = { rows: Array.from({ length: 5_000 }, (_, n) => ({ n, text: `row ${n} ${"x".repeat(60)}` })) }
const tool = (output: unknown, effect: "read" | "irreversible" = "read"): AnyTool =>
  defineTool({ name: "load", description: "Loads", input: z.object({}), effect, run: () => output })

test.each(["read", "irreversible"] as const)(
  "an output too large for a journal is kept beside it, and comes back whole (%s)",
  async (effect) => {
    const { attempt, records } = step()
    const run = async () => large
    expect(await (await attempt())(tool(large, effect), {}, run)).toEqual(large)
    expect(records).toEqual([{ "murmur.artifact": expect.stringMatching(/^[0-9a-f]{64}$/) }])
    const never = async (): Promise<never> => {
      throw new Error("it was made before")
    }
    expect(await (await attempt())(tool(large, effect), {}, never)).toEqual(large)
  },
)

test("one that is gone says so", async () => {
  const services = memoryToolServices()
  const get = async (): Promise<undefined> => undefined
  const { attempt } = step({ ...services, artifacts: { ...services.artifacts, get } })
  await (await attempt())(tool(large), {}, async () => large)
  await expect((await attempt())(tool(large), {})).rejects.toMatchObject({ code: "TOOL_OUTPUT_GONE" })
})

test("an output that looks like a reference is none: nobody reads an artifact by returning its id", async () => {
  const { attempt, services } = step()
  const { id } = await services.artifacts.put(Buffer.from('"the secret of another"'))
  for (const forged of [{ "murmur.artifact": id }, { "murmur.artifact": 7 }, { "murmur.artifact": "" }]) {
    const again = step(services)
    expect(await (await again.attempt())(tool(forged), {}, async () => forged)).toEqual(forged)
    expect(await (await again.attempt())(tool(forged), {})).toEqual(forged)
  }
  expect(await (await attempt())(tool("x"), {}, async () => "x")).toBe("x")
})

test("a call that a person is asked to approve is counted once, whatever comes of it", async () => {
  const counted: unknown[] = []
  const metrics = { ...noTelemetry.metrics, count: (...what: unknown[]) => counted.push(what) }
  const wary = defineTool({
    ...{ name: "wary", description: "x", input: z.object({}), effect: "read", approval: "always", run: () => "done" },
  })
  const { attempt } = step(memoryToolServices(), { ...noTelemetry, metrics: metrics as never })
  await expect((await attempt())(wary, {})).rejects.toMatchObject({ code: "TOOL_NOT_APPROVED" })
  expect(counted).toEqual([["murmur.tool.approvals", 1, { agent: "a", tool: "wary" }]])
})
