import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from "vitest"
import { z } from "zod"
import { defineAgent } from "../../src/agents/define-agent.js"
import { defineEvent } from "../../src/bus/define-event.js"
import { openai } from "../../src/gateways/openai/openai.js"
import { testBinary } from "../support/binary.js"
import type { FakeServer } from "../support/llm/fake-server.js"
import { startOllamaServer } from "../support/llm/ollama-server.js"
import { startOpenAiServer } from "../support/llm/openai-server.js"
import { buildCli, murmur } from "./support/cli.js"
import { startMesh, type TestMesh } from "./support/mesh.js"

const Asked = defineEvent("question.asked", z.object({ text: z.string() }))
const thinker = defineAgent("thinker", {
  on: [Asked],
  model: "lab/model",
  retry: { attempts: 1 },
  handle: async (event, ctx) => void (await ctx.llm.text(event.data.text)),
})

let lab: FakeServer
let provider: FakeServer
let ollama: FakeServer
let mesh: TestMesh
beforeAll(async () => {
  await buildCli()
  ;[lab, provider, ollama] = await Promise.all([startOpenAiServer(), startOpenAiServer(), startOllamaServer()])
  mesh = await startMesh([thinker], {
    gateways: [openai({ provider: "lab", baseURL: `${lab.url}/v1`, apiKey: "none" })],
    models: { "lab/*": { price: { inputUsd: 1, outputUsd: 1 } } },
    ...{ circuit: { failures: 1, openMs: 600_000 }, retry: { tries: 1 } },
  })
}, 120_000)
afterAll(async () => {
  await mesh?.stop()
  await Promise.all([lab?.close(), provider?.close(), ollama?.close()])
})
beforeEach(() => {
  provider.reply({ models: ["gpt-5-mini"] })
  ollama.reply({ models: ["qwen3:8b"] })
})

/** A file with agents, by the options of their minds, and with models. */
function file(agents: Readonly<Record<string, string>>, models = ""): string {
  const dir = mkdtempSync(join(tmpdir(), "murmur-doctor-"))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const defined = Object.entries(agents).map(
    ([name, options]) => `export const ${name} = defineAgent("${name}", { on: [Asked], ${options} })`,
  )
  const path = join(dir, "agents.ts")
  writeFileSync(
    path,
    `import { defineAgent, defineEvent, defineModels } from "murmur"
import { z } from "zod"
const Asked = defineEvent("question.asked", z.object({}))
const handle = () => {}
${defined.join("\n")}
export const models = defineModels({ ${models} })
`,
  )
  return path
}

interface Check {
  check: string
  ok: boolean
  detail: string
  fix: string | null
}
const MINDS = ["files", "models", "providers", "prices", "limits"]

/** What the doctor says of models. */
async function doctor(paths: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Check[]> {
  const from = {
    ...{ OPENAI_API_KEY: "key", OPENAI_BASE_URL: `${provider.url}/v1`, OLLAMA_HOST: ollama.url, ANTHROPIC_API_KEY: "" },
    ...{ GEMINI_API_KEY: "", GOOGLE_API_KEY: "", NATS_SERVER_BIN: testBinary(), NATS_URL: mesh.server.url },
  }
  const { stdout } = await murmur(["doctor", ...paths, "--json"], { env: { ...from, ...env } })
  return (JSON.parse(stdout) as Check[]).filter(({ check }) => MINDS.includes(check))
}

test("Agents whose models answer are well", async () => {
  const path = file(
    { a: `model: "openai/gpt-5-mini", handle`, b: `instructions: "Be brief."` },
    `default: "ollama/qwen3:8b"`,
  )
  expect(await doctor([path])).toContainEqual({
    ...{ check: "models", ok: true, fix: null },
    detail: "3 models; providers that answer: ollama, openai",
  })
})

test("Each thing that keeps an agent from its model is told, with what mends it", async () => {
  const path = file(
    {
      a: `model: "anthropic/claude-sonnet-5", handle`,
      b: `model: "openai/gpt-5-mini", handle`,
      c: `model: "ollama/llama3.2", handle`,
      d: `model: "nowhere", handle`,
      e: `instructions: "Be brief."`,
    },
    `limits: { opnai: { requestsPerMinute: 5 }, gemini: { concurrency: 1 } }`,
  )
  provider.reply({ fault: { status: 401, message: "Incorrect API key" } })
  const checks = await doctor([path])
  const about = (text: string) => checks.find(({ detail }) => detail.includes(text))
  expect(about('no provider "anthropic"')).toMatchObject({
    ...{ check: "providers", ok: false, detail: expect.stringContaining('wanted by agent "a"') },
    fix: expect.stringContaining("ANTHROPIC_API_KEY"),
  })
  expect(about("Incorrect API key")).toMatchObject({ ok: false, fix: expect.stringContaining("OPENAI_API_KEY") })
  expect(about("llama3.2")).toMatchObject({ check: "models", ok: false, fix: "murmur models pull ollama/llama3.2" })
  expect(about("nowhere")).toMatchObject({ check: "models", ok: false, detail: expect.stringContaining('agent "d"') })
  expect(about("instructions, and no model")).toMatchObject({ ok: false, detail: expect.stringMatching(/: e$/) })
  expect(about('limits for "opnai"')).toMatchObject({ check: "limits", ok: false })
  expect(about('limits for "gemini"')).toMatchObject({ check: "limits", ok: true })
})

test("A model that is missing is no fault where the agent has another one", async () => {
  const path = file({ a: `model: ["anthropic/claude-sonnet-5", "openai/gpt-5-mini"], handle` })
  const checks = await doctor([path])
  expect(checks.filter(({ ok }) => !ok)).toEqual([])
  expect(checks).toContainEqual(
    expect.objectContaining({ check: "providers", detail: expect.stringContaining("can go on with another model") }),
  )
})

test("A model without a price is told while money is limited", async () => {
  const agents = { a: `model: "openai/own", handle` }
  provider.reply({ models: ["own"] })
  expect(await doctor([file(agents)])).toContainEqual({
    ...{ check: "prices", ok: false, detail: expect.stringContaining("usd: $10.00") },
    fix: expect.stringContaining("guard limits --usd none"),
  })
  await mesh.murmur("guard", "limits", "--usd", "none")
  expect((await doctor([file(agents)])).filter(({ ok }) => !ok)).toEqual([])
  await mesh.murmur("guard", "limits", "--default")
  const priced = file(agents, `models: { "openai/own": { price: { inputUsd: 1, outputUsd: 1 } } }`)
  expect((await doctor([priced])).filter(({ ok }) => !ok)).toEqual([])
})

test("Files that do not load are a check that failed", async () => {
  expect(await doctor([file({ a: "" })])).toContainEqual(
    expect.objectContaining({ check: "files", ok: false, detail: expect.stringContaining("agents.ts") }),
  )
})

test("What agents elsewhere ask for is told as seen from here; a provider that a node leaves alone is a fault", async () => {
  expect(await doctor([])).toEqual([
    {
      ...{ check: "providers", ok: true, fix: "nodes have their own environment" },
      detail: expect.stringMatching(/no provider "lab".*wanted by agent "thinker"$/),
    },
  ])
  lab.reply({ fault: { status: 500 } })
  await mesh.bus.publish(Asked({ text: "Why?" }), { producer: "test" })
  await vi.waitFor(
    async () =>
      expect(await doctor([])).toContainEqual({
        ...{ check: "providers", ok: false, fix: expect.stringContaining("murmur models ask lab/") },
        detail: 'node-1 leaves "lab" alone: it failed again and again (1 of 1 request)',
      }),
    { timeout: 15_000, interval: 200 },
  )
})
