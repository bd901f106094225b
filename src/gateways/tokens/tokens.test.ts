import { readFileSync } from "node:fs"
import fc from "fast-check"
import { expect, test } from "vitest"
import { assistant, image, system, toolResult, user } from "../messages/constructors.js"
import { countTokens, truncateToTokens } from "./count-tokens.js"
import { estimateTextTokens, estimateTokens, IMAGE_TOKENS } from "./estimate-tokens.js"

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8")

const samples: Readonly<Record<string, string>> = {
  English: read("../../../docs/concepts.md"),
  code: read("./estimate-tokens.ts"),
  JSON: read("../../../package.json"),
  "pretty JSON": JSON.stringify(JSON.parse(read("../../../package.json")), null, 8),
  base64: Buffer.from(Array.from({ length: 9_000 }, (_, n) => (n * 7_919 + 13 * (n >> 3)) & 255)).toString("base64"),
  hex: Buffer.from(Array.from({ length: 3_000 }, (_, n) => (n * 7_919) & 255)).toString("hex"),
  German: "Die Donaudampfschifffahrtsgesellschaft überprüfte Sicherheitsvorkehrungen für Fußgänger. ".repeat(20),
  Japanese: "市場の変動が大きいときは、注文を控えてください。".repeat(20),
  Russian: "Когда рынок сильно колеблется, воздержитесь от заявок. ".repeat(20),
  emoji: "🧑‍🚀🚀👍🏽😀".repeat(50),
  "a log": "2026-11-21T16:20:01.123Z ERROR [worker-7] build failed: exit code 137 (OOM) at /srv/app/x.js:10:3\n".repeat(
    30,
  ),
  "long words": "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis ".repeat(20),
}

test.each(Object.keys(samples))("an estimate is from above, and not by much: %s", async (name) => {
  const text = samples[name] ?? ""
  const exact = await countTokens(text)
  const estimate = estimateTextTokens(text)
  expect(estimate).toBeGreaterThanOrEqual(exact)
  expect(estimate).toBeLessThanOrEqual(exact * 3.5)
})

test("all that is sent is estimated: every role, calls, tools, reasoning, and images by a fixed number", () => {
  const base = estimateTokens([])
  const parts = [
    system("Read the log."),
    user("Here it is:", image({ path: "chart.png" })),
    assistant("", { reasoning: "I should ask.", toolCalls: [{ id: "c1", name: "ask", arguments: { text: "what?" } }] }),
    toolResult({ id: "c1", name: "ask" }, "nothing"),
  ]
  for (const message of parts) expect(estimateTokens([message])).toBeGreaterThan(base + 6)
  expect(estimateTokens([user(image({ path: "chart.png" }))])).toBeGreaterThan(IMAGE_TOKENS)
  const tool = { name: "ask", description: "Asks a person", parameters: { type: "object", properties: { text: {} } } }
  expect(estimateTokens([], [tool])).toBeGreaterThan(base + 15)
})

test("an exact count is OpenAI's, also of a text that names special tokens", async () => {
  expect(await countTokens("")).toBe(0)
  expect(await countTokens("The quick brown fox jumps over the lazy dog.")).toBe(10)
  expect(await countTokens("<|endoftext|>")).toBeGreaterThan(1)
})

test("a long run without a break is counted in no time, and a little high", async () => {
  const before = performance.now()
  const tokens = await countTokens("a".repeat(50_000))
  expect(performance.now() - before).toBeLessThan(2_000)
  expect(tokens).toBeGreaterThanOrEqual(6_250)
  expect(tokens).toBeLessThan(7_000)
})

test("a text that is cut is a beginning of it, has at most so many tokens, and no half character", async () => {
  const unit = fc.oneof(
    fc.constantFrom("🧑‍🚀", "é", "日", " ", "\n", "abc", "x".repeat(300), "12", "<|endoftext|>"),
    fc.string(),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(unit, { maxLength: 12 }), fc.nat({ max: 60 }), async (units, max) => {
      const text = units.join("")
      const cut = await truncateToTokens(text, max)
      expect(text.startsWith(cut)).toBe(true)
      expect(cut).not.toMatch(/[\ud800-\udbff]$/)
      expect(await countTokens(cut)).toBeLessThanOrEqual(max)
      if ((await countTokens(text)) <= max) expect(cut).toBe(text)
    }),
    { numRuns: 200 },
  )
})
