import type { GenerateContentConfig, ThinkingLevel } from "@google/genai"
import type { CompletionOptions } from "../completion.js"

/** What a generation of models takes; it stands in no table that can be asked without a request. */
export interface Generation {
  /** How it is told to think: by a budget of tokens (2.5), or by a level. */
  readonly thinking: "budget" | "level"
  /** Whether it can be held to a schema and call tools in one request (from 3). */
  readonly schemaWithTools: boolean
  /** Whether it refuses calls in a conversation that nobody has signed (from 3). */
  readonly wantsSignatures: boolean
}

/** A model whose name tells no version is taken for a new one. */
export function generationOf(model: string): Generation {
  const [, major] = /gemini-(\d+)/.exec(model) ?? []
  const old = major !== undefined && Number(major) < 3
  return { thinking: old ? "budget" : "level", schemaWithTools: !old, wantsSignatures: !old }
}

const BUDGETS = { none: 0, minimal: 512, low: 2_048, medium: 8_192, high: 24_576 }
/** From 3 on no model thinks nothing at all. */
const LEVELS = { none: "MINIMAL", minimal: "MINIMAL", low: "LOW", medium: "MEDIUM", high: "HIGH" }

/** How much a model thinks; that it does is told as well. */
export function toThinking(
  model: string,
  { reasoningEffort }: CompletionOptions,
): Pick<GenerateContentConfig, "thinkingConfig"> {
  if (reasoningEffort === undefined) return {}
  const includeThoughts = reasoningEffort !== "none"
  if (generationOf(model).thinking === "budget") {
    return { thinkingConfig: { includeThoughts, thinkingBudget: BUDGETS[reasoningEffort] } }
  }
  return { thinkingConfig: { includeThoughts, thinkingLevel: LEVELS[reasoningEffort] as ThinkingLevel } }
}
