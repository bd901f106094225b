import { able, embedding, usd, usdByLength } from "./facts.js"
import type { ModelFacts } from "./known-model.js"

const GPT_4O = able(128_000, 16_384)
const GPT_41 = able(1_047_576, 32_768)
const GPT_5 = able(400_000, 128_000)
const GPT_54 = able(1_050_000, 128_000)
const CHAT = able(128_000, 16_384)
const O = able(200_000, 100_000)
const LONG = 272_000

/**
 * OpenAI's models, looked up on 2026-11-21: windows in the metadata of gpt-tokenizer 4.0.0, prices (standard tier) in
 * public lists of that provider's page. Uncertain: those of gpt-5.6, which here are those of its preview; resellers have
 * named lower ones since.
 */
export const OPENAI: Readonly<Record<string, ModelFacts>> = {
  "gpt-4o": { ...GPT_4O, price: usd(2.5, 10, 1.25) },
  "gpt-4o-2024-05-13": { ...GPT_4O, outputTokens: 4_096, schema: false, price: usd(5, 15) },
  "gpt-4o-mini": { ...GPT_4O, price: usd(0.15, 0.6, 0.075) },
  "gpt-4.1": { ...GPT_41, price: usd(2, 8, 0.5) },
  "gpt-4.1-mini": { ...GPT_41, price: usd(0.4, 1.6, 0.1) },
  "gpt-4.1-nano": { ...GPT_41, price: usd(0.1, 0.4, 0.025) },
  "gpt-5": { ...GPT_5, price: usd(1.25, 10, 0.125) },
  "gpt-5-mini": { ...GPT_5, price: usd(0.25, 2, 0.025) },
  "gpt-5-nano": { ...GPT_5, price: usd(0.05, 0.4, 0.005) },
  "gpt-5-pro": { ...GPT_5, outputTokens: 272_000, price: usd(15, 120) },
  "gpt-5-chat": { ...CHAT, price: usd(1.25, 10, 0.125) },
  "gpt-5-codex": { ...GPT_5, price: usd(1.25, 10, 0.125) },
  "gpt-5.1": { ...GPT_5, price: usd(1.25, 10, 0.125) },
  "gpt-5.1-chat": { ...CHAT, price: usd(1.25, 10, 0.125) },
  "gpt-5.1-codex": { ...GPT_5, price: usd(1.25, 10, 0.125) },
  "gpt-5.1-codex-mini": { ...GPT_5, price: usd(0.25, 2, 0.025) },
  "gpt-5.2": { ...GPT_5, price: usd(1.75, 14, 0.175) },
  "gpt-5.2-chat": { ...CHAT, price: usd(1.75, 14, 0.175) },
  "gpt-5.2-pro": { ...GPT_5, price: usd(21, 168) },
  "gpt-5.4": { ...GPT_54, price: usdByLength(usd(2.5, 15, 0.25), LONG, usd(5, 22.5, 0.5)) },
  "gpt-5.4-mini": { ...GPT_5, price: usd(0.75, 4.5, 0.075) },
  "gpt-5.4-nano": { ...GPT_5, price: usd(0.2, 1.25, 0.02) },
  "gpt-5.4-pro": { ...GPT_54, price: usdByLength(usd(30, 180), LONG, usd(60, 270)) },
  "gpt-5.5": { ...GPT_54, price: usdByLength(usd(5, 30, 0.5), LONG, usd(10, 45, 1)) },
  "gpt-5.5-pro": { ...GPT_54, price: usdByLength(usd(30, 180), LONG, usd(60, 270)) },
  "gpt-5.6-sol": { ...GPT_54, price: usd(5, 30, 0.5) },
  "gpt-5.6-terra": { ...GPT_54, price: usd(2.5, 15, 0.25) },
  "gpt-5.6-luna": { ...GPT_54, price: usd(1, 6, 0.1) },
  o1: { ...O, price: usd(15, 60, 7.5) },
  "o1-pro": { ...O, price: usd(150, 600) },
  o3: { ...O, price: usd(2, 8, 0.5) },
  "o3-mini": { ...O, images: false, price: usd(1.1, 4.4, 0.55) },
  "o3-pro": { ...O, price: usd(20, 80) },
  "o4-mini": { ...O, price: usd(1.1, 4.4, 0.275) },
  "text-embedding-3-small": { ...embedding(8_191), price: usd(0.02, 0) },
  "text-embedding-3-large": { ...embedding(8_191), price: usd(0.13, 0) },
  "text-embedding-ada-002": { ...embedding(8_191), price: usd(0.1, 0) },
}
