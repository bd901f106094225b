import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest"
import type { FakeServer } from "../support/llm/fake-server.js"
import { startOllamaServer } from "../support/llm/ollama-server.js"
import { startOpenAiServer } from "../support/llm/openai-server.js"
import { buildCli, errorOf, jsonLines, jsonOf, murmur } from "./support/cli.js"

const KEY = "sk-canary-0123456789abcdef"
const AGENT = `
import { defineAgent, defineEvent } from "murmur"
import { z } from "zod"
const Asked = defineEvent("question.asked", z.object({}))
export const careful = defineAgent("careful", { on: [Asked], model: ["gone/model", "quick"], handle() {} })
export const led = defineAgent("led", { on: [Asked], instructions: "Be brief." })
export const other = defineAgent("other", { on: [Asked], handle() {} })
`
const models = (options: string): string =>
  `import { defineModels, openai } from "murmur"\nexport default defineModels({ ${options} })\n`

let openai: FakeServer
let ollama: FakeServer
let dir: string
beforeAll(async () => {
  await buildCli()
  ;[openai, ollama] = await Promise.all([startOpenAiServer(), startOllamaServer()])
  dir = mkdtempSync(join(tmpdir(), "murmur-models-"))
  writeFileSync(join(dir, "agents.ts"), AGENT)
  const quick = `default: "quick", aliases: { quick: ["openai/gpt-5-mini", "ollama/qwen3"] }`
  writeFileSync(
    join(dir, "models.ts"),
    models(`${quick}, models: { "openai/own": { price: { inputUsd: 1, outputUsd: 3 } } }`),
  )
}, 120_000)
afterAll(async () => {
  await Promise.all([openai?.close(), ollama?.close()])
  if (dir !== undefined) rmSync(dir, { recursive: true, force: true })
})
beforeEach(() => {
  openai.reply((seen) => (seen.kind === "models" ? { models: ["gpt-5-mini"] } : { text: "It is\nblue." }))
  ollama.reply({ models: ["qwen3:latest", "tiny:1b"] })
})

interface Survey {
  default: string[]
  aliases: Record<string, string[]>
  providers: { provider: string; answers: boolean; code: string | null; why: string | null; fix: string | null }[]
  models: { name: string; state: string; agents: string[]; price: unknown; fix: string | null }[]
  bad: { where: string; message: string }[]
}
const NO_PROVIDERS = {
  OPENAI_API_KEY: "",
  OPENAI_BASE_URL: "",
  ANTHROPIC_API_KEY: "",
  GEMINI_API_KEY: "",
  GOOGLE_API_KEY: "",
}
const both = () => ({ OPENAI_API_KEY: KEY, OPENAI_BASE_URL: `${openai.url}/v1`, OLLAMA_HOST: ollama.url })
const run = (args: readonly string[], env: NodeJS.ProcessEnv = both()) =>
  murmur(["models", ...args], { env: { ...NO_PROVIDERS, ...env } })
const list = async (args: readonly string[], env?: NodeJS.ProcessEnv) =>
  jsonOf<Survey>(await run(["ls", ...args, "--json"], env))

test("The models of files and environment are listed: what they can, what they cost, who asks them, whether they answer", async () => {
  const found = await list([dir])
  expect(found).toMatchObject({
    default: ["openai/gpt-5-mini", "ollama/qwen3"],
    aliases: { quick: ["openai/gpt-5-mini", "ollama/qwen3"] },
    providers: [
      { provider: "ollama", answers: true },
      { provider: "openai", answers: true },
    ],
    bad: [],
  })
  expect(found.models.map(({ name, state, agents }) => [name, state, agents])).toEqual([
    ["gone/model", "no-provider", ["careful"]],
    ["ollama/qwen3", "ready", ["careful", "led"]],
    ["openai/gpt-5-mini", "ready", ["careful", "led"]],
    ["openai/own", "not-offered", []],
  ])
  expect(found.models[3]).toMatchObject({ price: { inputUsd: 1, outputUsd: 3 } })
})

test("A pipe gets a row a model; a provider that nobody names is a row too", async () => {
  const { code, stdout } = await run([join(dir, "models.ts")])
  expect(code).toBe(0)
  const rows = stdout.trimEnd().split("\n")
  expect(rows[0]).toBe("ollama/qwen3\ttools,schema\t40960\tfree\tdefault 2/2,quick 2/2\t-\tyes\t-")
  expect(rows[1]).toMatch(
    /^openai\/gpt-5-mini\ttools,images,schema\t400000\t\$0\.25 in, \$2 out\tdefault 1\/2,quick 1\/2/,
  )
  expect((await run([])).stdout).toContain("ollama/*\t-\t-\t-\t-\t-\tyes, 2 models (--all)\t-\n")
})

test("With --all what the providers offer is listed too", async () => {
  const names = (await list(["--all", dir])).models.map(({ name }) => name)
  expect(names).toEqual([
    ...["gone/model", "ollama/qwen3", "ollama/qwen3:latest", "ollama/tiny:1b", "openai/gpt-5-mini", "openai/own"],
  ])
})

test("A provider that is away, refuses its key or says nothing is a row with the reason and the remedy", async () => {
  openai.reply({ fault: { status: 401, message: `Incorrect API key provided: ${KEY}` } })
  const result = await run(["ls", dir, "--json"], { ...both(), OLLAMA_HOST: "127.0.0.1:1" })
  expect(result.stdout + result.stderr).not.toContain("canary")
  expect(jsonOf<Survey>(result).providers).toEqual([
    expect.objectContaining({
      provider: "ollama",
      code: "LLM_UNAVAILABLE",
      fix: expect.stringContaining("OLLAMA_HOST"),
    }),
    expect.objectContaining({ provider: "openai", code: "LLM_KEY", fix: expect.stringContaining("OPENAI_API_KEY") }),
  ])
  openai.reply({ fault: "hang" })
  ollama.reply({ fault: "hang" })
  const { providers } = await list([dir])
  expect(providers.map(({ code, why }) => [code, why])).toEqual([
    ["LLM_TIMEOUT", "no answer within 5.0 s"],
    ["LLM_TIMEOUT", "no answer within 5.0 s"],
  ])
  const apart = (openai.calls.at(-1)?.atMs ?? 0) - (ollama.calls.at(-1)?.atMs ?? 0)
  expect(Math.abs(apart), "they are asked side by side").toBeLessThan(4_000)
})

test("A key that is none and names that mean nothing do not keep the others from the list", async () => {
  const file = join(dir, "wrong.ts")
  writeFileSync(file, models(`default: "nowhere", aliases: { a: "b", b: "a" }`))
  onTestFinished(() => rmSync(file))
  const { providers, bad } = await list([file], { ...both(), OPENAI_API_KEY: "with blanks" })
  expect(providers).toMatchObject([
    { provider: "ollama", answers: true },
    { provider: "openai", code: "LLM_OPTION", why: expect.stringContaining("OPENAI_API_KEY") },
  ])
  expect(bad.map(({ where }) => where)).toEqual(["the aliases", "the default"])
})

test("A model that is not on Ollama's machine is fetched, with progress", async () => {
  ollama.reply((seen) => (seen.kind === "models" ? { models: ["tiny:1b"] } : {}))
  const missing = (await list([dir])).models.find(({ name }) => name === "ollama/qwen3")
  expect(missing).toMatchObject({ state: "not-pulled", fix: "murmur models pull ollama/qwen3" })
  const lines = jsonLines<object>(await run(["pull", "ollama/qwen3", "--json"]))
  expect(lines).toContainEqual(
    expect.objectContaining({ model: "ollama/qwen3", completedBytes: 400, totalBytes: 1_000 }),
  )
  expect(lines.at(-1)).toEqual({ model: "ollama/qwen3", status: "pulled", pulled: true })
  const { stdout, stderr } = await run(["pull", "ollama/qwen3"])
  expect(stdout).toBe("pulled ollama/qwen3\n")
  expect(stderr).toMatch(/^ollama\/qwen3: pulling manifest\n(.*\n)*ollama\/qwen3: success\n$/)
})

test("What cannot be pulled says why", async () => {
  expect(errorOf(await run(["pull", "openai/gpt-5-mini", "--json"])).code).toBe("LLM_UNSUPPORTED")
  expect(errorOf(await run(["pull", "gone/model", "--json"])).code).toBe("LLM_GATEWAY")
  ollama.reply({ progress: [{ status: "pulling manifest" }, { error: "pull model manifest: file does not exist" }] })
  const failed = await run(["pull", "ollama/nope", "--json"])
  expect(failed.code).toBe(1)
  expect(errorOf(failed).message).toContain("file does not exist")
  expect((await run(["pull", "qwen3"])).code).toBe(2)
})

test("A question is answered as the answer comes; what it cost is said beside it", async () => {
  const { code, stdout, stderr } = await run(["ask", "quick", "Why is the sky blue?", dir])
  expect({ code, stdout }).toEqual({ code: 0, stdout: "It is\nblue.\n" })
  expect(stderr).toMatch(/^openai\/gpt-5-mini: 11 in, 7 tokens out, \$0\.000017, \d+ ms\n$/)
  expect(openai.last).toMatchObject({ stream: true, messages: [{ text: "Why is the sky blue?" }] })
  expect(jsonOf(await run(["ask", "openai/own", "Why?", dir, "--json"]))).toMatchObject({
    ...{ model: "openai/own", text: "It is\nblue.", usage: { inputTokens: 11, outputTokens: 7 } },
    ...{ costUsd: 0.000032, tries: 1, finishReason: "stop" },
  })
})

test("An answer that broke off is asked for again, and printed whole", async () => {
  openai.reply({ text: "It is as blue as can be", fault: "break" }, { text: "It is as blue as can be" })
  const { stdout, stderr } = await run(["ask", "openai/gpt-5-mini", "Why?"])
  expect(stdout).toMatch(/\nIt is as blue as can be\n$|^It is as blue as can be\n$/)
  expect(stderr).toContain("asked 2 times")
})

test("A question that cannot be answered ends with 1 and says what is wrong, without the key", async () => {
  openai.reply({ fault: { status: 401, message: `Incorrect API key provided: ${KEY}` } })
  const refused = await run(["ask", "openai/gpt-5-mini", "Why?", "--json"])
  expect(refused.code).toBe(1)
  expect(errorOf(refused)).toMatchObject({ code: "LLM_KEY", message: expect.stringContaining("Incorrect API key") })
  expect(refused.stderr).not.toContain("canary")
  const none = await run(["ask", "anthropic/claude-sonnet-5", "Why?", "--json"])
  expect(errorOf(none)).toMatchObject({ code: "LLM_GATEWAY", message: expect.stringContaining("ANTHROPIC_API_KEY") })
  expect(errorOf(await run(["ask", "nowhere", "Why?", dir, "--json"])).message).toContain("aliases: quick")
  expect((await run(["ask", "quick"])).code).toBe(2)
})
