import { z } from "zod"
import { TerminalError } from "../../errors.js"
import { CompletionOptions } from "../completion.js"
import { Message } from "../messages/message.js"
import type { ObjectOptions, Prompt } from "./llm.js"
import type { LlmPort } from "./port.js"

/** What a model may call, as far as it can be told by looking at it. */
const Tool = z.custom<object>((value) => {
  const { name, description, input, run } = (value ?? {}) as Partial<Record<string, unknown>>
  const isSchema = typeof (input as { safeParse?: unknown } | undefined)?.safeParse === "function"
  return typeof name === "string" && typeof description === "string" && isSchema && typeof run === "function"
}, "must be a tool, made by defineTool")

const Models = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)])
const Asking = CompletionOptions.extend({
  model: Models.optional(),
  priority: z.number().optional(),
  deadlineMs: z.int().min(1).optional(),
  cacheMs: z.int().min(0).optional(),
})
const Texting = Asking.extend({
  tools: z.array(Tool).optional(),
  toolChoice: z.enum(["auto", "none", "required"]).optional(),
  turnsMax: z.int().min(1).max(1_000).optional(),
  toolConcurrency: z.int().min(1).max(1_000).optional(),
})

/** Options of the kinds of call, as they are checked. Unknown ones are errors. */
export const Given = {
  text: Texting,
  object: Texting.extend({
    name: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,64}$/)
      .optional(),
    repairs: z.int().min(0).max(2).optional(),
  }),
  embed: Asking.pick({ model: true, priority: true, deadlineMs: true, cacheMs: true, timeoutMs: true }).extend({
    dimensions: z.int().min(1).optional(),
  }),
}

/** A call's options, checked, with what the agent says of itself where the call says nothing. */
export interface CheckedCall<Tool> {
  readonly models: readonly string[]
  readonly options: CompletionOptions
  readonly priority: number | undefined
  /** Milliseconds since 1970. */
  readonly deadlineMs: number | undefined
  readonly cacheMs: number | undefined
  readonly tools: readonly Tool[]
  readonly toolChoice: "auto" | "none" | "required" | undefined
  readonly turnsMax: number
  readonly toolConcurrency: number
}

/** @throws TerminalError `LLM_OPTION` (which, wanted and found) */
export function checkCall<Tool>(
  port: LlmPort<Tool>,
  kind: "text" | "object",
  given: ObjectOptions<Tool>,
): CheckedCall<Tool> {
  const { model, priority, deadlineMs, cacheMs, tools, toolChoice, turnsMax, toolConcurrency, ...rest } = check(
    port,
    Given[kind],
    given,
  )
  const { name: _, repairs: __, ...asked } = rest as typeof rest & { name?: unknown; repairs?: unknown }
  checkTools(port, (tools ?? []) as unknown as readonly Tool[], toolChoice)
  return {
    models: modelsOf(port, model),
    options: { ...port.defaults.options, ...asked },
    priority,
    deadlineMs: deadlineMs === undefined ? undefined : port.now() + deadlineMs,
    cacheMs,
    tools: (tools ?? []) as unknown as readonly Tool[],
    toolChoice,
    turnsMax: turnsMax ?? 25,
    toolConcurrency: toolConcurrency ?? 8,
  }
}

/** @throws TerminalError `LLM_OPTION` */
function checkTools<Tool>(port: LlmPort<Tool>, tools: readonly Tool[], toolChoice: string | undefined): void {
  const fail = (why: string): never => {
    throw new TerminalError(`${port.who} cannot ask a model: ${why}`, { code: "LLM_OPTION" })
  }
  if (toolChoice === "required" && tools.length === 0) fail(`toolChoice is "required", and there are no tools`)
  const names = new Set<string>()
  for (const tool of tools) {
    const { name } = port.specOf(tool)
    if (names.has(name)) fail(`two of its tools have the name "${name}"`)
    names.add(name)
  }
}

/** @throws TerminalError `LLM_OPTION` */
export function check<T, Tool>(port: Pick<LlmPort<Tool>, "who">, schema: z.ZodType<T>, given: unknown): T {
  const checked = schema.safeParse(given)
  if (checked.success) return checked.data
  const [issue] = checked.error.issues
  const where = issue?.path.join(".") || "its options"
  throw new TerminalError(`${port.who} cannot ask a model: ${where}: ${issue?.message}`, {
    code: "LLM_OPTION",
    details: { issues: checked.error.issues.map(({ path, message }) => ({ path: path.join("."), message })) },
  })
}

/** The names of the models that are asked. @throws TerminalError `LLM_OPTION` when nobody has said which */
export function modelsOf<Tool>(
  port: Pick<LlmPort<Tool>, "who" | "defaults">,
  model: string | readonly string[] | undefined,
): readonly string[] {
  const chosen = model ?? port.defaults.model
  if (chosen !== undefined) return typeof chosen === "string" ? [chosen] : chosen
  throw new TerminalError(
    `${port.who} cannot ask a model: it names none. Give it a "model", such as "ollama/qwen3:8b" or "openai/gpt-5-mini"`,
    { code: "LLM_OPTION" },
  )
}

const Texts = z.array(z.string(), "texts must be a list of texts").min(1, "there must be at least one text")

/** The texts that vectors are asked for. @throws TerminalError `LLM_OPTION` */
export function textsOf<Tool>(port: Pick<LlmPort<Tool>, "who">, texts: unknown): string[] {
  return check(port, Texts, texts)
}

const Messages = z.array(Message).min(1, "there must be at least one message")

/** A prompt as messages. @throws TerminalError `LLM_OPTION` when they are none */
export function messagesOf<Tool>(port: Pick<LlmPort<Tool>, "who">, prompt: Prompt): Message[] {
  if (typeof prompt === "string") return [{ role: "user", content: prompt }]
  return check(port, Messages, prompt)
}
