import { expect, test } from "vitest"
import { costOf, mostOf } from "./cost.js"
import { checkModelOverrides, knownModel } from "./known-model.js"

test("a dated name is the model that it is a version of", () => {
  const price = { inputUsd: 0.25, outputUsd: 2, cachedInputUsd: 0.025 }
  for (const model of ["gpt-5-mini", "gpt-5-mini-2025-08-07"]) {
    expect(knownModel(`openai/${model}`)).toMatchObject({ provider: "openai", model, tools: true, price })
  }
  expect(knownModel("anthropic/claude-opus-4-20250514").price?.inputUsd).toBe(15)
  expect(knownModel("anthropic/claude-opus-4-5-20251101").price?.inputUsd).toBe(5)
  expect(knownModel("openai/gpt-5.2-chat-latest").price?.inputUsd).toBe(1.75)
  expect(knownModel("gemini/gemini-2.5-flash-preview-09-2025").price?.inputUsd).toBe(0.3)
  expect(knownModel("gemini/gemini-2.0-flash-001").price?.inputUsd).toBe(0.1)
})

test("a name that only begins like a known one has its capabilities, and no price", () => {
  expect(knownModel("openai/gpt-5-ultra")).toMatchObject({ contextTokens: 400_000, images: true, price: undefined })
  expect(knownModel("anthropic/claude-opus-4-9")).toMatchObject({ contextTokens: 200_000, price: undefined })
})

test("a model that nobody has described has little room and no price", () => {
  for (const name of ["openai/mine", "vllm/qwen3", "openai/gpt-500"]) {
    expect(knownModel(name)).toMatchObject({ contextTokens: 8_192, images: false, price: undefined })
  }
})

test("one's own machine costs nothing, whatever runs on it", () => {
  expect(knownModel("ollama/qwen3:8b")).toMatchObject({ tools: true, images: false, price: { inputUsd: 0 } })
  expect(knownModel("ollama/gemma3:4b")).toMatchObject({ tools: false, images: true })
  expect(knownModel("ollama/hf.co/somebody/thing:Q4")).toMatchObject({ price: { inputUsd: 0, outputUsd: 0 } })
  expect(knownModel("scripted/anything")).toMatchObject({ tools: true, images: true, price: { inputUsd: 0 } })
})

test("what a caller knows better wins, the narrower over the wider, for dated names as well", () => {
  const overrides = checkModelOverrides({
    "openai/*": { contextTokens: 1_000 },
    "openai/gpt-5-mini": { price: { inputUsd: 1, outputUsd: 2 } },
    "scripted/dear": { price: { inputUsd: 1_000, outputUsd: 1_000 } },
  })
  const mini = { contextTokens: 1_000, price: { inputUsd: 1, outputUsd: 2 }, images: true }
  expect(knownModel("openai/gpt-5-mini-2025-08-07", overrides)).toMatchObject(mini)
  expect(knownModel("openai/gpt-5-nano", overrides)).toMatchObject({ contextTokens: 1_000, price: { inputUsd: 0.05 } })
  expect(knownModel("scripted/dear", overrides).price?.inputUsd).toBe(1_000)
})

test("a name without a provider, and facts that are none, are errors that name them", () => {
  expect(() => knownModel("gpt-5")).toThrow(/model "gpt-5": a model's name is provider\/model/)
  expect(() => checkModelOverrides({ "openai/a": { prize: 1 } })).toThrow(/prize/)
  expect(() => checkModelOverrides({ "gpt-5": {} })).toThrow(/provider\/model/)
  expect(() => checkModelOverrides({ "openai/a": { price: { inputUsd: -1, outputUsd: 0 } } })).toThrow(/inputUsd/)
})

test("every model of the tables can be asked for, and its facts make sense", () => {
  for (const name of ["openai/o3", "anthropic/claude-haiku-5-5", "gemini/gemini-3.1-pro", "ollama/bge-m3"]) {
    const { contextTokens, outputTokens, price } = knownModel(name)
    expect(outputTokens).toBeLessThanOrEqual(contextTokens)
    expect(price?.cachedInputUsd ?? 0).toBeLessThanOrEqual(price?.inputUsd ?? 0)
  }
})

test("a cost is in millionths of a dollar, rounded up, with what was cached at its own price", () => {
  const mini = knownModel("openai/gpt-5-mini")
  expect(costOf(mini, { inputTokens: 1_000, outputTokens: 100 })).toBe(450)
  expect(costOf(mini, { inputTokens: 1_000, outputTokens: 100, cachedTokens: 1_000 })).toBe(225)
  expect(costOf(mini, { inputTokens: 1, outputTokens: 0 })).toBe(1)
  expect(costOf(mini, { inputTokens: 0, outputTokens: 0 })).toBe(0)
  expect(costOf(knownModel("openai/gpt-4o-mini"), { inputTokens: 1_000_000, outputTokens: 0 })).toBe(150_000)
  expect(costOf(knownModel("openai/mine"), { inputTokens: 1, outputTokens: 1 })).toBeUndefined()
})

test("a longer prompt is charged at the higher price, all of it", () => {
  const haiku = knownModel("anthropic/claude-haiku-5-5")
  expect(costOf(haiku, { inputTokens: 100_000, outputTokens: 10 })).toBe(10_005)
  expect(costOf(haiku, { inputTokens: 100_001, outputTokens: 10 })).toBe(50_026)
})

test("the most that a request can come to is its input and the longest answer", () => {
  const mini = knownModel("openai/gpt-5-mini")
  const most = { model: "openai/gpt-5-mini", tokens: 1_500, costMicroUsd: 1_250 }
  expect(mostOf(mini, 1_000, 500)).toEqual(most)
  expect(mostOf(mini, 1_000)).toMatchObject({ tokens: 129_000 })
  expect(mostOf(knownModel("openai/text-embedding-3-small"), 1_000)).toMatchObject({ tokens: 1_000, costMicroUsd: 20 })
})
