import type { z } from "zod"
import { ensureError } from "../../errors.js"
import { silentLog } from "../../telemetry/ports.js"
import type { Broker } from "../broker/broker.js"
import { CompletionOptions, type ToolSpec } from "../completion.js"
import type { ToolCall } from "../messages/message.js"
import { check } from "./given.js"
import type { Llm } from "./llm.js"
import { llmOf } from "./llm-of.js"
import { jsonSchemaOf } from "./object.js"
import type { LlmCalls, LlmPort, ToolOutcome } from "./port.js"

/** Something that a model may call; tools made by `defineTool` are such. */
export interface CallableTool {
  readonly name: string
  readonly description: string
  readonly input: z.ZodType
  /** How long one call may take, in milliseconds. */
  readonly timeoutMs: number
  // biome-ignore lint/suspicious/noExplicitAny: each tool has a context of its own, of which this is a part
  run(input: any, ctx: any): unknown
}

/** Options of {@link createLlm}. */
export interface LlmOptions extends CompletionOptions {
  readonly broker: Broker
  /** For calls that name no model. */
  readonly model?: string | readonly string[]
  /** Ends what is asked. Default: never. */
  readonly signal?: AbortSignal
}

/**
 * What agents think with, without an agent: in a script, a test, a server of your own. Nothing is journaled; a call that
 * is made again is made again.
 *
 * @throws TerminalError `LLM_OPTION`
 * @example
 * const broker = createBroker({ gateways: [ollama()] })
 * const llm = createLlm({ broker, model: "ollama/qwen3:8b" })
 * const { text } = await llm.text("Why is the sky blue?")
 */
export function createLlm({ broker, model, signal, ...options }: LlmOptions): Llm<CallableTool> {
  const who = "This program"
  const port: LlmPort<CallableTool> = {
    who,
    defaults: { model, options: check({ who }, CompletionOptions, options) },
    now: () => Date.now(),
    specOf,
    begin: () => callsOf(broker, signal ?? new AbortController().signal),
  }
  return llmOf(port)
}

function specOf({ name, description, input }: CallableTool): ToolSpec {
  return { name, description, parameters: jsonSchemaOf(input) }
}

function callsOf(broker: Broker, signal: AbortSignal): LlmCalls<CallableTool> {
  return {
    complete: (request, { priority, deadlineMs, onPart }) =>
      broker.complete(request, {
        signal,
        ...(priority !== undefined && { priority }),
        ...(deadlineMs !== undefined && { deadlineMs }),
        ...(onPart !== undefined && { onPart }),
      }),
    embed: (request, { priority, deadlineMs }) =>
      broker.embed(request, {
        signal,
        ...(priority !== undefined && { priority }),
        ...(deadlineMs !== undefined && { deadlineMs }),
      }),
    prepareTool: (tool, call) => () => runTool(tool, call, signal),
  }
}

async function runTool(tool: CallableTool, call: ToolCall, outer: AbortSignal): Promise<ToolOutcome> {
  const checked = tool.input.safeParse(call.arguments)
  if (!checked.success) return failed(`The arguments of "${tool.name}" do not fit: ${checked.error.message}`)
  const time = AbortSignal.timeout(tool.timeoutMs)
  const signal = AbortSignal.any([outer, time])
  const over = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true })
  })
  over.catch(() => {})
  try {
    const ctx = { agent: "", key: undefined, attempt: 1, idempotencyKey: call.id, signal, log: silentLog }
    const output = await Promise.race([tool.run(checked.data, ctx), over])
    return { content: typeof output === "string" ? output : (JSON.stringify(output) ?? "done"), isError: false }
  } catch (error) {
    outer.throwIfAborted()
    if (time.aborted) return failed(`Error: "${tool.name}" took longer than ${tool.timeoutMs} ms`)
    return failed(`Error: ${ensureError(error).message}`)
  }
}

function failed(content: string): ToolOutcome {
  return { content, isError: true }
}
