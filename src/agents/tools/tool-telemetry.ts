import { ensureError, errorCode } from "../../errors.js"
import type { AnyTool } from "./tool.js"
import type { ToolPorts, ToolScope } from "./tool-calls.js"

/** Runs a tool's code in a span of its own, and measures how long it takes. What the journal answers is no such run. */
export async function observeTool(
  tool: AnyTool,
  { agent, trace }: Pick<ToolScope, "agent" | "trace">,
  { telemetry: { tracing, metrics }, clock }: Pick<ToolPorts, "telemetry" | "clock">,
  run: () => Promise<unknown>,
): Promise<unknown> {
  if (!tracing.enabled && !metrics.enabled) return run()
  const began = clock.now()
  const span = tracing.start(`execute_tool ${tool.name}`, {
    kind: "internal",
    parent: trace,
    attributes: {
      "gen_ai.operation.name": "execute_tool",
      "gen_ai.tool.name": tool.name,
      "gen_ai.tool.type": "function",
      "murmur.agent": agent,
      "murmur.tool.effect": tool.effect,
    },
  })
  let outcome = "ok"
  try {
    return await span.run(run)
  } catch (thrown) {
    outcome = "error"
    span.set({ "error.type": errorCode(thrown) })
    span.fail(ensureError(thrown))
    throw thrown
  } finally {
    span.end()
    const labels = { agent, tool: tool.name, outcome }
    metrics.duration("murmur.tool.duration", (clock.now() - began) / 1_000, labels)
  }
}
