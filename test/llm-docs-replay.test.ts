import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll, expect, test } from "vitest"
import { z } from "zod"
import type { AgentDefinition } from "../src/agents/define-agent.js"
import { type AgentTestResult, testAgent } from "../src/agents/test-agent.js"
import type { EventDraft } from "../src/bus/event.js"
import type { CompletionRequest } from "../src/gateways/completion.js"
import type { ScriptedFunction } from "../src/gateways/scripted/script.js"
import { scripted } from "../src/gateways/scripted/scripted.js"
import { Loader } from "../src/node/loader.js"
import { sampleOf } from "./support/llm/sample.js"
import { collectSnippets } from "./support/snippets/collect.js"

const root = resolve(import.meta.dirname, "..")
const folder = mkdtempSync(join(tmpdir(), "murmur-docs-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const THINKS = /ctx\.llm|\bllm\.(text|object|stream|embed)|instructions:/
const WAITS_MAX = 20
/** How long something took is another time each time, and nothing depends on it. */
const MEASURED = "firstWordMs"
/** Data that a schema alone does not tell. */
const DATA: Readonly<Record<string, object>> = { "picture.added": { file: "sales.png" } }

/** The agents of the docs and of the examples, by where they stand, as far as their modules ask models. */
async function agents(): Promise<[where: string, agent: AgentDefinition][]> {
  const found: [string, AgentDefinition][] = []
  const { snippets } = collectSnippets(root)
  for (const page of new Set(snippets.filter(({ source }) => THINKS.test(source)).map((snippet) => snippet.page))) {
    const own = snippets.filter((snippet) => snippet.page === page && snippet.language === "ts" && !snippet.run)
    const at = join(folder, page.replaceAll("/", "-"))
    mkdirSync(at)
    for (const { file, source } of own) writeFileSync(join(at, file), source)
    for (const { file, source } of own.filter((snippet) => THINKS.test(snippet.source))) {
      if (!source.includes("defineAgent(")) continue
      const loaded = await new Loader([join(at, file)]).load()
      for (const agent of loaded.agents) found.push([`${page} ${file}: ${agent.name}`, agent])
    }
  }
  for (const example of ["simple-text", "structured-output", "streaming", "tools", "images", "research-team/agents"]) {
    const { agents: own } = await new Loader([join(root, "examples/minds", example)]).load()
    for (const agent of own) found.push([`examples/minds/${example}: ${agent.name}`, agent])
  }
  return found
}

/** Calls one tool after the other, then answers: with what fits the schema, where there is one. */
const answers: ScriptedFunction = (request) => {
  const { tools = [], turn, messages } = request
  const tool = tools[turn]
  if (tool !== undefined)
    return { toolCalls: [{ name: tool.name, arguments: sampleOf(tool.parameters) as Record<string, unknown> }] }
  const { schema } = request as CompletionRequest & { schema?: object }
  if (schema !== undefined) return { object: sampleOf(schema) }
  return `answer after ${messages.length} messages`
}

interface Seen {
  readonly asked: number
  readonly emitted: readonly Pick<EventDraft, "type" | "key" | "data">[]
  readonly dead: readonly { readonly reason: string; readonly message: string }[]
  readonly delegated: readonly unknown[]
  readonly waiting: number
}

async function run(agent: AgentDefinition, replay: { replay?: "always" }): Promise<Seen> {
  const gateways = ["scripted", "openai", "ollama", "anthropic", "gemini"].map((provider) =>
    scripted({ provider, replies: answers }),
  )
  const bench = testAgent(agent, { ...replay, models: { gateways, default: "scripted/demo" } })
  const results: AgentTestResult[] = [await bench.when(eventFor(agent))]
  while ((results.at(-1)?.waiting.length ?? 0) > 0 && results.length < WAITS_MAX)
    results.push(await bench.whenTimePasses())
  return {
    asked: gateways.reduce((sum, { requests }) => sum + requests.length, 0),
    emitted: results.flatMap(({ emitted }) =>
      emitted.map(({ type, key, data }) => ({ type, key, data: { ...(data as object), [MEASURED]: null } })),
    ),
    dead: results.flatMap(({ dead }) => dead.map(({ reason, error }) => ({ reason, message: error.message }))),
    delegated: results.flatMap(({ delegated }) => delegated.map((task) => ({ agent: task.agent, input: task.input }))),
    waiting: results.at(-1)?.waiting.length ?? 0,
  }
}

/** An event that the agent reacts to. */
function eventFor({ triggers }: AgentDefinition): EventDraft {
  const [trigger] = triggers
  const type = trigger?.pattern.replace(/[*>]/g, "any") ?? ""
  const { definition } = trigger ?? {}
  if (definition === undefined) return { type, key: "some-key", data: { text: "some text" } }
  const data = DATA[type] ?? sampleOf(z.toJSONSchema(definition.schema, { io: "input", unrepresentable: "any" }))
  return (definition as unknown as (data: unknown) => EventDraft)(data)
}

test("every agent of the docs and examples that asks models does the same when its step begins anew after each answer", async () => {
  const asked: string[] = []
  for (const [where, agent] of await agents()) {
    const once = await run(agent, {})
    const again = await run(agent, { replay: "always" })
    expect(again, where).toEqual(once)
    expect(once.dead, where).toEqual([])
    if (once.asked > 0) asked.push(where)
  }
  expect(asked.length, `${asked}`).toBeGreaterThanOrEqual(15)
}, 60_000)
