import type { Estimate, MicroUsd } from "../broker/broker.js"
import type { Usage } from "../completion.js"
import type { KnownModel, ModelFacts, Price } from "./known-model.js"

/** Sums of prices and tokens are rounded up to whole millionths; what is less than this above one is an error of floats. */
const NOISE = 1e-6

/**
 * What a call costs, in millionths of a US dollar, rounded up; `undefined` where the model has no known price.
 *
 * @example costOf(knownModel("openai/gpt-5-mini"), { inputTokens: 1_000, outputTokens: 100 }) // 450
 */
export function costOf({ price }: Pick<ModelFacts, "price">, usage: Usage): MicroUsd | undefined {
  if (price === undefined) return undefined
  const { inputTokens, outputTokens } = usage
  const { inputUsd, outputUsd, cachedInputUsd = inputUsd } = rates(price, inputTokens)
  const cached = Math.min(usage.cachedTokens ?? 0, inputTokens)
  // dollars for a million tokens are millionths of a dollar for one
  const exact = (inputTokens - cached) * inputUsd + cached * cachedInputUsd + outputTokens * outputUsd
  return Math.max(0, Math.ceil(exact - NOISE))
}

/**
 * The most that a request can come to: its input, and the longest answer that it allows.
 *
 * @param inputTokens an estimate from above (`estimateTokens`)
 * @param maxTokens of the request's options
 */
export function mostOf(model: KnownModel, inputTokens: number, maxTokens?: number): Estimate {
  const outputTokens = Math.min(maxTokens ?? model.outputTokens, model.outputTokens)
  return {
    model: model.name,
    tokens: inputTokens + outputTokens,
    costMicroUsd: costOf(model, { inputTokens, outputTokens }),
  }
}

function rates(price: Price, inputTokens: number): Omit<Price, "above"> {
  const { above } = price
  return above !== undefined && inputTokens > above.inputTokens ? above : price
}
