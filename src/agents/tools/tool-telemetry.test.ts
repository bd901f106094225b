import { expect, test } from "vitest"
import { z } from "zod"
import type { Attributes, Metrics, Span, Tracing } from "../../telemetry/ports.js"
import { silentLog } from "../../telemetry/ports.js"
import { systemClock } from "../clock.js"
import { defineTool } from "./define-tool.js"
import { observeTool } from "./tool-telemetry.js"

const trace = { traceparent: `00-${"1".repeat(32)}-${"2".repeat(16)}-01` }
const input = z.object({})
const tool = defineTool({ name: "pay", description: "Pays", input, effect: "idempotent", run: () => 1 })

/** Notes what it is told. */
function recorder(): { seen: unknown[]; tracing: Tracing; metrics: Metrics } {
  const seen: unknown[] = []
  const span: Span = {
    context: undefined,
    set: (attributes: Attributes) => void seen.push(attributes),
    link: () => {},
    fail: (error) => void seen.push(error.message),
    end: () => void seen.push("end"),
    run: (work) => work(),
  }
  return {
    seen,
    tracing: {
      enabled: true,
      start: (name, { kind, parent, attributes }) => {
        seen.push([name, kind, parent, attributes?.["gen_ai.operation.name"], attributes?.["gen_ai.tool.name"]])
        return span
      },
    },
    metrics: {
      enabled: true,
      count: () => {},
      duration: (name, seconds, labels) => void seen.push([name, seconds >= 0, labels]),
    },
  }
}

test("a run of a tool's code is a span below its step, and is measured", async () => {
  const { seen, ...telemetry } = recorder()
  const ports = { clock: systemClock, telemetry: { ...telemetry, log: silentLog } }
  expect(await observeTool(tool, { agent: "till", trace }, ports, async () => 7)).toBe(7)
  const failing = observeTool(tool, { agent: "till", trace }, ports, () => Promise.reject(new Error("broken")))
  await expect(failing).rejects.toThrow("broken")
  const started = ["execute_tool pay", "internal", trace, "execute_tool", "pay"]
  expect(seen).toEqual([
    started,
    "end",
    ["murmur.tool.duration", true, { agent: "till", tool: "pay", outcome: "ok" }],
    started,
    { "error.type": "ERROR" },
    "broken",
    "end",
    ["murmur.tool.duration", true, { agent: "till", tool: "pay", outcome: "error" }],
  ])
})
