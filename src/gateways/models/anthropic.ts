import { able, usd, usdByLength } from "./facts.js"
import type { ModelFacts } from "./known-model.js"

const CLAUDE_3 = { ...able(200_000, 8_192), schema: false }
const CLAUDE_4 = able(200_000, 64_000)
const CLAUDE_46 = able(1_000_000, 128_000)

/**
 * Anthropic's models, looked up on 2026-11-21 in stored copies of the provider's own pages. Writing to the provider's
 * cache costs more than other input (1.25 or 2 times); a gateway that asks for that has to count it as input.
 */
export const ANTHROPIC: Readonly<Record<string, ModelFacts>> = {
  "claude-3-haiku": { ...CLAUDE_3, outputTokens: 4_096, price: usd(0.25, 1.25, 0.03) },
  "claude-3-5-haiku": { ...CLAUDE_3, price: usd(0.8, 4, 0.08) },
  "claude-3-5-sonnet": { ...CLAUDE_3, price: usd(3, 15, 0.3) },
  "claude-3-7-sonnet": { ...CLAUDE_3, outputTokens: 64_000, price: usd(3, 15, 0.3) },
  "claude-sonnet-4": { ...CLAUDE_4, schema: false, price: usd(3, 15, 0.3) },
  "claude-opus-4": { ...CLAUDE_4, schema: false, outputTokens: 32_000, price: usd(15, 75, 1.5) },
  "claude-opus-4-1": { ...CLAUDE_4, outputTokens: 32_000, price: usd(15, 75, 1.5) },
  "claude-haiku-4-5": { ...CLAUDE_4, price: usd(1, 5, 0.1) },
  "claude-sonnet-4-5": { ...CLAUDE_4, price: usd(3, 15, 0.3) },
  "claude-opus-4-5": { ...CLAUDE_4, price: usd(5, 25, 0.5) },
  "claude-sonnet-4-6": { ...CLAUDE_46, outputTokens: 64_000, price: usd(3, 15, 0.3) },
  "claude-opus-4-6": { ...CLAUDE_46, price: usd(5, 25, 0.5) },
  "claude-opus-4-7": { ...CLAUDE_46, price: usd(5, 25, 0.5) },
  "claude-opus-4-8": { ...CLAUDE_46, price: usd(5, 25, 0.5) },
  "claude-sonnet-5": { ...CLAUDE_46, price: usd(2, 10, 0.2) },
  "claude-opus-5": { ...CLAUDE_46, price: usd(5, 25, 0.5) },
  "claude-fable-5": { ...CLAUDE_46, price: usd(10, 50, 1) },
  "claude-fable-5-1": { ...CLAUDE_46, price: usd(10, 50, 0.25) },
  "claude-fable-5-2": { ...CLAUDE_46, price: usd(8, 40) },
  "claude-haiku-5-5": { ...CLAUDE_46, price: usdByLength(usd(0.1, 0.5, 0.01), 100_000, usd(0.5, 2.5, 0.05)) },
  "claude-sonnet-5-5": { ...CLAUDE_46, price: usd(2, 10, 0.1) },
  "claude-opus-5-5": { ...CLAUDE_46, price: usd(4, 20, 0.2) },
}
