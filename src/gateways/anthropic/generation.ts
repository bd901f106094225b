import type { MessageCreateParamsNonStreaming } from "@anthropic-ai/sdk/resources/messages"
import { TerminalError } from "../../errors.js"
import type { CompletionOptions } from "../completion.js"
import { knownModel } from "../models/known-model.js"

/** What a generation of models takes; it stands in no table that can be asked without a request. */
export interface Generation {
  /** How it is told to think: by a budget of tokens (until 4.5), or by an effort. */
  readonly thinking: "budget" | "effort"
  /** Whether its answer can be held to a schema (from 4.5). */
  readonly outputFormat: boolean
  /** Whether it can be told how freely to choose its words (until 4.6), by the older version of the API. */
  readonly temperature: boolean
}

const VERSION = /claude-(?:[a-z]+-)?(\d+)(?:-(\d{1,2})(?!\d))?/

/** A model whose name tells no version is taken for a new one. */
export function generationOf(model: string): Generation {
  const [, major, minor = "0"] = VERSION.exec(model) ?? []
  const version = major === undefined ? Number.POSITIVE_INFINITY : Number(major) * 100 + Number(minor)
  return {
    thinking: version < 406 ? "budget" : "effort",
    outputFormat: version >= 405,
    temperature: version < 407,
  }
}

type Thinking = Pick<MessageCreateParamsNonStreaming, "max_tokens" | "thinking" | "output_config">

/** The least that Anthropic takes for a budget. */
const BUDGET_MIN = 1_024
const BUDGETS = { minimal: BUDGET_MIN, low: 2_048, medium: 8_192, high: 16_384 }
const EFFORTS = { minimal: "low", low: "low", medium: "medium", high: "high" } as const

/**
 * How long an answer may be, which Anthropic wants to be told, and how much of it may be thoughts. Without `maxTokens` it
 * is all that the model is known to write.
 *
 * @throws TerminalError `LLM_OPTION` when no budget fits into `maxTokens`
 */
export function toThinking(model: string, { maxTokens, reasoningEffort }: CompletionOptions): Thinking {
  const max_tokens = maxTokens ?? Math.max(knownModel(`anthropic/${model}`).outputTokens, 1)
  if (reasoningEffort === undefined) return { max_tokens }
  if (reasoningEffort === "none") return { max_tokens, thinking: { type: "disabled" } }
  if (generationOf(model).thinking === "budget") {
    return { max_tokens, thinking: { type: "enabled", budget_tokens: budgetOf(reasoningEffort, max_tokens) } }
  }
  // Newer models keep their thoughts to themselves unless they are asked to show them.
  const thinking = { type: "adaptive", display: "summarized" } as const
  return { max_tokens, thinking, output_config: { effort: EFFORTS[reasoningEffort] } }
}

/** A quarter of the answer at least is left for what is said. */
function budgetOf(effort: keyof typeof BUDGETS, maxTokens: number): number {
  if (maxTokens <= BUDGET_MIN) {
    throw new TerminalError(
      `Cannot ask for reasoningEffort "${effort}": thoughts take ${BUDGET_MIN} tokens at least, so maxTokens must be > ${BUDGET_MIN}, is ${maxTokens}`,
      { code: "LLM_OPTION" },
    )
  }
  return Math.max(BUDGET_MIN, Math.min(BUDGETS[effort], Math.floor((maxTokens * 3) / 4)))
}
