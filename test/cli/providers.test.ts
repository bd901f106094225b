import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test, vi } from "vitest"
import type { FakeServer } from "../support/llm/fake-server.js"
import { startOpenAiServer } from "../support/llm/openai-server.js"
import { startTestServer, type TestServer } from "../support/nats-server.js"
import { type NodeProcess, startNodeProcess } from "../support/node-process.js"
import { buildCli, jsonOf, murmurAt } from "./support/cli.js"

const agent = `
import { defineAgent, defineEvent } from "murmur"
import { z } from "zod"
const Asked = defineEvent("question.asked", z.object({ text: z.string() }))
export default defineAgent("thinker", {
  on: [Asked],
  model: ["quick"],
  retry: { attempts: 1 },
  async handle(event, ctx) { await ctx.llm.text(event.data.text) },
})
`
const models = (url: string): string => `
import { defineModels, openai } from "murmur"
export default defineModels({
  gateways: [openai({ provider: "lab", baseURL: "${url}/v1", apiKey: "none" })],
  aliases: { quick: "lab/model" },
  models: { "lab/model": { price: { inputUsd: 1, outputUsd: 2 } } },
  circuit: { failures: 1, openMs: 600_000 },
  retry: { tries: 1 },
})
`

let dir: string
let llm: FakeServer
let server: TestServer
let node: NodeProcess
let murmur: ReturnType<typeof murmurAt>
beforeAll(async () => {
  await buildCli()
  dir = mkdtempSync(join(tmpdir(), "murmur-providers-"))
  ;[llm, server] = await Promise.all([startOpenAiServer(), startTestServer()])
  writeFileSync(join(dir, "thinker.ts"), agent)
  writeFileSync(join(dir, "models.ts"), models(llm.url))
  node = await startNodeProcess([dir, "--nats", server.url, "--port", "0"])
  murmur = murmurAt(server.url)
}, 120_000)
afterAll(async () => {
  await node?.terminate()
  await Promise.all([llm?.close(), server?.stop()])
  if (dir !== undefined) rmSync(dir, { recursive: true, force: true })
})

interface Node {
  providers: { provider: string; circuit: string; untilMs?: number; calls: number; failures: number }[]
}
const ask = (text: string) => murmur("publish", "question.asked", "--data", JSON.stringify({ text }))
const providers = async () => jsonOf<Node[]>(await murmur("nodes", "--json"))[0]?.providers ?? []
const eventually = (look: () => Promise<void>) => vi.waitFor(look, { timeout: 15_000, interval: 200 })
const gauges = async () => (await (await fetch(`${node.ready.http}/metrics`)).text()).match(/^murmur_llm_.*lab.*$/gm)

test("Nodes say nothing of providers before an agent has asked one", async () => {
  expect(await providers()).toEqual([])
  expect((await murmur("nodes")).stdout).not.toContain("lab")
  expect(await gauges()).toBeNull()
})

test("An agent is shown with the models that it asks, whatever it calls them", async () => {
  expect(jsonOf(await murmur("agents", "thinker", "--json"))).toMatchObject({ models: ["lab/model"] })
  expect((await murmur("agents", "thinker")).stdout).toMatch(/\n {2}asks +lab\/model\n/)
})

test("A provider that answers is listed with its node, and has gauges", async () => {
  llm.reply({ text: "Yes" })
  await ask("Is it so?")
  await eventually(async () =>
    expect(await providers()).toContainEqual(expect.objectContaining({ provider: "lab", circuit: "closed", calls: 1 })),
  )
  expect((await murmur("nodes")).stdout).toMatch(/\tlab ok\n$/)
  expect(await gauges()).toEqual(expect.arrayContaining([expect.stringMatching(/murmur_llm_circuit\{.*\} 0$/)]))
})

test("A provider that is left alone is seen in the list of nodes and in the gauges; the node stays ready", async () => {
  llm.reply({ fault: { status: 500 } })
  await ask("And now?")
  await eventually(async () =>
    expect(await providers()).toContainEqual(
      expect.objectContaining({ provider: "lab", circuit: "open", failures: 1, untilMs: expect.any(Number) }),
    ),
  )
  expect((await murmur("nodes")).stdout).toMatch(/\tlab left alone for \d+ min\n$/)
  expect(await gauges()).toEqual(expect.arrayContaining([expect.stringMatching(/murmur_llm_circuit\{.*\} 2$/)]))
  expect((await fetch(`${node.ready.http}/readyz`)).status).toBe(200)
})
