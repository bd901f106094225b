import { expect, test } from "vitest"
import { TerminalError } from "../../errors.js"
import { providerError } from "../../gateways/errors.js"
import { optionalPeer } from "../../gateways/http/optional-peer.js"
import { howToAdd, mending } from "./mending.js"

test("A package that is not installed is mended by the command that installs it", async () => {
  const absent = Object.assign(new Error("Cannot find package '@anthropic-ai/sdk'"), { code: "ERR_MODULE_NOT_FOUND" })
  const load = optionalPeer("anthropic", "@anthropic-ai/sdk", () => Promise.reject(absent))
  const error = await load().catch((thrown: Error) => thrown)
  expect(mending("anthropic", error as Error)).toBe("npm install @anthropic-ai/sdk")
})

test.each([
  ["gemini", 401, "export GEMINI_API_KEY=... with a key that works"],
  ["lab", 403, "give its gateway a key that it takes (apiKey)"],
  ["openai", 429, "wait, or see what its account may use"],
  ["ollama", undefined, "ollama serve, or say where it is: export OLLAMA_HOST=..."],
  ["lab", 500, "see whether its server runs, and whether its address is right"],
])("What helps with %s after status %s", (provider, status, fix) => {
  expect(mending(provider, providerError({ provider, model: "m", status, message: "no" }))).toBe(fix)
})

test("A provider that nobody has is added by its key where murmur knows it, else as a gateway", () => {
  expect(howToAdd("anthropic")).toContain("ANTHROPIC_API_KEY")
  expect(howToAdd("vllm")).toContain('openai({ provider: "vllm"')
  expect(mending("lab", new TerminalError("no", { code: "LLM_GATEWAY" }))).toBe("see what its gateway says")
})
