import { describe, expect, test } from "vitest"
import { defineModels, isModels } from "./define-models.js"
import { scripted } from "./scripted/scripted.js"

describe("defineModels", () => {
  test("needs nothing, and takes each option by itself", () => {
    const options = [
      {},
      { default: "scripted/demo" },
      { gateways: [scripted({ replies: [{ reply: "yes" }] })] },
      { aliases: { quick: ["openai/gpt-5-mini", "ollama/qwen3:8b"] } },
      { limits: { openai: { requestsPerMinute: 60, concurrency: 4 } } },
      { models: { "openai/own": { price: { inputUsd: 1, outputUsd: 2 } } } },
      { cacheMs: 0, timeoutMs: 1, tellContent: false },
      { agents: { triage: { model: "quick", instructions: "Be brief.", llm: { temperature: 0 } } } },
    ]
    for (const given of options) {
      const models = defineModels(given)
      expect(models).toEqual(given)
      expect(isModels(models)).toBe(true)
    }
  })

  test.each([
    [{ defualt: "scripted/demo" }, /"defualt"/],
    [{ gateways: [{}] }, /gateways\.0: must be a gateway/],
    [{ limits: { openai: { requestsPerMinute: 0 } } }, /limits\.openai\.requestsPerMinute/],
    [{ agents: { triage: { modle: "x" } } }, /agents\.triage.*"modle"/],
  ])("refuses %j, and says where it is wrong", (given, message) => {
    expect(() => defineModels(given as never)).toThrow(
      expect.objectContaining({ code: "MODELS_OPTION", message: expect.stringMatching(message) }),
    )
  })
})
