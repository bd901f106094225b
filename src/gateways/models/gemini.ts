import { able, embedding, usd, usdByLength } from "./facts.js"
import type { ModelFacts } from "./known-model.js"

const GEMINI = able(1_048_576, 65_536)
const LONG = 200_000

/**
 * Google's Gemini models, looked up on 2026-11-21 in public lists of the provider's page: text, paid tier. Audio input
 * costs more. Uncertain: gemini-3.8-flash, which is said to cost half until the end of 2026; here it stands with the whole.
 */
export const GEMINI_MODELS: Readonly<Record<string, ModelFacts>> = {
  "gemini-2.0-flash": { ...GEMINI, outputTokens: 8_192, price: usd(0.1, 0.4, 0.025) },
  "gemini-2.0-flash-lite": { ...GEMINI, outputTokens: 8_192, price: usd(0.075, 0.3) },
  "gemini-2.5-pro": { ...GEMINI, price: usdByLength(usd(1.25, 10, 0.125), LONG, usd(2.5, 15, 0.25)) },
  "gemini-2.5-flash": { ...GEMINI, price: usd(0.3, 2.5, 0.03) },
  "gemini-2.5-flash-lite": { ...GEMINI, price: usd(0.1, 0.4, 0.01) },
  "gemini-3-pro": { ...GEMINI, price: usdByLength(usd(2, 12, 0.2), LONG, usd(4, 18, 0.4)) },
  "gemini-3-flash": { ...GEMINI, price: usd(0.5, 3, 0.05) },
  "gemini-3.1-pro": { ...GEMINI, price: usdByLength(usd(2, 12, 0.2), LONG, usd(4, 18, 0.4)) },
  "gemini-3.1-flash-lite": { ...GEMINI, price: usd(0.25, 1.5, 0.025) },
  "gemini-3.5-flash": { ...GEMINI, price: usd(1.5, 9, 0.15) },
  "gemini-3.5-flash-lite": { ...GEMINI, price: usd(0.3, 2.5, 0.03) },
  "gemini-3.6-flash": { ...GEMINI, price: usd(1.5, 7.5, 0.15) },
  "gemini-3.8-flash": { ...GEMINI, price: usd(1.5, 7.5, 0.15) },
  "gemini-embedding-001": { ...embedding(2_048), price: usd(0.15, 0) },
}
