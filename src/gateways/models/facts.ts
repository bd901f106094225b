import type { ModelFacts, Price } from "./known-model.js"

/** What a million tokens cost. Cached input is charged as other input where nothing else is known. */
export function usd(inputUsd: number, outputUsd: number, cachedInputUsd?: number): Price {
  return { inputUsd, outputUsd, ...(cachedInputUsd !== undefined && { cachedInputUsd }) }
}

/** A price that is higher, for the whole request, when its input is longer than so many tokens. */
export function usdByLength(short: Price, inputTokens: number, long: Price): Price {
  return { ...short, above: { inputTokens, ...long } }
}

/** A model that calls tools, sees images and is held to schemas. */
export function able(contextTokens: number, outputTokens: number): Omit<ModelFacts, "price"> {
  return { tools: true, images: true, schema: true, contextTokens, outputTokens }
}

/** A model that makes vectors of texts, and says nothing. */
export function embedding(contextTokens: number): Omit<ModelFacts, "price"> {
  return { tools: false, images: false, schema: false, contextTokens, outputTokens: 0 }
}
